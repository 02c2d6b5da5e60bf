"""MovieLens as items and events, and the films that are held out to be new.

The users of MovieLens rate in bursts: most of them do all they ever do within an hour. A global cut
in time leaves few users on both sides of it, and a cut within each user (leave the last out) lets
models learn from others' ratings that were given years after the list they make. So the cut is
global, and lists are made at moments after it: see `tailorbird.assistants.recommend.ranking.
comparing`. A film is liked where its rating is at or above the user's own mean until then.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tailorbird.assistants.recommend.catalogue.records import Event, Item

CUTS = {"validation": (0.7, 0.8), "test": (0.8, 1.0)}
"""Shares of all events, by time: fitted to what is before the first, judged until the second."""
NEW_FRACTION = 0.1
"""Films that nobody has rated yet, as far as the models know."""
_YEAR = re.compile(r"\((\d{4})\)\s*$")


def read_movielens(folder: Path) -> tuple[list[Item], list[Event]]:
    """Films with genres and year, and ratings; the two files have no header."""
    items, events = [], []
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for film, title, genres in csv.reader(file):
            tags = () if genres.startswith("(no") else tuple(genres.split("|"))
            year = _YEAR.search(title)
            features: dict[str, float | str] = {"year": float(year[1])} if year else {}
            items.append(Item(film, title, tags=tags, features=features))
    with gzip.open(folder / "ratings.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for user, film, rating, time_s in csv.reader(file):
            time = datetime.fromtimestamp(int(time_s), UTC)
            events.append(Event(user, film, "rating", float(rating), time))
    return items, events


def held_out(items: Sequence[Item], *, seed: int = 0) -> set[str]:
    """Ids of a tenth of the films, drawn by the seed alone.

    >>> films = [Item(str(k), "") for k in range(30)]
    >>> len(held_out(films)), held_out(films) == held_out(films[::-1])
    (3, True)
    """
    ids = sorted(item.id for item in items)
    return set(random.Random(seed).sample(ids, int(NEW_FRACTION * len(ids))))
