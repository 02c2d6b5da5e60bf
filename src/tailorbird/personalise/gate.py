"""Which candidate a user gets: gains on their own rows, shrunk toward what the population gained.

What all users gain most by is where each begins (`reference`). A user gets something else, or
nothing, where their own rows say so by a margin that the number of rows supports.

The gain of a row is the loss of the shared assistant on it minus the candidate's, so that more is
better. A few rows say little about their user; what the others gained says something, too. How
much each counts follows from how far users differ (τ²) and how noisy a user's mean is (v):

    true gain of a user   θ ~ N(μ, τ²)       their mean over n rows   g ~ N(θ, v),  v = s²/n + δ²
    posterior of θ        mean (τ² g + v μ) / (τ² + v)
                          variance τ² v / (τ² + v) + (v / (τ² + v))² var μ

People change, and what is chosen is for rows to come. δ² is how far a user's gain moves from one
stretch of rows to the next beyond what chance does, found from earlier and later halves; without
it a gain that was there last month is believed to stay.

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

CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""How sure a gate may want to be, from lax to strict."""
NOISE = 2.0
"""Standard errors that what a gate gains must be above nothing; else it is the strictest."""
DOUBT = 1.0
"""Standard errors by which a lax gate must be better than a strict one."""
PRIOR_ROWS = 4.0
"""A user's variance counts as if so many rows of average variance stood beside their own."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Mean gains of U users by one candidate, and how sure each is."""

    mean: Floats  # (U,)
    variance: Floats  # (U,) of the mean, v above; infinite without rows
    n_rows: NDArray[np.int64]  # (U,)


@dataclass(frozen=True, slots=True)
class Population:
    """What users gain and how they differ, with what is not known of that."""

    mean: float
    """μ."""
    between: float
    """τ²: the variance of true gains."""
    mean_variance: float
    """var μ."""

    def posterior(self, mean: Floats, variance: Floats) -> Shrunk:
        """What is believed of users whose rows have *mean* with *variance*; infinite: no rows."""
        total = np.where(np.isfinite(variance), variance + self.between, 1.0)
        lean = np.where(
            np.isfinite(variance) & (total > 0), variance / np.where(total > 0, total, 1.0), 1.0
        )
        lean = np.where(np.isfinite(variance) & (variance == 0), 0.0, lean)
        believed = lean * self.mean + (1.0 - lean) * mean
        sd = np.sqrt(self.between * lean + lean**2 * self.mean_variance)
        return Shrunk(believed, sd, self)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is believed of the true gains after all users were looked at."""

    mean: Floats  # (U,)
    sd: Floats  # (U,)
    population: Population

    @property
    def sure(self) -> Floats:
        """(U,) the probability that a user gains at all."""
        safe = np.where(self.sd > 0, self.sd, 1.0)
        certain = np.where(self.mean > 0, 1.0, np.where(self.mean < 0, 0.0, 0.5))
        return np.where(self.sd > 0, ndtr(self.mean / safe), certain)


def gains_of(rows: Sequence[Floats]) -> Gains:
    """Gains of users from the gain of each of their rows, oldest first; a user may have none.

    >>> gains = gains_of([np.array([1.0, 1.0, 1.0]), np.array([0.0, 2.0]), np.array([])])
    >>> gains.mean.tolist(), gains.variance.round(2).tolist()
    ([1.0, 1.0, 0.0], [0.31, 0.63, inf])
    """
    n, mean, squares = _moments(rows)
    average = _average_variance(squares, n)
    return Gains(mean, _variances(squares, n, average) + drift_of(rows, average), n)


def drift_of(rows: Sequence[Floats], average: float) -> float:
    """δ²: how far true gains move between a user's earlier and later rows, as a variance.

    Half the mean of ``(earlier - later)² - v_earlier - v_later`` over the users with two rows or
    more, each counted by how little chance is in theirs; at least 0. Moments as in an analysis of
    variance (Searle, Casella and McCulloch 1992, Variance Components, section 3.5).

    Args:
        rows: gains of each user, oldest first.
        average: variance of a row around its user's mean.

    >>> rng = np.random.default_rng(0)
    >>> steady = [rng.normal(size=20) for _ in range(400)]
    >>> moving = [row + np.repeat(rng.normal(size=2), 10) for row in steady]
    >>> round(drift_of(steady, 1.0), 1), round(drift_of(moving, 1.0), 1)
    (0.0, 1.0)
    """
    halves = [(row[: len(row) // 2], row[len(row) // 2 :]) for row in rows if len(row) > 1]
    if not halves or average <= 0:
        return 0.0
    moved = np.array([(early.mean() - late.mean()) ** 2 for early, late in halves])
    chance = np.array([average / len(early) + average / len(late) for early, late in halves])
    weight = chance**-2
    return max(0.0, float((weight * (moved - chance)).sum() / weight.sum()) / 2)


def _moments(rows: Sequence[Floats]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Of each user: how many rows, their mean, and the squares around it summed up."""
    n = np.array([len(row) for row in rows], dtype=np.int64)
    mean = np.array([row.mean() if len(row) else 0.0 for row in rows])
    squares = np.array([((row - row.mean()) ** 2).sum() if len(row) else 0.0 for row in rows])
    return n, mean, squares


def _average_variance(squares: Floats, n_rows: NDArray[np.int64]) -> float:
    """Of a row around its user's mean, over all users."""
    return float(squares.sum() / max(1, np.maximum(n_rows - 1, 0).sum()))


def _variances(squares: Floats, n_rows: NDArray[np.int64], average: float) -> Floats:
    """Of the means of users with these sums of squares, each drawn toward the average."""
    of_row = (squares + PRIOR_ROWS * average) / (np.maximum(n_rows - 1, 0) + PRIOR_ROWS)
    return np.where(n_rows > 0, of_row / np.maximum(n_rows, 1), np.inf)


def shrink(gains: Gains) -> Shrunk:
    """Draw each user's gain toward the population's, by how little their rows say.

    Users without rows say nothing about the population and are believed to be like it. With fewer
    than two users that have rows nothing can be said of how they differ: τ² is then 0.

    >>> many = Gains(np.array([0.5, 0.5, -0.5]), np.array([0.01, 1.0, 1.0]), np.array([100, 1, 1]))
    >>> shrunk = shrink(many)
    >>> shrunk.mean.round(2).tolist(), round(shrunk.population.between, 2)
    ([0.49, 0.49, 0.49], 0.0)
    """
    seen = np.isfinite(gains.variance)
    g, v = gains.mean[seen], gains.variance[seen]
    if not len(g):
        nothing = Population(0.0, 0.0, np.inf)
        return Shrunk(np.zeros(len(seen)), np.full(len(seen), np.inf), nothing)
    if not (v > 0).any():  # every row of every user says the same
        return Population(float(g.mean()), float(g.var()), 0.0).posterior(
            gains.mean, gains.variance
        )
    v = np.maximum(v, 1e-12 * v.max())
    between = _between(g, v)
    weight = 1.0 / (v + between)
    mu, var_mu = float((weight * g).sum() / weight.sum()), float(1.0 / weight.sum())
    return Population(mu, between, var_mu).posterior(gains.mean, gains.variance)


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


def reference(shrunk: Mapping[str, Shrunk], *, none: str) -> str:
    """What a user is believed to be helped by most before a row of theirs is looked at.

    The candidate with the largest mean gain of the population, of those whose mean is more than
    `NOISE` standard errors above nothing; *none* where that is true of no candidate.

    >>> known = [Population(mean, 0.1, 0.01) for mean in (0.3, 0.1)]
    >>> sure, unsure = (Shrunk(np.zeros(1), np.ones(1), one) for one in known)
    >>> reference({"a": sure, "b": unsure}, none="none"), reference({"b": unsure}, none="none")
    ('a', 'none')
    """
    mean = {name: one.population.mean for name, one in shrunk.items()}
    proven = [
        name
        for name, one in shrunk.items()
        if one.population.mean > NOISE * one.population.mean_variance**0.5
    ]
    return max(proven, key=mean.__getitem__, default=none)


def over_reference(
    gains: Mapping[str, Sequence[Floats]], reference: str, *, none: str
) -> dict[str, list[Floats]]:
    """Gains of all others over *reference*, row by row; those of *none* are 0.

    Two candidates are mostly right and wrong on the same rows: their difference is much better
    known than either, and users differ less in it.

    >>> over_reference({"a": [np.array([0.5, 0.0])], "b": [np.array([0.2, 0.1])]}, "a", none="none")
    {'none': [array([-0.5,  0. ])], 'b': [array([-0.3,  0.1])]}
    """
    every = {none: [np.zeros(len(row)) for row in next(iter(gains.values()))], **gains}
    return {
        name: [one - other + 0.0 for one, other in zip(rows, every[reference], strict=True)]
        for name, rows in every.items()
        if name != reference
    }


def choose(
    over: Mapping[str, Shrunk],
    n_rows: NDArray[np.int64],
    *,
    confidence: float,
    none: str,
    reference: str = "",
) -> list[str]:
    """For each user *reference* (empty: *none*), or what is better and sure enough to be.

    A candidate is taken in its place where ``P(θ > 0)`` of its gain *over* it is at least
    *confidence*, the one with the most believed gain where there are several. A user without a
    validation row gets *none*: there is nothing to prove anything by.

    >>> one = Shrunk(np.array([0.2, 0.2]), np.array([0.05, 0.3]), Population(0.2, 0.01, 0.0))
    >>> choose({"adapter": one}, np.array([9, 9]), confidence=0.9, none="none")
    ['adapter', 'none']
    """
    chosen = [(reference or none) if n else none for n in n_rows]
    best = np.zeros(len(n_rows))
    for name, one in over.items():
        wins = (n_rows > 0) & (one.sure >= confidence) & (one.mean > best)
        best = np.where(wins, one.mean, best)
        for user in np.flatnonzero(wins):
            chosen[user] = name
    return chosen


def choose_confidence(
    rows: Mapping[str, Sequence[Floats]],
    shrunk: Mapping[str, Shrunk],
    *,
    levels: Sequence[float] = CONFIDENCES,
) -> float:
    """How sure the gate should be to leave its reference: the strictest that loses nothing by it.

    The gate is asked with the earlier half of each user's rows, and the later half says what it
    gained, as the rows to come will. Users count alike, however many rows they have. Where the best
    level gains nothing beyond twice its standard error over users, nobody is known to gain by
    leaving: then the strictest of *levels* is what all users together are asked for, so that one of
    them leaves by chance in a twentieth of such cases, not a twentieth of them in each (Bonferroni,
    over users and candidates). Else it is the best, or a stricter one that is worse by less than
    the standard error of the difference (the rule of one standard error: Hastie et al., Elements of
    Statistical Learning, section 7.10).

    Args:
        rows: gains over the reference of each user's rows, oldest first, by candidate.
        shrunk: what `shrink` made of them.
        levels: from lax to strict.

    >>> rng = np.random.default_rng(0)
    >>> clear = [0.3 + 0.5 * rng.normal(size=4) for _ in range(200)]
    >>> noise = [rng.normal(size=4) for _ in range(200)]
    >>> [choose_confidence({"a": r}, {"a": shrink(gains_of(r))}) for r in (clear, noise)]
    [0.95, 0.99975]
    """
    names = list(rows)
    gains = np.stack([_later_gains(rows[name]) for name in names])  # (K, U)
    earlier = [_earlier(rows[name], shrunk[name].population) for name in names]
    mean = np.stack([one.mean for one in earlier])
    sure = np.stack([one.sure for one in earlier])
    by_user = np.zeros((len(levels), gains.shape[1]))
    for k, level in enumerate(levels):
        believed = np.where((sure >= level) & (mean > 0), mean, -np.inf)  # (K, U)
        best = believed.argmax(0)
        got = np.take_along_axis(gains, best[None], 0)[0]
        by_user[k] = np.where(np.isfinite(believed.max(0)), got, 0.0)
    root = np.sqrt(max(1, gains.shape[1]))
    best_of_all = by_user[by_user.sum(1).argmax()]  # (U,)
    if best_of_all.sum() <= NOISE * root * best_of_all.std():
        return 1 - (1 - levels[-1]) / max(1, gains.size)
    lead = best_of_all - by_user  # (levels, U)
    return levels[int(np.flatnonzero(lead.sum(1) <= DOUBT * root * lead.std(1))[-1])]


def _later_gains(rows: Sequence[Floats]) -> Floats:
    """(U,) the mean gain of each user's later half; 0 without rows."""
    later = [row[len(row) // 2 :] for row in rows]
    return np.array([row.mean() if len(row) else 0.0 for row in later])


def _earlier(rows: Sequence[Floats], population: Population) -> Shrunk:
    """What is believed of each user by the earlier half of their rows alone."""
    every_n, _, every = _moments(rows)
    average = _average_variance(every, every_n)
    n, mean, squares = _moments([row[: len(row) // 2] for row in rows])
    return population.posterior(mean, _variances(squares, n, average) + drift_of(rows, average))


def gain_intervals(rows: Sequence[Floats], *, confidence: float = 0.95) -> list[Interval | None]:
    """The mean gain of each user with Student's interval; None for a user without rows.

    The variance of a user's rows is drawn toward that of all rows around their common mean, with
    its degrees of freedom (Smyth 2004, section 4). So one row has an interval, too, and three equal
    ones are not taken for certainty. It is wide on purpose: whether a single row is odd, or its
    user, cannot be told, so rows are taken to differ around their user as much as they do at all.

    >>> one, two = gain_intervals([np.array([0.1]), np.array([1.0, 1.2, 0.8, 1.0])])
    >>> round(one.low, 2), round(one.high, 2), round(two.low, 2), round(two.high, 2)
    (-1.08, 1.28, 0.6, 1.4)
    """
    n, mean, squares = _moments(rows)
    every = np.concatenate([np.empty(0), *rows])
    of_any = float(every.var(ddof=1)) if len(every) > 1 else 0.0
    variance = _variances(squares, n, of_any)
    free = np.maximum(n - 1, 0) + PRIOR_ROWS
    reach = stdtrit(free, 0.5 + confidence / 2) * np.sqrt(np.where(n > 0, variance, 0.0))
    return [
        Interval(float(g), float(g - far), float(g + far)) if n_rows else None
        for g, far, n_rows in zip(mean, reach, n, strict=True)
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
