"""What is usual: how many negative posts a window should have, and how much that varies.

Negative posts k of a window, given its m other posts, are negative binomial around

    mean = level × season × (r + m) / (r + b)

with b the other posts that are usual in this window. This is the negative multinomial (Johnson,
Kotz and Balakrishnan 1997, Discrete Multivariate Distributions, chapter 36): volume that moves all
posts of a topic alike is a gamma factor of size r on both counts, and m tells of it. Small r is
the test of a share (as a beta-binomial is), large r that of a count; a series picks r by its own
history, 10 at most, so that a rise of all posts alike is never a surge of negative ones.

The variance is mean + v mean², v the largest that blocks of 1, 4, 12 and 48 windows show: bursts
and volume that last several windows look harmless in single ones. Past surges are capped at six
deviations; those that were found are left out. Letters: S series, H windows of history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.opinion.watching.seasons import Floats, Season, fit_season, flat

_VOLUME_SIZES = (1.0, 3.0, 10.0)
_BLOCKS = (4, 12, 48)
_HALF_LIFE_DAYS = 30.0
_CAP_DEVIATIONS = 6.0
_CAUTION = 1.15
"""On v: a tail that is thought too thin by a hundredth adds up over a month of windows."""
_ROUNDS = 2
_PRIOR_DISPERSION = 0.15
_DISPERSIONS = (0.02, 20.0)


@dataclass(frozen=True, slots=True)
class History:
    """The last windows in the order of time."""

    windows: NDArray[np.int64]
    """(H,) their numbers."""
    places: NDArray[np.int64]
    """(H,) of `seasons.place_in_week`."""
    negatives: Floats
    """(S, H)."""
    others: Floats
    """(S, H)."""
    totals: Floats
    """(H,) of the posts of all series together, each once."""
    teaches: NDArray[np.bool_]
    """(S, H): not before a series began, in holes, or while an alert was open."""
    window_s: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What `step` needs to say how usual a window is; one row a series."""

    negatives: Floats
    """(S, 7 P): expected negative posts at usual volume."""
    others: Floats
    """(S, 7 P)."""
    volume_size: Floats
    """(S,): r."""
    dispersion: Floats
    """(S,): v."""
    margin: Floats
    """(S,): the mean by which `negatives` may be too low, as a factor: one standard error."""
    total: Floats
    """(7 P,): expected posts of all series."""

    def mean(self, place: int, others: Floats) -> Floats:
        """Expected negative posts of the windows at *place*, given (S,) *others*."""
        size = self.volume_size
        volume = (size + others) / (size + self.others[:, place])
        return np.asarray(self.negatives[:, place] * volume)


def fit_baseline(history: History) -> Baseline:
    """Learn what is usual from the history; see the top of this file."""
    age_days = (history.windows[-1] - history.windows) * history.window_s / 86_400
    decay = np.exp2(-age_days / _HALF_LIFE_DAYS)  # (H,)
    weights = decay * history.teaches
    known = (decay * (history.totals >= 0))[None]
    totals = np.maximum(history.totals, 0.0)[None]
    of_all = fit_season(totals, known, history.places, flat(history.window_s), 5.0)
    week = of_all.week()[0]
    in_all = (totals * known).sum() / max((known * week[history.places]).sum(), 1e-9)
    posts = history.negatives + history.others
    of_posts = fit_season(_capped(posts, history.teaches), weights, history.places, of_all, 10.0)
    fitted = _fit_negatives(history, weights, of_posts)
    return Baseline(**fitted, total=in_all * week)


def _fit_negatives(history: History, weights: Floats, of_posts: Season) -> dict[str, Floats]:
    """Levels, sizes and margins; twice, because the cap needs a mean and the mean a cap."""
    week = of_posts.week()  # (S, 7 P)
    usual = week[:, history.places]  # (S, H)
    others = _capped(history.others, history.teaches)
    level_others = _level(others, weights, usual)
    expected_others = level_others[:, None] * usual
    counts = _capped(history.negatives, history.teaches)
    size = np.full(len(counts), _VOLUME_SIZES[-1])
    for _ in range(_ROUNDS):
        season = fit_season(counts, weights, history.places, of_posts, 30.0).week()
        usual = season[:, history.places]
        size = _volume_size(counts, weights, usual, (others, expected_others))
        volume = (size[:, None] + history.others) / (size[:, None] + expected_others)
        level = _level(counts, weights, usual * volume)
        mean = level[:, None] * usual * volume
        dispersion = _dispersion(counts - mean, mean, history.teaches)
        deviation = np.sqrt(mean + dispersion[:, None] * mean**2)
        counts = np.minimum(history.negatives, mean + _CAP_DEVIATIONS * deviation + 1.0)
    seen = (weights * counts).sum(axis=1) + 0.5
    spread = (weights**2 * mean**2).sum(axis=1) / np.maximum(
        (weights * mean).sum(axis=1), 1e-9
    ) ** 2
    return {
        "negatives": level[:, None] * season,
        "others": level_others[:, None] * week,
        "volume_size": size,
        "dispersion": dispersion,
        "margin": 1.0 + np.sqrt(1.0 / seen + dispersion * spread),
    }


def _capped(counts: Floats, teaches: NDArray[np.bool_]) -> Floats:
    """Counts, none above ten deviations of its row: before there is any season."""
    n = np.maximum(teaches.sum(axis=1, keepdims=True), 1)
    mean = (counts * teaches).sum(axis=1, keepdims=True) / n
    variance = ((counts - mean) ** 2 * teaches).sum(axis=1, keepdims=True) / n
    deviation = np.sqrt(np.maximum(variance, mean))
    return np.asarray(np.minimum(counts, mean + 10 * deviation + 1.0))


def _level(counts: Floats, weights: Floats, exposure: Floats) -> Floats:
    """(S,): posts a window; half a post more than were seen (Jeffreys' prior of a rate)."""
    seen = (weights * counts).sum(axis=1) + 0.5
    return np.asarray(seen / np.maximum((weights * exposure).sum(axis=1), 1e-9))


def _volume_size(
    counts: Floats, weights: Floats, usual: Floats, others: tuple[Floats, Floats]
) -> Floats:
    """(S,): the r with which other posts foretell the negative ones best (Poisson likelihood)."""
    seen, expected = others
    best = np.full(len(counts), -np.inf)
    chosen = np.full(len(counts), _VOLUME_SIZES[-1])
    weighted = weights * counts
    for size in _VOLUME_SIZES[::-1]:  # the larger where they are equal
        volume = (size + seen) / (size + expected)
        exposure = (weights * usual * volume).sum(axis=1)
        # The level is profiled out: what is left of sum(k log mean - mean).
        fit = (weighted * np.log(volume)).sum(axis=1)
        fit -= weighted.sum(axis=1) * np.log(np.maximum(exposure, 1e-9))
        better = fit > best + 1e-6
        best, chosen = np.where(better, fit, best), np.where(better, size, chosen)
    return chosen


def _dispersion(rest: Floats, mean: Floats, teaches: NDArray[np.bool_]) -> Floats:
    """(S,): v by moments, shrunk to all series' where one says little; the worst block counts."""
    rest, mean = rest * teaches, mean * teaches
    squares = np.maximum((mean**2).sum(axis=1), 1e-12)
    single, error = _excess(rest, mean, squares)
    trust = 1.0 / error**2
    pooled = (trust * single).sum() + _PRIOR_DISPERSION / 0.1**2
    pooled = np.clip(pooled / (trust.sum() + 1.0 / 0.1**2), 0.02, 2.0)
    spread = 1.0 / (0.5 * pooled + 0.1) ** 2
    worst = first = (single * trust + pooled * spread) / (trust + spread)
    for n in _BLOCKS:
        whole = rest.shape[1] // n * n
        if not whole:
            continue
        blocks = [part[:, -whole:].reshape(len(part), -1, n).sum(axis=2) for part in (rest, mean)]
        found, error = _excess(blocks[0], blocks[1], squares)
        trust, spread_of_first = 1.0 / error**2, 1.0 / (0.5 * np.maximum(first, 0.02)) ** 2
        worst = np.maximum(
            worst, (found * trust + first * spread_of_first) / (trust + spread_of_first)
        )
    return np.asarray(np.clip(_CAUTION * worst, *_DISPERSIONS))


def _excess(rest: Floats, mean: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """(S,) variance above Poisson's in units of mean², and its standard error without any."""
    excess = (rest**2 - mean).sum(axis=1) / squares
    error = np.sqrt((2 * mean**2 + mean).sum(axis=1)) / squares
    return excess, np.maximum(error, 1e-6)
