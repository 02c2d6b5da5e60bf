"""The sequential test: when has a series more negative posts than chance explains.

Each window gives a likelihood ratio L of "the mean is d times the usual one" against "it is at
most the usual one", for several d. Under the latter E[L | past] <= 1, because the negative
binomial has a monotone likelihood ratio in its mean. The Shiryaev-Roberts statistic

    M_t = (M_(t-1) + 1) L_t,   M = mean over d of M^d,   alarm where M >= c, then M = 0

is an e-detector (Shin, Ramdas and Rinaldo 2024, E-detectors, New England Journal of Statistics in
Data Science 2(2), definition 2.2; of mixtures section 3; the statistic is Shiryaev's of 1963 and
Roberts' of 1966). With N_t alarms up to t, c N_t + M_t - t is a supermartingale from 0, so
E[N_t] <= t / c for every t: with c = windows a month / alarms a month the stated rate of false
alarms is kept, not in the long run only. That holds where the usual mean and dispersion are known;
here they are learned, so the mean is raised by its standard error first. What is learned amiss
(bursts heavier than any in the history) is not covered by the proof; tests simulate it.

CUSUM with the same c keeps the same bound, as it lies below M: it is only slower. The start of a
rise is Page's: the window from which on the ratio of the best d sums up highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.opinion.watching.seasons import Floats

FACTORS = np.array([1.5, 2.0, 3.0, 5.0, 10.0, 30.0])
"""d, each with the same weight."""
_LOG_FACTORS = np.log(FACTORS)
LARGE = FACTORS >= 3.0
"""(D,) those that a surge on top of a surge has."""


def log_ratios(negatives: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """(S, D) log L of one window of S series, negative binomial with one size both ways.

    >>> found = log_ratios(np.array([4.0]), np.array([1.0]), np.array([0.02]))
    >>> [round(float(one), 1) for one in np.exp(found[0])]
    [3.0, 5.6, 10.1, 10.6, 1.5, 0.0]
    """
    size = 1.0 / dispersion[:, None]
    raised = np.log((FACTORS * mean[:, None] + size) / (mean[:, None] + size))
    return np.asarray(negatives[:, None] * _LOG_FACTORS - (negatives[:, None] + size) * raised)


def log_ratio_at(negatives: float, mean: float, dispersion: float, factor: float) -> float:
    """The same for one series and any factor."""
    size = 1.0 / dispersion
    raised = np.log((factor * mean + size) / (mean + size))
    return float(negatives * np.log(factor) - (negatives + size) * raised)


def advance(log_statistics: Floats, ratios: Floats) -> Floats:
    """(S, D) log M of the next window."""
    return np.asarray(np.logaddexp(0.0, log_statistics) + ratios)


def mixed(log_statistics: Floats) -> Floats:
    """(S,) log of the mean over the factors, all of them or some."""
    most = np.maximum(log_statistics.max(axis=1), -700.0)
    sums = np.exp(log_statistics - most[:, None]).sum(axis=1)
    n_factors = log_statistics.shape[1]
    return np.asarray(most + np.log(np.maximum(sums, 1e-300)) - np.log(n_factors))


def start_of_rise(ratios: NDArray[np.float64]) -> int:
    """Where the sum of the (T,) log ratios up to the end is highest (Page 1954).

    >>> start_of_rise(np.array([-0.4, 0.1, -0.5, 0.8, 1.2]))
    3
    """
    return int(len(ratios) - 1 - np.argmax(np.cumsum(ratios[::-1])))
