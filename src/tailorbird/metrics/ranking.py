"""Retrieval and ranking: how high what is relevant stands in the order of the scores.

Everywhere a metric is a mean over queries and takes one entry for each: *relevance* (how relevant each of its candidates is, 0
is not at all) and *scores* (how the model scores them, higher comes first). Queries may have
different numbers of candidates. Candidates of one score keep the worst of the orders they could
have (the less relevant first), so that a model that scores everything alike gains nothing.
Queries without anything relevant are left out of every mean; ValueError where none is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Lists = Sequence[ArrayLike]
"""One list of numbers a query."""


def recall_at(relevance: Lists, scores: Lists, *, k: int) -> float:
    """Share of the relevant that is among the first *k*, in [0, 1]; higher is better.

    >>> recall_at([[1, 0, 1]], [[0.9, 0.8, 0.1]], k=2)
    0.5
    """
    _require_positive(k)
    return _mean(relevance, scores, lambda order: float((order[:k] > 0).sum() / (order > 0).sum()))


def mrr(relevance: Lists, scores: Lists, *, k: int | None = None) -> float:
    """1 / rank of the first relevant candidate, in [0, 1]; higher is better.

    With *k* a rank beyond it counts 0 (MRR@k). Voorhees 1999, "The TREC-8 Question Answering Track
    Report".

    >>> mrr([[0, 1], [1, 0]], [[0.9, 0.8], [0.9, 0.8]])
    0.75
    """
    if k is not None:
        _require_positive(k)

    def reciprocal(order: NDArray[Any]) -> float:
        first = int(np.argmax(order > 0))
        return 1.0 / (first + 1) if k is None or first < k else 0.0

    return _mean(relevance, scores, reciprocal)


def mean_average_precision(relevance: Lists, scores: Lists) -> float:
    """Precision at each relevant candidate, averaged (MAP), in [0, 1]; higher is better.

    >>> round(mean_average_precision([[1, 0, 1]], [[0.9, 0.8, 0.7]]), 4)
    0.8333
    """

    def precision(order: NDArray[Any]) -> float:
        ranks = np.flatnonzero(order > 0) + 1
        return float((np.arange(1, len(ranks) + 1) / ranks).mean())

    return _mean(relevance, scores, precision)


def ndcg(relevance: Lists, scores: Lists, *, k: int | None = None) -> float:
    """Discounted cumulative gain over the best possible, in [0, 1]; higher is better.

    The gain is the relevance itself and the discount log2(rank + 1): Järvelin and Kekäläinen 2002,
    "Cumulated gain-based evaluation of IR techniques", with the discount from the first rank on.
    With *k* only the first count (NDCG@k).

    >>> round(ndcg([[3, 2, 0]], [[0.1, 0.9, 0.5]], k=3), 4)
    0.8212
    """
    if k is not None:
        _require_positive(k)

    def gain(order: NDArray[Any]) -> float:
        best = np.sort(order)[::-1][:k]
        discount = 1.0 / np.log2(np.arange(2, len(best) + 2))
        return float((order[:k] @ discount) / (best @ discount))

    return _mean(relevance, scores, gain)


def pairwise_accuracy(relevance: Lists, scores: Lists) -> float:
    """Share of pairs of unequal relevance in the right order, in [0, 1]; higher is better.

    Pairs are taken within a query and pooled over all of them; equal scores count half. Raises
    ValueError where no two candidates differ.

    >>> pairwise_accuracy([[2, 1, 0]], [[0.9, 0.1, 0.5]])
    0.6666666666666666
    """
    n_right = n_pairs = 0.0
    for truth, guess in _queries(relevance, scores):
        higher = truth[:, None] > truth[None, :]
        margin = (guess[:, None] - guess[None, :])[higher]
        n_pairs += len(margin)
        n_right += float((margin > 0).sum() + 0.5 * (margin == 0).sum())
    if not n_pairs:
        raise ValueError("no two candidates of a query differ in relevance; nothing to order")
    return n_right / n_pairs


def _mean(relevance: Lists, scores: Lists, of: Callable[[NDArray[Any]], float]) -> float:
    """The mean of *of* over queries; it is given the relevances in the order of the scores."""
    found = []
    for truth, guess in _queries(relevance, scores):
        if (truth > 0).any():
            order = np.lexsort((truth, -guess))  # by falling score, then by rising relevance
            found.append(of(truth[order]))
    if not found:
        raise ValueError("no query has a relevant candidate; a mean needs one")
    return float(np.mean(found))


def _queries(relevance: Lists, scores: Lists) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    if len(relevance) != len(scores):
        raise ValueError(f"{len(relevance)} and {len(scores)} queries differ; one entry each")
    pairs = []
    for number, (truth, guess) in enumerate(zip(relevance, scores, strict=True)):
        one, other = np.asarray(truth, dtype=np.float64), np.asarray(guess, dtype=np.float64)
        if one.shape != other.shape or one.ndim != 1:
            raise ValueError(f"query {number}: shapes {one.shape} and {other.shape} differ")
        if (one < 0).any():
            raise ValueError(f"query {number}: a relevance is below 0, which is not at all")
        pairs.append((one, other))
    return pairs


def _require_positive(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k} leaves nothing to look at; use at least 1")
