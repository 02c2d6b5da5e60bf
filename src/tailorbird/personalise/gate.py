"""Which candidate a user gets: gains on their own rows, shrunk toward what the population gained.

The gain of a row is the loss of the shared assistant on it minus the candidate's, so that more is
better. A few rows say little about their user; what the others gained says something, too. How
much each counts follows from how far users differ (τ²) and how noisy a user's mean is (v):

    true gain of a user   θ ~ N(μ, τ²)          their mean over n rows   g ~ N(θ, v),  v = s²/n
    posterior of θ        mean (τ² g + v μ) / (τ² + v),  variance τ² v / (τ² + v) + (v/(τ²+v))² var μ

This is parametric empirical Bayes: Morris 1983, "Parametric Empirical Bayes Inference", sections
1 and 2, where the last term is what not knowing μ adds. τ² is found as Paule and Mandel 1982 do;
a user's variance s² is itself drawn toward that of all (Smyth 2004, section 3, with fixed degrees
of freedom), because that of three rows is mostly chance.

Shape letters: U users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from tailorbird.records import Interval

Floats = NDArray[np.float64]

PRIOR_ROWS = 4.0
"""A user's variance counts as if so many rows of average variance had been seen beside their own."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Mean gains of U users by one candidate, and how sure each is."""

    mean: Floats  # (U,)
    variance: Floats  # (U,) of the mean, v above; infinite without rows
    n_rows: NDArray[np.int64]  # (U,)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is believed of the true gains after all users were looked at."""

    mean: Floats  # (U,)
    sd: Floats  # (U,)
    population: float
    """μ: what a user gains on average."""
    spread: float
    """τ: how far users differ in truth."""

    @property
    def sure(self) -> Floats:
        """(U,) the probability that a user gains at all."""
        safe = np.where(self.sd > 0, self.sd, 1.0)
        certain = np.where(self.mean > 0, 1.0, np.where(self.mean < 0, 0.0, 0.5))
        return np.where(self.sd > 0, ndtr(self.mean / safe), certain)


def gains_of(rows: Sequence[Floats]) -> Gains:
    """Gains of users from the gain of each of their rows; a user may have none.

    >>> gains = gains_of([np.array([1.0, 1.0, 1.0]), np.array([0.0, 2.0]), np.array([])])
    >>> gains.mean.tolist(), gains.variance.round(2).tolist()
    ([1.0, 1.0, 0.0], [0.15, 0.47, inf])
    """
    n = np.array([len(row) for row in rows], dtype=np.int64)
    mean = np.array([row.mean() if len(row) else 0.0 for row in rows])
    squares = np.array([((row - row.mean()) ** 2).sum() if len(row) else 0.0 for row in rows])
    free = np.maximum(n - 1, 0)
    average = float(squares.sum() / max(1, free.sum()))
    of_user = (squares + PRIOR_ROWS * average) / (free + PRIOR_ROWS)
    with np.errstate(divide="ignore"):
        return Gains(mean, np.where(n > 0, of_user / np.maximum(n, 1), np.inf), n)


def shrink(gains: Gains) -> Shrunk:
    """Draw each user's gain toward the population's, by how little their rows say.

    Users without rows say nothing about the population and are believed to be like it. With fewer
    than two users that have rows nothing can be said of how they differ: τ² is then 0.

    >>> many = Gains(np.array([0.5, 0.5, -0.5]), np.array([0.01, 1.0, 1.0]), np.array([100, 1, 1]))
    >>> shrunk = shrink(many)
    >>> shrunk.mean.round(2).tolist(), round(shrunk.spread, 2)
    ([0.49, 0.49, 0.49], 0.0)
    """
    seen = np.isfinite(gains.variance)
    g, v = gains.mean[seen], gains.variance[seen]
    if not len(g):
        return Shrunk(np.zeros(len(seen)), np.full(len(seen), np.inf), 0.0, 0.0)
    if not (v > 0).any():  # every row of every user says the same
        return Shrunk(gains.mean, np.where(seen, 0.0, np.inf), float(g.mean()), float(g.std()))
    v = np.maximum(v, 1e-12 * v.max())
    between = _between(g, v)
    weight = 1.0 / (v + between)
    mu, var_mu = float((weight * g).sum() / weight.sum()), float(1.0 / weight.sum())
    of_population = np.ones(len(seen))
    of_population[seen] = v / (v + between)
    own = np.where(seen, gains.mean, 0.0)
    mean = of_population * mu + (1.0 - of_population) * own
    sd = np.sqrt(between * of_population + of_population**2 * var_mu)
    return Shrunk(mean, sd, mu, float(np.sqrt(between)))


def _between(g: Floats, v: Floats) -> float:
    """τ² such that ``Σ (g - μ)² / (v + τ²)`` is as large as it should be, U - 1; at least 0."""

    def excess(between: float) -> float:
        weight = 1.0 / (v + between)
        mu = (weight * g).sum() / weight.sum()
        return float((weight * (g - mu) ** 2).sum()) - (len(g) - 1)

    low, high = 0.0, float(np.var(g, ddof=1)) + 1e-12 if len(g) > 1 else 0.0
    if len(g) < 2 or excess(0.0) <= 0:
        return 0.0
    while excess(high) > 0:
        low, high = high, 2 * high
    for _ in range(60):  # it falls in τ², so halving finds the one root
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def choose(
    shrunk: Mapping[str, Shrunk], n_rows: NDArray[np.int64], *, confidence: float, none: str
) -> list[str]:
    """For each user the candidate with the most believed gain of those that are sure enough.

    A candidate is taken where ``P(θ > 0)`` is at least *confidence*; where none is, and for a user
    without a validation row, it is *none*. Of equal ones the first of the mapping wins.

    >>> one = Shrunk(np.array([0.2, 0.2]), np.array([0.05, 0.3]), 0.2, 0.1)
    >>> choose({"adapter": one}, np.array([9, 9]), confidence=0.9, none="none")
    ['adapter', 'none']
    """
    chosen = [none] * len(n_rows)
    best = np.zeros(len(n_rows))
    for name, one in shrunk.items():
        wins = (n_rows > 0) & (one.sure >= confidence) & (one.mean > best)
        best = np.where(wins, one.mean, best)
        for user in np.flatnonzero(wins):
            chosen[user] = name
    return chosen


def gain_intervals(rows: Sequence[Floats], *, confidence: float = 0.95) -> list[Interval | None]:
    """The mean gain of each user with Student's interval; None for a user without rows.

    The variance is the one drawn toward that of all, with its degrees of freedom, so that one row
    has an interval, too, and three equal rows are not taken for certainty (Smyth 2004, section 4).

    >>> one, two = gain_intervals([np.array([0.1]), np.array([1.0, 1.2, 0.8, 1.0])])
    >>> round(one.low, 2), round(one.high, 2), round(two.low, 2), round(two.high, 2)
    (-0.35, 0.55, 0.81, 1.19)
    """
    gains = gains_of(rows)
    free = np.maximum(gains.n_rows - 1, 0) + PRIOR_ROWS
    reach = stdtrit(free, 0.5 + confidence / 2) * np.sqrt(
        np.where(gains.n_rows > 0, gains.variance, 0.0)
    )
    return [
        Interval(float(mean), float(mean - far), float(mean + far)) if n else None
        for mean, far, n in zip(gains.mean, reach, gains.n_rows, strict=True)
    ]


def total_interval(
    rows: Sequence[Floats], *, n_resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """The mean gain over all rows, its interval by drawing whole users again.

    Rows of one user are no independent draws, so users are what is resampled: the cluster
    bootstrap (Davison and Hinkley 1997, section 3.8).

    >>> total_interval([np.array([0.5, 0.5]), np.array([0.5])])
    Interval(value=0.5, low=0.5, high=0.5)
    """
    kept = [row for row in rows if len(row)]
    if not kept:
        return Interval(0.0, 0.0, 0.0)
    sums, sizes = np.array([row.sum() for row in kept]), np.array([len(row) for row in kept])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(kept), size=(n_resamples, len(kept)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))
