"""How popular items are: over all time and lately, counted up to one moment and no further."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Log

DAY_S = 86_400.0


@dataclass(frozen=True)
class Popularity:
    """Counts of M items as of one moment."""

    total: NDArray[np.float32]
    """(M,) liked events."""
    recent: NDArray[np.float32]
    """(M,) the same, each halved for every half-life since it happened."""
    liking: NDArray[np.float32]
    """(M,) mean of what ratings are above their users' means, shrunk to 0 where they are few."""
    first: NDArray[np.float64]
    """(M,) when it was first done anything with, seconds since 1970; NaN: never."""

    @cached_property
    def log_total(self) -> NDArray[np.float32]:
        """(M,) of the total: 0 for the most popular item, less for others."""
        return _log_share(self.total)

    @cached_property
    def log_recent(self) -> NDArray[np.float32]:
        """(M,) the same of what was liked lately."""
        return _log_share(self.recent)


N_STEPS = 24
"""Moments at which popularity is looked at while tuning."""
SMOOTHING = 0.5
"""Events that every item is taken to have had: what nobody touched is not impossible."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How popular items were, lately, at `N_STEPS` moments of the past."""

    starts: NDArray[np.float64]
    """(steps,) moments, rising, seconds since 1970."""
    logs: NDArray[np.float32]
    """(steps, M) logarithms of the halved counts of what was before each moment."""

    def step_of(self, time_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """The last moment not after each time."""
        return np.maximum(np.searchsorted(self.starts, time_s, side="right") - 1, 0)


def trend_of(log: Log, *, half_life_days: float) -> Trend:
    """Popularity as it was at moments with equally many events between them."""
    past = log.past
    starts = np.unique(np.quantile(past.time, np.linspace(0, 1, N_STEPS, endpoint=False)))
    liked = np.where(past.is_liked, past.strength, 0.0)
    logs = np.zeros((len(starts), log.n_items), np.float32)
    for row, start in zip(logs, starts, strict=True):
        before = past.time < start
        halved = liked[before] * 0.5 ** ((start - past.time[before]) / (half_life_days * DAY_S))
        counts = np.bincount(past.item[before], halved, minlength=log.n_items)
        row[:] = np.log(counts + SMOOTHING)
    return Trend(starts, logs)


def fit_popularity(log: Log, *, half_life_days: float) -> Popularity:
    """Counts as of the last event of *log*."""
    n, past = log.n_items, log.past
    now = past.time.max() if len(log) else 0.0
    liked = np.where(past.is_liked, past.strength, 0.0)
    fresh = liked * 0.5 ** ((now - past.time) / (half_life_days * DAY_S))
    first = np.full(n, np.inf)
    np.minimum.at(first, past.item, past.time)
    counts = np.bincount(past.item, minlength=n)
    liking = np.bincount(past.item, past.relative, minlength=n) / (counts + 5.0)
    return Popularity(
        np.bincount(past.item, liked, minlength=n).astype(np.float32),
        np.bincount(past.item, fresh, minlength=n).astype(np.float32),
        liking.astype(np.float32),
        np.where(np.isinf(first), np.nan, first),
    )


def _log_share(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.log((counts + 0.5) / (counts.max(initial=0.0) + 0.5))
    return found
