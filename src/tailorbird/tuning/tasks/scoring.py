"""Scores of tasks beyond one label: arrays in, one number out, higher is better unless said.

What is not defined for the rows at hand (a correlation with a constant) is 0, not a NaN: the best
weights are chosen by comparing scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_TO_CHOOSE = 5
"""Positive rows that a threshold needs to be chosen by; with fewer it would be chance."""


def r_squared(targets: ArrayLike, values: ArrayLike) -> float:
    """Share of the variance that is explained, at most 1; 0 for always guessing the mean.

    >>> r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    truth, guess = np.asarray(targets, float), np.asarray(values, float)
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - guess) ** 2).sum() / spread) if spread else 0.0


def spearman(targets: ArrayLike, values: ArrayLike) -> float:
    """Correlation of the ranks, in [-1, 1]; 0 where one side is constant.

    >>> round(spearman([1, 2, 3], [0.1, 0.3, 0.2]), 4)
    0.5
    """
    first, second = _ranks(targets), _ranks(values)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Places from 1; equal values share the mean of theirs."""
    _, which, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which], dtype=np.float64)


def f1_of(n_right: int, n_predicted: int, n_true: int) -> dict[str, float]:
    """F1, precision and recall of counted things, each in [0, 1]; 0 where nothing is right.

    >>> f1_of(1, 2, 4)
    {'f1': 0.3333333333333333, 'precision': 0.5, 'recall': 0.25}
    """
    precision, recall = n_right / max(1, n_predicted), n_right / max(1, n_true)
    f1 = 2 * n_right / max(1, n_predicted + n_true)
    return {"f1": f1, "precision": precision, "recall": recall}


def best_threshold(probs: NDArray[np.float32], is_true: NDArray[np.bool_]) -> float:
    """The probability from which on saying yes gives the best F1; 0.5 where few rows are true.

    It lies midway between two probabilities that were seen; of equally good ones, the one nearest
    to 0.5. Source: Lipton et al. 2014, section 3 (the optimum is a threshold).

    >>> probs, is_true = np.float32([0.1, 0.2, 0.3, 0.4, 0.45, 0.05]), np.array([1, 1, 1, 1, 1, 0])
    >>> round(best_threshold(probs, is_true.astype(bool)), 3)
    0.075
    """
    if is_true.sum() < N_TO_CHOOSE or is_true.all():
        return 0.5
    order = np.argsort(-probs, kind="stable")
    seen, right = probs[order], np.cumsum(is_true[order])
    f1 = 2 * right / (np.arange(1, len(seen) + 1) + is_true.sum())
    below = np.append(seen[1:], 0.0)
    is_cut = seen > below  # rows of one probability are said yes to together
    cuts, f1 = ((seen + below) / 2)[is_cut], f1[is_cut]
    best = cuts[np.isclose(f1, f1.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])


def mean_over(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    score: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
) -> float:
    """Mean of *score* over the queries that have a better and a worse candidate; 0 without any.

    Each group is (relevance, scores) of a query's candidates.
    """
    found = [score(truth, guess) for truth, guess in groups if np.ptp(truth) > 0]
    return float(np.mean(found)) if found else 0.0


def ndcg(relevance: NDArray[np.float64], scores: NDArray[np.float64], k: int = 10) -> float:
    """How near the first *k* come to the best order, in [0, 1]; gains ``2^relevance - 1``.

    Relevance counts from the least one of the query. Source: Burges et al. 2005, section 5.

    >>> round(ndcg(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 4)
    0.6309
    """
    gains = 2 ** (relevance - relevance.min()) - 1
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    discounts[k:] = 0
    found = gains[np.argsort(-scores, kind="stable")] @ discounts
    return float(found / (np.sort(gains)[::-1] @ discounts))


def reciprocal_rank(relevance: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """1 over the place of the first candidate that is as relevant as any, in (0, 1].

    >>> reciprocal_rank(np.array([0.0, 1.0, 1.0]), np.array([3.0, 1.0, 2.0]))
    0.5
    """
    order = np.argsort(-scores, kind="stable")
    return float(1 / (1 + np.argmax(relevance[order] == relevance.max())))


def pair_accuracy(relevance: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Share of the pairs of unlike candidates that are in the right order; a tie is half right.

    >>> pair_accuracy(np.array([2.0, 1.0, 0.0]), np.array([3.0, 1.0, 1.0]))
    0.8333333333333334
    """
    is_pair = relevance[:, None] > relevance
    lead = scores[:, None] - scores
    return float(((lead > 0) + 0.5 * (lead == 0))[is_pair].mean())
