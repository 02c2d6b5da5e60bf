"""Regression: how far predicted numbers are from the true ones, and how well they go together.

Everywhere *targets* and *predicted* are of shape (N,), in the unit of the value that is predicted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mae(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in [0, inf) and the unit of the values; lower is better.

    >>> mae([1.0, 2.0, 5.0], [1.0, 4.0, 4.0])
    1.0
    """
    truth, guess = _paired(targets, predicted)
    return float(np.abs(truth - guess).mean())


def rmse(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, in [0, inf) and the unit of the values; lower is better.

    >>> rmse([0.0, 0.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0])
    2.0
    """
    truth, guess = _paired(targets, predicted)
    return float(np.sqrt(np.square(truth - guess).mean()))


def r_squared(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the variance that is explained, in (-inf, 1]; higher is better.

    Always predicting the mean of these rows gives 0. Where the true values are all the same, it is
    1 for a perfect prediction and else 0, for there is nothing to explain (as in scikit-learn).

    >>> r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    truth, guess = _paired(targets, predicted)
    residual = float(np.square(truth - guess).sum())
    total = float(np.square(truth - truth.mean()).sum())
    if total == 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - residual / total


def pearson(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Linear correlation, in [-1, 1]; higher is better. 0 where one side never changes.

    >>> round(pearson([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), 6)
    1.0
    """
    truth, guess = _paired(targets, predicted)
    if np.ptp(truth) == 0.0 or np.ptp(guess) == 0.0:
        return 0.0
    first, second = truth - truth.mean(), guess - guess.mean()
    # Scaled first, so that neither very large nor very small numbers leave the range of floats.
    first, second = first / np.abs(first).max(), second / np.abs(second).max()
    shared = float(first @ second) / float(np.sqrt((first @ first) * (second @ second)))
    return min(1.0, max(-1.0, shared))


def spearman(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Correlation of the ranks, in [-1, 1]; higher is better. 0 where one side never changes.

    Equal values share the mean of their ranks, so it is the correlation of Pearson of these ranks
    and not the shortcut with squared differences, which is wrong for ties.

    >>> spearman([1.0, 2.0, 3.0], [1.0, 10.0, 100.0])
    1.0
    """
    truth, guess = _paired(targets, predicted)
    return pearson(mean_ranks(truth), mean_ranks(guess))


def mean_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """The rank (N,) of each value from 1; equal ones share the mean of theirs.

    >>> mean_ranks([30, 10, 30]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the highest rank of each different value
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def _paired(targets: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth = np.asarray(targets, dtype=np.float64)
    guess = np.asarray(predicted, dtype=np.float64)
    if truth.shape != guess.shape:
        raise ValueError(f"shapes {truth.shape} and {guess.shape} differ; one entry a row each")
    if truth.size == 0:
        raise ValueError("no rows to measure; a metric needs at least one")
    return truth, guess
