"""Makes `items.jsonl` and `events.csv`: an invented shop, its customers, and eight weeks of theirs.

    python examples/recommend/generate.py

The same seed gives the same files; a test holds them to it. Nothing is of a real shop or person.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
START = datetime(2026, 8, 31, tzinfo=timezone(timedelta(hours=8)))  # a Monday
N_DAYS = 56
N_USERS = 300
N_NEW_ITEMS = 16
NEW_FROM_DAY = 42
"""Items that come to the shop in the last two weeks."""
STYLES = {
    "en": ["gift", "for beginners", "handmade", "for travel", "for children", "lasting"],
    "zh": ["礼物", "新手", "手作", "旅行", "儿童", "耐用"],
}
HOURS = (1, 0.4, 0.2, 0.1, 0.1, 0.3, 1, 2, 4, 5, 6, 6, 7, 6, 5, 5, 5, 6, 7, 9, 11, 12, 9, 4)
AFTER_A_CLICK = {"purchase": 0.16, "comment": 0.05, "share": 0.05}


@dataclass(frozen=True)
class Good:
    """One item, and what its buyers look for."""

    row: dict[str, Any]
    kind: int
    language: str
    style: int
    appeal: float
    created: datetime


@dataclass
class Person:
    """A customer: what they like, changes it may, and how often they come."""

    id: str
    languages: tuple[str, ...]
    tastes: list[float]
    later: list[float]
    style: int
    budget: float
    n_visits: int


def goods(rng: Random) -> list[Good]:
    """Everything the shop sells, in the order of ids."""
    kinds = tomllib.loads((HERE / "shop.toml").read_text(encoding="utf-8"))["kind"]
    found = []
    for number, kind in enumerate(kinds):
        for language in ("en", "zh"):
            for title in kind[language]:
                found.append(_good(rng, number, kind, language, title, len(found)))
    for place in rng.sample(range(len(found)), N_NEW_ITEMS):
        old = found[place]
        day = rng.randrange(NEW_FROM_DAY, N_DAYS - 2)
        created = START + timedelta(days=day, hours=9)
        row = old.row | {"created": created.isoformat()}
        found[place] = Good(row, old.kind, old.language, old.style, old.appeal, created)
    return found


def _good(
    rng: Random, number: int, kind: dict[str, Any], language: str, title: str, place: int
) -> Good:
    style = rng.randrange(len(STYLES[language]))
    low, high = kind["price"]
    price = round(low * (high / low) ** rng.random(), 1)
    created = START - timedelta(days=rng.randrange(20, 500), hours=rng.randrange(10))
    said = rng.sample(kind["says"][language], 2)
    row = {
        "id": f"i{place:03}",
        "title": title,
        "description": (" " if language == "en" else "").join(said),
        "tags": [kind["tag"][language], STYLES[language][style]],
        "price": price,
        "created": created.isoformat(),
    }
    return Good(row, number, language, style, 1 / rng.uniform(1, 12), created)


def people(rng: Random, n_kinds: int) -> list[Person]:
    """Customers; each likes two or three kinds, and one of six finds something new half-way."""
    found = []
    for number in range(N_USERS):
        languages = rng.choices([("zh",), ("en",), ("zh", "en")], [50, 32, 18])[0]
        tastes = [0.02] * n_kinds
        for place, kind in enumerate(rng.sample(range(n_kinds), rng.choice([2, 2, 3]))):
            tastes[kind] = 1 / (1 + place)
        later = list(tastes)
        if rng.random() < 1 / 6:
            later[rng.randrange(n_kinds)] = 1.5
        visits = min(1 + int(rng.paretovariate(1.1)), 14)
        style, budget = rng.randrange(len(STYLES["en"])), rng.uniform(10, 90)
        found.append(Person(f"u{number:03}", languages, tastes, later, style, budget, visits))
    return found


def visits(rng: Random, person: Person, shelf: list[Good]) -> list[tuple[datetime, str, str, Any]]:
    """What *person* did: time, item, kind, value; nothing before an item was there."""
    found, done = [], set()
    for _ in range(person.n_visits):
        hour = rng.choices(range(24), HOURS)[0]
        time = START + timedelta(days=rng.randrange(N_DAYS), hours=hour, minutes=rng.randrange(60))
        there = [one for one in shelf if one.created <= time and one.row["id"] not in done]
        weights = [_draw_of(person, one, time) for one in there]
        for good in rng.choices(there, weights, k=rng.randrange(2, 6)):
            time += timedelta(seconds=rng.randrange(20, 400))
            own, likes = good.row["id"], _taste(person, good, time)
            found.append((time, own, "browse", None))
            if rng.random() > min(0.25 + 0.7 * likes, 0.95):
                continue
            found.append((time + timedelta(seconds=5), own, "click", None))
            for kind, chance in AFTER_A_CLICK.items():
                if rng.random() < chance * (0.5 + likes):
                    found.append((time + timedelta(seconds=90), own, kind, None))
                    done |= {own} if kind == "purchase" else set()
            if own in done and rng.random() < 0.5:
                stars = max(1, min(5, round(2.6 + 2 * likes + rng.gauss(0, 0.8))))
                found.append((time + timedelta(days=4, minutes=7), own, "rating", stars))
    return found


def _taste(person: Person, good: Good, time: datetime) -> float:
    """How much *person* likes the kind of *good* by then, from 0 to about 1.5."""
    tastes = person.later if time > START + timedelta(days=N_DAYS // 2) else person.tastes
    return tastes[good.kind]


def _draw_of(person: Person, good: Good, time: datetime) -> float:
    """How likely *person* comes upon *good*, against others."""
    weight = good.appeal * (0.05 + _taste(person, good, time)) ** 1.4
    weight *= 1.0 if good.language in person.languages else 0.03
    weight *= 2.0 if good.style == person.style else 1.0
    return weight / (1 + (good.row["price"] / person.budget) ** 2)


def generate(seed: int) -> tuple[str, str]:
    """Both files as text."""
    rng = Random(seed)
    shelf = goods(rng)
    n_kinds = 1 + max(one.kind for one in shelf)
    log = [
        (time, person.id, item, kind, value)
        for person in people(rng, n_kinds)
        for time, item, kind, value in visits(rng, person, shelf)
        if time < START + timedelta(days=N_DAYS)
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["user", "item", "kind", "value", "time"])
    for time, user, item, kind, value in sorted(log, key=lambda row: row[:4]):
        writer.writerow([user, item, kind, value or "", time.isoformat()])
    items = "".join(json.dumps(one.row, ensure_ascii=False) + "\n" for one in shelf)
    return items, table.getvalue()


def main() -> None:
    """Write both files beside this one."""
    items, events = generate(seed=6)
    (HERE / "items.jsonl").write_text(items, encoding="utf-8")
    (HERE / "events.csv").write_text(events, encoding="utf-8")
    print(f"{items.count(chr(10))} items, {events.count(chr(10)) - 1} events")


if __name__ == "__main__":
    main()
