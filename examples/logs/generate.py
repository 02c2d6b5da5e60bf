"""Write the sample logs: eight weeks at the service desk of Osmanthus Lane (桂花里).

    python examples/logs/generate.py --out examples/logs/shop.jsonl --seed 7

The shop and its customers are invented. The same seed gives the same bytes; the last line that is
printed is a summary as JSON. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

from dirt import break_row, misspell, mix_languages, nearly, soil
from grammar import Phrases
from people import Person, invent_people

HERE = Path(__file__).parent
START = datetime(2026, 9, 7, tzinfo=timezone(timedelta(hours=8)))  # a Monday
N_DAYS = 56
SALE_DAYS = range(15, 19)  # the days before the Mid-Autumn Festival
HOUR_WEIGHTS = (1, 0.4, 0.2, 0.1, 0.1, 0.3, 1, 3, 6, 9, 11, 9, 6, 7, 9, 9, 8, 6, 5, 7, 10, 10, 6, 3)
WEEKDAY_WEIGHTS = (1.2, 1.05, 1.0, 1.0, 1.05, 0.9, 0.8)

INTENT_WEIGHTS = {
    "track_order": 13, "refund": 9, "return_item": 8, "cancel_order": 7, "size_advice": 7,
    "change_address": 6, "damaged_item": 6, "wrong_item": 6, "stock_availability": 6,
    "discount_code": 6, "payment_failed": 6, "invoice_request": 6, "account_login": 6,
    "shipping_options": 6, "warranty_repair": 5, "talk_to_human": 5,
}  # fmt: skip
BEFORE_BUYING = {
    "size_advice", "stock_availability", "discount_code", "payment_failed", "account_login",
    "shipping_options",
}  # fmt: skip
CONFUSED_WITH = {
    "track_order": "shipping_options", "refund": "return_item", "return_item": "refund",
    "cancel_order": "refund", "size_advice": "stock_availability", "damaged_item": "wrong_item",
    "change_address": "track_order", "wrong_item": "damaged_item",
    "discount_code": "payment_failed", "stock_availability": "shipping_options",
    "payment_failed": "account_login", "invoice_request": "refund",
    "account_login": "payment_failed", "warranty_repair": "damaged_item",
    "talk_to_human": "track_order", "shipping_options": "track_order",
}  # fmt: skip
ABOUT_MONEY = {"refund", "payment_failed", "account_login"}

N_LABELLED, N_UNLABELLED, N_CHATTER = 1640, 200, 84
N_SENT_TWICE, N_NEARLY_TWICE, N_BROKEN = 34, 42, 28
N_MISLABELLED = 16

Row = dict[str, Any]


@dataclass
class Desk:
    """The shop's service desk: who writes, what is said, what was said before."""

    rng: Random
    phrases: dict[str, Phrases]
    people: list[Person]
    said: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, seed: int) -> Desk:
        """A desk with its sixty customers."""
        rng = Random(seed)
        return cls(
            rng=rng,
            phrases={code: Phrases.load(HERE / "phrases" / code) for code in ("zh", "en")},
            people=invent_people(rng),
        )

    def conversation(self, intent: str | None) -> Row:
        """One row about *intent*, or chatter that belongs to none."""
        rng = self.rng
        person = rng.choices(self.people, [p.activity for p in self.people])[0]
        language = person.language
        if language == "mixed":
            language = rng.choice(["zh", "zh", "en"])
        memory = person.facts(rng)
        row: Row = {"user": person.id, "time": self.moment(intent), "channel": person.channel}
        if intent is not None:
            row["intent"] = intent
        turns = [self.new_text(intent, person, language, memory)]
        answers = [self.reply(intent, language)]
        if intent is not None and rng.random() < 0.1:
            turns.append(self.new_text(intent, person, language, memory, follows=True))
            answers.insert(0, (rng.choice(self.phrases[language].table["clarify"]["replies"]), 0))
        row["messages"] = [
            {"role": role, "content": content}
            for turn, (answer, _) in zip(turns, answers, strict=True)
            for role, content in (("user", turn), ("assistant", answer))
        ]
        if rng.random() < 0.03:  # nobody answered
            row["messages"].pop()
        elif (quality := answers[-1][1]) and rng.random() < 0.4:
            row["feedback"] = quality if rng.random() < 0.93 else -quality
        return row

    def new_text(
        self,
        intent: str | None,
        person: Person,
        language: str,
        memory: dict[str, str],
        *,
        follows: bool = False,
    ) -> str:
        """A message that nobody has sent in these words before."""
        for n_tries in range(60):
            if intent is None:
                text = self.chatter(language, memory)
            else:
                text = self.message(intent, person, language, memory, follows=follows, more=n_tries)
            text = self.as_typed(text, person, language)
            key = "".join(text.lower().split())
            if key not in self.said:
                self.said.add(key)
                return text
        raise ValueError(f"{intent}: the {language} phrases are exhausted; write more of them")

    def chatter(self, language: str, memory: dict[str, str]) -> str:
        """Words that the desk cannot help with."""
        phrases = self.phrases[language]
        fresh = dict(memory)
        text = phrases.expand(self.rng.choice(phrases.table["chatter"]["texts"]), self.rng, fresh)
        if self.rng.random() < 0.35:
            opener = self.rng.choice(phrases.table["openers"]["neutral"])
            text = join([opener, text], language)
        return text

    def message(
        self,
        intent: str,
        person: Person,
        language: str,
        memory: dict[str, str],
        *,
        follows: bool,
        more: int,
    ) -> str:
        """Opener, context, what happened, what is wanted, closer: as many as the person likes."""
        rng, phrases = self.rng, self.phrases[language]
        table, chatty = phrases.table, person.chattiness
        lines = table["intents"][intent]
        mood = "annoyed" if rng.random() < person.temper else rng.choice(["neutral", "polite"])
        asks, tells = usual(lines["asks"], rng), usual(lines["details"], rng)
        roll = rng.random() + 0.35 * (chatty - 0.5)
        said = [asks] if roll < 0.44 else [tells] if roll < 0.64 else [tells, asks]
        if follows:
            said = [rng.choice(table["clarify"]["answers"]), tells if rng.random() < 0.6 else asks]
        else:
            if roll > 0.97:
                said = list(dict.fromkeys([tells, usual(lines["details"], rng), asks]))
            place = "before" if intent in BEFORE_BUYING else "after"
            if rng.random() < 0.18 + 0.35 * chatty or more > 8:
                said.insert(rng.choice([0, len(said)]), rng.choice(table["contexts"][place]))
            if rng.random() < 0.05 + 0.1 * chatty:
                said.insert(rng.choice([0, len(said)]), rng.choice(table["contexts"]["asides"]))
            if rng.random() < 0.2 + 0.4 * chatty or more > 16:
                said.insert(0, rng.choice(table["openers"][mood]))
            if rng.random() < 0.1 + 0.35 * chatty:
                said.append(rng.choice(table["closers"][mood]))
            if rng.random() < 0.035:
                said.append(rng.choice(table["pii"]["texts"]))
            elif intent in ABOUT_MONEY and rng.random() < 0.05:
                said.append(rng.choice(table["pii_money"]["texts"]))
        phrases.settle([f"{{{lines['about']}}}"] if "about" in lines else said, rng, memory)
        return join([phrases.expand(template, rng, memory) for template in said], language)

    def as_typed(self, text: str, person: Person, language: str) -> str:
        """The words as this person's thumbs put them."""
        rng = self.rng
        if person.language == "mixed" and rng.random() < 0.6:
            text = mix_languages(text, self.phrases[language].table["mixing"], rng)
        if rng.random() < person.typos:
            text = misspell(text, self.phrases[language].table["slips"], rng)
        text = punctuate(text, person.punctuation, language)
        if language == "en" and person.lowercase:
            text = text.lower()
        elif language == "en" and rng.random() < person.temper * 0.06:
            text = text.upper()
        return soil(text, person, rng)

    def reply(self, intent: str | None, language: str) -> tuple[str, int]:
        """An answer of the desk, and how good it is: 1, -1, or 0 for neither."""
        rng, replies = self.rng, self.phrases[language].table
        if intent is None or rng.random() < 0.07:
            return rng.choice(replies["bad"]), -1 if intent is not None else 0
        if rng.random() < 0.02:
            intent = CONFUSED_WITH[intent]
            return rng.choice(replies["good"][intent]), -1
        variants = replies["good"][intent]
        weights = [1 / (rank + 1) ** 1.3 for rank in range(len(variants))]
        return rng.choices(variants, weights)[0] + rng.choice(replies["signatures"]), 1

    def moment(self, intent: str | None) -> datetime:
        """A time of day when such people write, on a day when such things happen."""
        rng = self.rng
        weights = []
        for day in range(N_DAYS):
            weight = WEEKDAY_WEIGHTS[day % 7]
            if day in SALE_DAYS:
                weight *= 3 if intent in BEFORE_BUYING else 1.2
            elif 0 < day - SALE_DAYS.stop < 9:
                weight *= 1.9 if intent in ("track_order", "return_item", "damaged_item") else 1.1
            weights.append(weight)
        day = rng.choices(range(N_DAYS), weights)[0]
        hour = rng.choices(range(24), HOUR_WEIGHTS)[0]
        return START + timedelta(
            days=day, hours=hour, minutes=rng.randrange(60), seconds=rng.randrange(60)
        )


def usual(templates: list[str], rng: Random) -> str:
    """One of *templates*; plain ways of saying it stand first and are said more often."""
    return rng.choices(templates, [1 / (rank + 1) ** 1.1 for rank in range(len(templates))])[0]


def join(parts: list[str], language: str) -> str:
    """Pieces as one text, with the punctuation between them that they lack."""
    text = ""
    for part in parts:
        if not text:
            text = part
        elif language == "zh":
            text += part if text[-1] in "，。！？～" or text.endswith("请问") else f"，{part}"
        elif text[-1] in ",:":
            text += " " + re.sub(
                r"^(It|The|My|This|There|Your|You|Two|One|Not|Only)\b", _lower, part
            )
        else:
            stop = "" if text[-1] in ".!?" else "."
            text += f"{stop} {part[:1].upper()}{part[1:]}"
    return text


def _lower(match: re.Match[str]) -> str:
    return match.group(0).lower()


def punctuate(text: str, habit: str, language: str) -> str:
    """Punctuation as the person is used to it."""
    if habit == "none":
        return text.rstrip("。.!！")
    if habit == "spaces":
        stops = "[，。！]" if language == "zh" else r"[,!](?=\s)|\.(?=\s|$)"
        return re.sub(stops, " " if language == "zh" else "", text).strip()
    if habit == "loud":
        return re.sub(r"[?？]$", lambda m: m.group(0) * 3, re.sub(r"[。.]$", "!!", text))
    return text if text[-1] in "。.!！?？～…" else text + ("。" if language == "zh" else ".")


def generate(seed: int) -> tuple[list[str], Row]:
    """The lines of the log file, in order of time, and a summary of what is in them."""
    desk = Desk.open(seed)
    rng = desk.rng
    intents = rng.choices(list(INTENT_WEIGHTS), list(INTENT_WEIGHTS.values()), k=N_LABELLED)
    rows = [desk.conversation(intent) for intent in intents]
    for row in rng.sample(rows, N_MISLABELLED):
        row["intent"] = CONFUSED_WITH[row["intent"]]
    for intent in [*rng.choices(list(INTENT_WEIGHTS), k=N_UNLABELLED), *[None] * N_CHATTER]:
        row = desk.conversation(intent)
        if rng.random() < 0.2:
            row["intent"] = None
        else:
            row.pop("intent", None)
        rows.append(row)
    again = rng.sample(rows, N_SENT_TWICE + N_NEARLY_TWICE)
    for i, row in enumerate(again):
        first = row["messages"][0]["content"]
        text = first if i < N_SENT_TWICE else nearly(first, rng)
        copy = {key: value for key, value in row.items() if key != "feedback"}
        copy["time"] = row["time"] + timedelta(seconds=rng.randrange(8, 400))
        copy["messages"] = [{"role": "user", "content": text}, *row["messages"][1:2]]
        rows.append(copy)
    rows.sort(key=lambda row: row["time"])
    rows = [
        {"id": f"c{10000 + 3 * i}", **row, "time": row["time"].isoformat()}
        for i, row in enumerate(rows)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    for kind, at in enumerate(sorted(rng.sample(range(len(rows)), N_BROKEN), reverse=True)):
        lines.insert(at, break_row({**rows[at], "id": f"x{at}"}, kind, rng))
    return lines, {**summarise(rows), "n_broken": N_BROKEN, "n_mislabelled": N_MISLABELLED}


def summarise(rows: list[Row]) -> Row:
    """Counts over the rows that are well formed."""
    texts = list(user_texts(rows))
    grams: Counter[tuple[str, ...]] = Counter()
    for text in dict.fromkeys(texts):
        tokens = re.findall(r"[a-z0-9']+|[\u4e00-\u9fff]", text.lower())
        grams.update(zip(*(tokens[i:] for i in range(4)), strict=False))
    labels = Counter(row["intent"] for row in rows if row.get("intent"))
    lengths = sorted(len(re.findall(r"[a-zA-Z0-9']+|[\u4e00-\u9fff]", text)) for text in texts)
    return {
        "n_rows": len(rows),
        "n_texts": len(texts),
        "n_repeated_texts": len(texts) - len(set(texts)),
        "n_users": len({row["user"] for row in rows}),
        "n_labelled": labels.total(),
        "n_unlabelled": len(rows) - labels.total(),
        "n_feedback": sum("feedback" in row for row in rows),
        "n_chinese": sum(bool(re.search(r"[\u4e00-\u9fff]", text)) for text in texts),
        "words": {
            "shortest": lengths[0],
            "median": lengths[len(lengths) // 2],
            "longest": lengths[-1],
        },
        "distinct_4grams": round(len(grams) / grams.total(), 3),
        "labels": dict(sorted(labels.items())),
    }


def user_texts(rows: list[Row]) -> Iterator[str]:
    """What people wrote, turn by turn."""
    for row in rows:
        yield from (turn["content"] for turn in row["messages"] if turn["role"] == "user")


def main() -> None:
    """Write the log file and print the summary."""
    parser = argparse.ArgumentParser(description="Write the sample logs of Osmanthus Lane.")
    parser.add_argument("--out", type=Path, default=HERE / "shop.jsonl")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    lines, summary = generate(options.seed)
    with options.out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    print(json.dumps(summary, ensure_ascii=False))


if __name__ == "__main__":
    main()
