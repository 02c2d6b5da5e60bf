"""Trying out what the ranking would not show yet: Thompson sampling with exact propensities.

A few positions of a list are drawn, each from a pool of its own: what would stand there, and some
of what comes after the end of the list. Thompson sampling draws each candidate with the
probability that its rate of answers is the best of the pool, given what is known of them
(Thompson 1933; Chapelle and Li 2011, "An Empirical Evaluation of Thompson Sampling"). Here these
probabilities are computed first, and the item is drawn with just them: what the log says of how
likely an item was is exact, which off-policy evaluation rests on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.seam import Scored

Numbers = NDArray[np.float64]

N_CELLS = 400
EDGES = np.linspace(0.0, 1.0, N_CELLS + 1) ** 2
"""Cells of rates, finer where rates are low, as most rates of answers are; (N_CELLS + 1,)."""
PRIOR_STRENGTH = 10.0
"""Before anything is known of an item its rate is believed in as after so many showings."""
FIRST_RATE = 0.1
"""The rate that is expected before anybody has answered anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What stands at one position, and how likely that was."""

    scored: Scored
    propensity: float = 1.0
    is_explored: bool = False
    pool: tuple[tuple[str, float], ...] = ()
    """Of a position that was drawn: what could have stood there, each with its probability."""


class Explorer:
    """Draws a few positions of each list; may be used by several threads.

    *n_positions* are drawn from pools of *n_pool* items, with at least *floor* / *n_pool* each.
    """

    def __init__(
        self,
        *,
        n_positions: int = 2,
        n_pool: int = 8,
        floor: float = 0.1,
        seed: int | None = None,
    ) -> None:
        self._n_positions = n_positions
        self._n_pool = n_pool
        self._floor = floor
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()

    def explore(
        self, ranked: Sequence[Scored], rest: Sequence[Scored], counts: Counts
    ) -> list[Choice]:
        """*ranked* with some positions drawn anew; *rest* is what came after it, best first."""
        chosen = [Choice(one) for one in ranked]
        places = positions(len(ranked), self._n_positions)
        for number, place in enumerate(places):
            # Pools share no item, so that no draw depends on another.
            extra = rest[number :: len(places)][: self._n_pool - 1]
            pool = [ranked[place], *extra]
            if len(pool) > 1:
                chosen[place] = self._draw(pool, counts)
        return chosen

    def _draw(self, pool: Sequence[Scored], counts: Counts) -> Choice:
        successes, failures = counts.posterior([one.item for one in pool])
        probabilities = propensities(successes, failures, floor=self._floor)
        with self._lock:
            point = self._random.random()
        place = int(np.searchsorted(np.cumsum(probabilities), point, side="right"))
        place = min(place, len(pool) - 1)  # the sum may be a last digit below 1
        told = tuple((one.item, float(p)) for one, p in zip(pool, probabilities, strict=True))
        return Choice(pool[place], float(probabilities[place]), True, told)


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each item was shown at a drawn position, and answered there."""

    shown: Mapping[str, int]
    answered: Mapping[str, int]
    n_shown: int = 0
    n_answered: int = 0

    def posterior(self, items: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Both parameters of each item's Beta posterior; (m,) each.

        Items of which nothing is known are expected to do as all have done together.

        >>> a, b = Counts({"x": 8}, {"x": 4}, 10, 5).posterior(["x", "new"])
        >>> [float(round(value, 2)) for value in (a[0], b[0], a[1], b[1])]
        [7.0, 11.0, 3.0, 7.0]
        """
        rate = (self.n_answered + FIRST_RATE * PRIOR_STRENGTH) / (self.n_shown + PRIOR_STRENGTH)
        shown = np.array([self.shown.get(item, 0) for item in items], dtype=np.float64)
        answered = np.array([self.answered.get(item, 0) for item in items], dtype=np.float64)
        missed = np.maximum(shown - answered, 0.0)
        return PRIOR_STRENGTH * rate + answered, PRIOR_STRENGTH * (1 - rate) + missed


def positions(n: int, n_positions: int) -> list[int]:
    """Which places of a list of *n* are drawn: spread over it, and never the first.

    >>> positions(10, 2), positions(3, 5), positions(1, 2)
    ([4, 7], [1, 2], [])
    """
    wanted = min(n_positions, n - 1)
    return [1 + (number + 1) * (n - 1) // (wanted + 1) for number in range(max(wanted, 0))]


def propensities(successes: Numbers, failures: Numbers, *, floor: float = 0.0) -> Numbers:
    """How likely each of m candidates has the highest rate, mixed with *floor* of all alike; (m,).

    Candidate i has the posterior Beta(*successes*[i], *failures*[i]), both (m,) and above 0, and
    P(i) = ∫ f_i(x) ∏_{j≠i} F_j(x) dx, summed over cells of x. The result sums to 1.

    >>> [round(float(p), 3) for p in propensities(np.array([2.0, 1.0]), np.array([1.0, 1.0]))]
    [0.667, 0.333]
    """
    cdfs = np.stack(
        [_cdf(float(a), float(b)) for a, b in zip(successes, failures, strict=True)]
    )  # (m, N_CELLS + 1)
    masses = np.diff(cdfs, axis=1)  # (m, N_CELLS)
    middles = (cdfs[:, 1:] + cdfs[:, :-1]) / 2  # of two in one cell either is ahead half the time
    before, after = np.ones_like(middles), np.ones_like(middles)
    before[1:] = np.cumprod(middles[:-1], axis=0)
    after[:-1] = np.cumprod(middles[:0:-1], axis=0)[::-1]
    found = (masses * before * after).sum(axis=1)
    found = found / found.sum()
    mixed: Numbers = (1 - floor) * found + floor / len(found)
    return mixed


@lru_cache(maxsize=4096)
def _cdf(a: float, b: float) -> NDArray[Any]:
    """The distribution function of Beta(a, b) at `EDGES`; most items share few of them."""
    from scipy.special import betainc

    values = np.asarray(betainc(a, b, EDGES))
    values.flags.writeable = False
    return values
