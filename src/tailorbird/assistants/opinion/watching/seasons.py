"""The week of a series: which days and hours have more posts, with little history shrunk away.

A window's expected count is level × day of the week × slot of the day, the slots of weekends apart
from those of working days. Each factor is the mean of a gamma posterior around a prior factor: of
a topic's posts that of all posts together, of its negative posts that of its posts. Letters: S
series, H windows of history, P slots in a day. Times are in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.opinion.watching.settings import DAY_S

Floats = NDArray[np.float64]
_MONDAY = 3
"""1970-01-01 was a Thursday, so day 0 is the fourth of its week."""


@dataclass(frozen=True, slots=True)
class Season:
    """Factors of a window by its place in the week; their mean over a week is 1."""

    days: Floats
    """(S, 7), Monday first."""
    slots: Floats
    """(S, 2 P): of working days, then of weekends."""

    def week(self) -> Floats:
        """(S, 7 P): the factor of every window of a week."""
        n_slots = self.slots.shape[1] // 2
        working, weekend = self.slots[:, None, :n_slots], self.slots[:, None, n_slots:]
        week = np.concatenate(
            (self.days[:, :5, None] * working, self.days[:, 5:, None] * weekend), axis=1
        ).reshape(len(self.days), -1)  # (S, 7 P)
        return np.asarray(week / week.mean(axis=1, keepdims=True))


def n_slots(window_s: int) -> int:
    """Slots of a day: hours, or windows where those are longer.

    >>> n_slots(900), n_slots(3600), n_slots(86400)
    (24, 24, 1)
    """
    return DAY_S // max(window_s, 3600)


def place_in_week(windows: NDArray[np.int64], window_s: int) -> NDArray[np.int64]:
    """Which of the 7 P factors of `Season.week` each window has.

    >>> place_in_week(np.array([0, 1, 96]), 3600)  # a Thursday, and the Monday after it
    array([72, 73,  0])
    """
    per_day = n_slots(window_s)
    seconds = windows * window_s
    weekday = (seconds // DAY_S + _MONDAY) % 7
    return weekday * per_day + seconds % DAY_S * per_day // DAY_S


def flat(window_s: int) -> Season:
    """The prior of all priors: every window alike."""
    return Season(np.ones((1, 7)), np.ones((1, 2 * n_slots(window_s))))


def fit_season(
    counts: Floats, weights: Floats, places: NDArray[np.int64], prior: Season, strength: float
) -> Season:
    """Factors of days, then of slots given the days.

    Args:
        counts: (S, H).
        weights: (S, H), 0 where a window teaches nothing.
        places: (H,) of `place_in_week`.
        prior: of one series, or of S.
        strength: how many posts in a bin weigh as much as the prior.
    """
    per_day = prior.slots.shape[1] // 2
    weekday = places // per_day
    slot = places % per_day + per_day * (weekday >= 5)
    seen = counts * weights
    level = seen.sum(axis=1, keepdims=True) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    by_day, by_slot = _one_hot(weekday, 7), _one_hot(slot, 2 * per_day)
    days = (seen @ by_day + strength * prior.days) / (level * (weights @ by_day) + strength)
    exposure = weights * days[:, weekday]
    slots = (seen @ by_slot + strength * prior.slots) / (level * (exposure @ by_slot) + strength)
    return Season(days, slots)


def _one_hot(index: NDArray[np.int64], n: int) -> Floats:
    return np.asarray(index[:, None] == np.arange(n), dtype=np.float64)
