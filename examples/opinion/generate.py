"""Write the sample posts: five weeks of what people say about four firms that do not exist.

    python examples/opinion/generate.py --out examples/opinion --seed 11

`posts.jsonl` has no labels, as what is gathered has none; `labelled.jsonl` has other posts of the
same kind to tune on; `surges.json` says what was put into the posts, and when. The same seed gives
the same bytes; the last line that is printed is a summary as JSON. Only the standard library is
needed.
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
START = datetime(2026, 9, 28, tzinfo=UTC)  # a Monday
N_DAYS = 35
PER_HOUR = 1.7
HOUR_WEIGHTS = (
    *(0.3, 0.2, 0.1, 0.1, 0.2, 0.4, 0.8, 1.2, 1.5, 1.6, 1.5, 1.4),
    *(1.5, 1.4, 1.3, 1.2, 1.2, 1.3, 1.4, 1.5, 1.6, 1.2, 0.7, 0.4),
)  # fmt: skip
WEEKDAY_WEIGHTS = (1.1, 1.05, 1.0, 1.0, 1.05, 0.9, 0.9)
ZONES = (timezone(timedelta(hours=8)), UTC, timezone(timedelta(hours=1)))
OUTLETS = ("forum", "microblog", "morning-paper", "city-radio", "shop-reviews", "trade-news")
N_LABELLED = 720

COMPANIES = {
    "Inklake Coffee": {"zh": "砚湖咖啡", "en": "Inklake Coffee", "weight": 3},
    "Reedboat Rides": {"zh": "苇舟出行", "en": "Reedboat Rides", "weight": 3},
    "Riceglow": {"zh": "禾灯电器", "en": "Riceglow", "weight": 3},
    "Chengqiao Bank": {"zh": "澄桥银行", "en": "Chengqiao Bank", "weight": 2},
}
PRODUCT = {"zh": "禾灯S7", "en": "Riceglow S7", "name": "Riceglow S7"}
PERSON = {"zh": "沈雨棠", "en": "Shen Yutang", "name": "Shen Yutang"}
CITIES = {"zh": ("临洲", "望沙", "青坞", "柳津"), "en": ("Linzhou", "Wangsha", "Qingwu", "Liujin")}
TOPIC_WEIGHTS = {
    "prices": 4, "quality": 4, "service": 4, "safety": 2, "management": 2, "results": 3,
}  # fmt: skip
SENTIMENT_WEIGHTS = {"negative": 3, "neutral": 3, "positive": 4}
SENTIMENT_OF_TOPIC = {"results": {"negative": 2, "neutral": 5, "positive": 3}}
PII = {
    "zh": "有同样遭遇的请打我手机13800138000。",  # a number that textbooks use
    "en": "Write to me at nobody@example.com if you know more.",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Surge:
    """More posts of one kind, for a while."""

    name: str
    company: str
    since: datetime
    hours: int
    per_hour: float


SURGES = (
    Surge("battery", "Riceglow", START + timedelta(days=15, hours=6), 40, 4.5),
    Surge("fares", "Reedboat Rides", START + timedelta(days=26, hours=9), 14, 6.0),
)


class World:
    """Makes posts out of phrases, with what they are about."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.phrases = {
            code: tomllib.loads((HERE / "phrases" / f"{code}.toml").read_text(encoding="utf-8"))
            for code in ("zh", "en")
        }
        self.said: set[str] = set()

    def pick(self, weights: dict[str, Any]) -> str:
        """One key, the heavier the likelier."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def post(self, language: str = "") -> Row:
        """One ordinary post with its labels."""
        language = language or self.rng.choice(("zh", "zh", "en"))
        if self.rng.random() < 0.12:
            return self.fresh(lambda: self.contrast(language))
        return self.fresh(lambda: self.plain(language))

    def plain(self, language: str) -> Row:
        """One firm, one topic."""
        phrases = self.phrases[language]
        topic = self.pick(TOPIC_WEIGHTS)
        sentiment = self.pick(SENTIMENT_OF_TOPIC.get(topic, SENTIMENT_WEIGHTS))
        core = self.rng.choice(phrases["topics"][topic][sentiment])
        said = [core, self.rng.choice(phrases["topics"][topic]["details"])]
        if self.rng.random() < 0.6:
            said.append(self.rng.choice(phrases["asides"][sentiment]))
        company = self.company(core)
        text = self.fill(said, company, language)
        row = self.row(text, language, [topic], sentiment)
        row["entities"] = self.named(text, company, sentiment, language)
        return row

    def contrast(self, language: str) -> Row:
        """Two firms: bad for the first, good for the second, neither on the whole."""
        chosen = self.rng.choice(self.phrases[language]["contrast"])
        first, second = self.rng.sample(list(COMPANIES), 2)
        names = {"first": COMPANIES[first][language], "second": COMPANIES[second][language]}
        details = self.phrases[language]["topics"][chosen["topic"]]["details"]
        said = [chosen["text"].format(**names), self.rng.choice(details)]
        if self.rng.random() < 0.5:
            said.append(self.rng.choice(self.phrases[language]["asides"]["neutral"]))
        text = self.fill(said, first, language)
        row = self.row(text, language, [chosen["topic"]], "neutral")
        row["entities"] = {first: "negative", second: "positive"}
        return row

    def surging(self, surge: Surge, language: str) -> Row:
        """One post of a surge."""
        table = self.phrases[language]["surges"][surge.name]
        comma, stop = ("，", "。") if language == "zh" else (", ", ".")

        def make() -> Row:
            parts = [self.rng.choice(table[key]) for key in ("openers", "middles", "closers")]
            said = [f"{parts[0]}{comma}{parts[1]}{stop}", parts[2]]
            text = self.fill(said, surge.company, language)
            row = self.row(text, language, [table["topic"]], "negative")
            row["entities"] = self.named(text, surge.company, "negative", language)
            return row

        return self.fresh(make)

    def unseen(self, language: str) -> Row:
        """A post of a topic that no label knows."""
        table = self.phrases[language]["unseen"]

        def make() -> Row:
            company = self.company("")
            said = [self.rng.choice(table["texts"]), self.rng.choice(table["details"])]
            text = self.fill(said, company, language)
            row = self.row(text, language, [], "negative")
            row["entities"] = self.named(text, company, "negative", language)
            return row

        return self.fresh(make)

    def fresh(self, make: Any) -> Row:
        """A post that nobody has written in these words before."""
        for _ in range(200):
            row: Row = make()
            if row["text"] not in self.said:
                self.said.add(row["text"])
                return row
        raise ValueError("the phrases are exhausted; write more of them")

    def company(self, core: str) -> str:
        """Whom a sentence is about: what only Riceglow makes, and who leads Inklake, are theirs."""
        if "{product}" in core:
            return "Riceglow"
        if "{person}" in core:
            return "Inklake Coffee"
        return self.pick({name: one["weight"] for name, one in COMPANIES.items()})

    def fill(self, said: list[str], company: str, language: str) -> str:
        """The sentences with their gaps filled, as one text."""
        values = {
            "company": COMPANIES[company][language],
            "product": PRODUCT[language],
            "person": PERSON[language],
            "city": self.rng.choice(CITIES[language]),
            "n": str(self.rng.randint(3, 60)),
        }
        filled = [sentence.format(**values) for sentence in said]
        if language == "zh":
            return "".join(filled)
        return " ".join(one[0].upper() + one[1:] for one in filled)

    def named(self, text: str, company: str, sentiment: str, language: str) -> dict[str, str]:
        """Whom *text* names, each with how it is spoken of."""
        found = {company: sentiment} if COMPANIES[company][language] in text else {}
        for one in (PRODUCT, PERSON):
            if one[language] in text:
                found[one["name"]] = sentiment
        if found.get(PRODUCT["name"]) and text.count(COMPANIES["Riceglow"][language]) == text.count(
            PRODUCT[language]
        ):
            found.pop("Riceglow", None)  # "Riceglow S7" alone names the product
        return found

    def row(self, text: str, language: str, topics: list[str], sentiment: str) -> Row:
        """A text with what it is about."""
        return {"text": text, "language": language, "topics": topics, "sentiment": sentiment}

    def times_per_hour(self, mean: float) -> int:
        """A Poisson draw by inversion (Devroye 1986, X.3)."""
        n, left = 0, math.exp(-mean)
        share, drawn = left, self.rng.random()
        while drawn > share:
            n += 1
            left *= mean / n
            share += left
        return n


def posts(world: World) -> Iterator[Row]:
    """Every post of the five weeks with its labels, in the order of time."""
    rng, rows = world.rng, []
    for hour in range(24 * N_DAYS):
        start = START + timedelta(hours=hour)
        usual = PER_HOUR * HOUR_WEIGHTS[(start.hour + 8) % 24] * WEEKDAY_WEIGHTS[start.weekday()]
        made = [world.post() for _ in range(world.times_per_hour(usual))]
        for surge in SURGES:
            passed = (start - surge.since) / timedelta(hours=1)
            if 0 <= passed < surge.hours:
                fading = surge.per_hour * (1 - 0.6 * passed / surge.hours)
                n = world.times_per_hour(fading)
                made += [world.surging(surge, rng.choice(("zh", "zh", "en"))) for _ in range(n)]
        if start.day % 3 == 0 and start.hour in (8, 13) and hour > 24 * 14:
            made += [world.unseen(rng.choice(("zh", "en"))) for _ in range(3)]
        for row in made:
            row["at"] = start + timedelta(seconds=rng.randrange(3600))
        rows += made
    rows += agency(world)
    for row in rows:
        if rng.random() < 0.006:
            row["text"] += ("" if row["language"] == "zh" else " ") + PII[row["language"]]
    yield from sorted(rows, key=lambda row: row["at"])


def agency(world: World) -> Iterator[Row]:
    """The same story in many papers, word for word or with a headline of their own."""
    for language in ("zh", "en"):
        for number, story in enumerate(world.phrases[language]["agency"]):
            first = START + timedelta(days=4 + 9 * number, hours=6)
            for paper in range(7):
                text = story["text"] + (f"（{paper}）" if language == "zh" else f" ({paper})")
                row = world.row(
                    story["text"] if paper < 5 else text,
                    language,
                    [story["topic"]],
                    story["sentiment"],
                )
                row["entities"] = {}
                row["at"] = first + timedelta(minutes=world.rng.randrange(6 * 60))
                yield row


def published(rows: Iterator[Row], rng: Random) -> Iterator[Row]:
    """Posts as a source gives them: without labels, in the time of whoever wrote them."""
    for number, row in enumerate(rows):
        outlet = rng.choice(OUTLETS)
        moment = row["at"].astimezone(rng.choice(ZONES))
        yield {
            "id": f"p{10001 + number}",
            "time": moment.isoformat(timespec="seconds"),
            "outlet": outlet,
            "url": f"https://{outlet}.example/{10001 + number}",
            "language": row["language"],
            "text": row["text"],
        }


def labelled(seed: int) -> Iterator[Row]:
    """Rows to tune on: ordinary posts of another draw, and a few of each surge's kind."""
    world = World(seed + 1)
    for number in range(N_LABELLED):
        if number % 30 == 0:
            row = world.surging(SURGES[number // 30 % 2], world.rng.choice(("zh", "en")))
        else:
            row = world.post()
        whole = {key: row[key] for key in ("text", "topics", "sentiment")}
        yield {"id": f"l{1001 + number}"} | whole
        if len(set(row["entities"].values())) > 1:  # bad for one, good for the other
            for name, sentiment in row["entities"].items():
                called = COMPANIES[name][row["language"]]
                about = {"text": row["text"], "entity": called, "sentiment": sentiment}
                yield {"id": f"l{1001 + number}-{called}"} | about


def read_posts(seed: int) -> Iterator[Row]:
    """The posts as a perfect reader would have read them: what `replay` takes."""
    keys = ("text", "topics", "sentiment", "entities")
    for number, row in enumerate(posts(World(seed))):
        found = {key: row[key] for key in keys}
        yield {"id": f"p{10001 + number}", "time": row["at"].isoformat()} | found


def write_all(folder: Path, *, seed: int) -> dict[str, Any]:
    """Write the three files into *folder*; a summary."""
    world = World(seed)
    made = list(published(posts(world), Random(seed + 2)))
    rows = list(labelled(seed))
    surges = [
        {
            "name": one.name,
            "topic": world.phrases["en"]["surges"][one.name]["topic"],
            "entity": one.company,
            "since": one.since.isoformat(),
            "until": (one.since + timedelta(hours=one.hours)).isoformat(),
        }
        for one in SURGES
    ]
    write(folder / "posts.jsonl", made)
    write(folder / "labelled.jsonl", rows)
    (folder / "surges.json").write_text(json.dumps(surges, indent=1) + "\n", encoding="utf-8")
    return {
        "n_posts": len(made),
        "n_labelled": len(rows),
        "languages": dict(sorted(Counter(row["language"] for row in made).items())),
        "sentiments": dict(sorted(Counter(row["sentiment"] for row in rows).items())),
    }


def main() -> None:
    """Write the files, or a history alone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--history", type=Path, help="write posts with their labels there, alone")
    wanted = parser.parse_args()
    if wanted.history is not None:
        write(wanted.history, list(read_posts(wanted.seed)))
        return
    print(json.dumps(write_all(wanted.out, seed=wanted.seed)))


def write(path: Path, rows: list[Row]) -> None:
    """One JSON object a line."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
