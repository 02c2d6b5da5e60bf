"""Events as columns, by user and time; every cut of them is a cut in time.

Shape letters: N events of all users, U users, M items, n events of one user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.records import EVENT_WEIGHTS, Event
from tailorbird.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Say = Callable[[str], None]

MAX_PAST = 500
"""Events of one user that are looked at when scoring, the latest: more say little and cost time."""
MAX_LEARNED = 5_000
"""Events of one user that are learned from, the latest: nobody outweighs all others."""
PRIOR_RATINGS = 3.0
"""Ratings at everybody's mean that a user's own mean begins with."""


@dataclass(frozen=True, slots=True)
class RatingScale:
    """Mean and standard deviation of all ratings known when a model was fitted."""

    mean: float = 0.0
    deviation: float = 1.0


@dataclass(frozen=True, slots=True)
class Past:
    """The latest events of one user, oldest first."""

    item: Ints
    """(n,) places of the items."""
    strength: Floats
    """(n,) how much each says that its item is liked, above 0."""
    relative: Floats
    """(n,) of ratings, standard deviations above the user's mean until then; else 0."""
    time: Floats
    """(n,) seconds since 1970."""

    def __len__(self) -> int:
        return len(self.item)

    @property
    def is_liked(self) -> NDArray[np.bool_]:
        """(n,) all but ratings below the user's own mean."""
        return self.relative >= 0

    def latest(self, n: int) -> Past:
        """The last *n* of them."""
        return self.at(slice(max(0, len(self) - n), None))

    def at(self, chosen: slice | NDArray[np.bool_]) -> Past:
        """Some of them, in their order."""
        columns = self.strength, self.relative, self.time
        return Past(self.item[chosen], *(column[chosen] for column in columns))


@dataclass(frozen=True, slots=True)
class Log:
    """Events of known items, sorted by user and, within a user, by time."""

    users: tuple[str, ...]
    n_items: int
    user: Ints
    """(N,)"""
    past: Past
    """(N,) all columns."""
    scale: RatingScale

    @property
    def bounds(self) -> Ints:
        """(U + 1,) where each user's events begin."""
        return np.searchsorted(self.user, np.arange(len(self.users) + 1))

    def __len__(self) -> int:
        return len(self.user)

    def kept(self, chosen: NDArray[np.bool_]) -> Log:
        """The events where *chosen* (N,) is true."""
        return Log(self.users, self.n_items, self.user[chosen], self.past.at(chosen), self.scale)

    def before(self, time_s: float) -> Log:
        """What had happened before a moment."""
        return self.kept(self.past.time < time_s)

    def latest_of_each(self, n: int, *, say: Say = lambda _: None) -> Log:
        """The last *n* events of each user; who had more is counted and said."""
        bounds = self.bounds
        n_long = int((np.diff(bounds) > n).sum())
        if not n_long:
            return self
        say(f"events: {n_long:,} users have more than {n:,}; of each the latest are learned from")
        return self.kept(np.arange(len(self)) >= bounds[self.user + 1] - n)

    def of(self, user: int, bounds: Ints) -> Past:
        """All events of one user."""
        return self.past.at(slice(bounds[user], bounds[user + 1]))


class Places:
    """Which item stands where: M ids, each once."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = list(ids)
        self.of = {one: k for k, one in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, one: str) -> int:
        """The place of a new item."""
        self.of[one] = len(self.ids)
        self.ids.append(one)
        return self.of[one]


def scale_of(events: Iterable[Event]) -> RatingScale:
    """Of the ratings among *events*; equal ones deviate by 1, so that none is above another.

    >>> from datetime import UTC, datetime
    >>> rated = [Event("a", "x", "rating", v, datetime(2024, 1, 1, tzinfo=UTC)) for v in (2.0, 4.0)]
    >>> scale_of(rated)
    RatingScale(mean=3.0, deviation=1.0)
    """
    values = np.array([e.value for e in events if e.kind == "rating" and e.value is not None])
    if not len(values):
        return RatingScale()
    return RatingScale(float(values.mean()), float(values.std()) or 1.0)


def past_of(events: Sequence[Event], place: Mapping[str, int], scale: RatingScale) -> Past:
    """All events of one user that are of known items; any order is put right."""
    known = sorted((event for event in events if event.item in place), key=_time)
    n = len(known)
    rated = np.array([_rating(event) for event in known], dtype=np.float64)  # (n,) NaN: no rating
    relative = _relative(rated, scale)
    weights = np.array([EVENT_WEIGHTS.get(event.kind, 0.25) for event in known], dtype=np.float64)
    return Past(
        np.fromiter((place[event.item] for event in known), np.int64, n),
        weights * np.clip(1.0 + relative, 0.1, 3.0),
        relative,
        np.fromiter((event.time.timestamp() for event in known), np.float64, n),
    )


def build_log(
    events: Iterable[Event],
    places: Places,
    *,
    scale: RatingScale | None = None,
    say: Say = lambda _: None,
) -> Log:
    """All events by user and time; those of unknown items are counted, said and left out.

    Raises DataError where no event is of a known item.
    """
    by_user: dict[str, list[Event]] = {}
    unknown: Counter[str] = Counter()
    for event in events:
        if event.item in places.of:
            by_user.setdefault(event.user, []).append(event)
        else:
            unknown[event.item] += 1
    if unknown:
        shown = ", ".join(repr(one) for one in list(unknown)[:3])
        say(
            f"events: {unknown.total():,} are of {len(unknown):,} items that are not in the "
            f"catalogue and teach nothing (first: {shown})"
        )
    if not by_user:
        raise DataError(
            "no event is of an item of the catalogue",
            cure="check that the item column of the events holds the ids of the items",
        )
    scale = scale or scale_of(event for mine in by_user.values() for event in mine)
    users = tuple(sorted(by_user))
    pasts = [past_of(by_user[user], places.of, scale) for user in users]
    owner = np.repeat(np.arange(len(users)), [len(past) for past in pasts])

    def joined(name: str) -> Any:
        return np.concatenate([getattr(past, name) for past in pasts])

    whole = Past(joined("item"), joined("strength"), joined("relative"), joined("time"))
    return Log(users, len(places), owner, whole, scale)


def _time(event: Event) -> datetime:
    return event.time


def _rating(event: Event) -> float:
    is_rating = event.kind == "rating" and event.value is not None
    return float(event.value or 0.0) if is_rating else float("nan")


def _relative(rated: Floats, scale: RatingScale) -> Floats:
    """(n,) deviations above the user's mean until then, which begins at everybody's."""
    is_rating = ~np.isnan(rated)
    values = np.where(is_rating, rated, 0.0)
    own_sum = PRIOR_RATINGS * scale.mean + np.cumsum(values)
    own_mean = own_sum / (PRIOR_RATINGS + np.cumsum(is_rating))
    found: Floats = np.where(is_rating, (values - own_mean) / scale.deviation, 0.0)
    # Equal ratings leave nothing but the rounding of their mean.
    found[np.abs(found) < 1e-9] = 0.0
    return found
