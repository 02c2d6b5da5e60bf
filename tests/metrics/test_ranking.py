"""Metrics of rankings: against scikit-learn, and by hand where ties and cuts decide."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import sklearn.metrics as reference

from tailorbird.metrics import ranking

RNG = np.random.default_rng(5)
GRADES = [np.append(RNG.integers(0, 4, n), 1) for n in (2, 5, 9, 30)]
YES = [(grades > 1).astype(int) for grades in GRADES]
YES = [np.append(yes[:-1], 1) for yes in YES]
SCORES = [RNG.random(len(grades)) for grades in GRADES]


@pytest.mark.parametrize("k", [None, 1, 3, 100])
def test_ndcg_agrees_with_scikit_learn(k: int | None) -> None:
    pairs = zip(GRADES, SCORES, strict=True)
    expected = np.mean([reference.ndcg_score([one], [other], k=k) for one, other in pairs])
    assert ranking.ndcg(GRADES, SCORES, k=k) == pytest.approx(expected)


def test_map_and_pairs_agree_with_scikit_learn() -> None:
    pairs = list(zip(YES, SCORES, strict=True))
    expected = np.mean([reference.average_precision_score(one, other) for one, other in pairs])
    assert ranking.mean_average_precision(YES, SCORES) == pytest.approx(expected)
    area = reference.roc_auc_score(YES[-1], SCORES[-1])  # pairs of one query, in another form
    assert ranking.pairwise_accuracy([YES[-1]], [SCORES[-1]]) == pytest.approx(area)


def test_ndcg_by_hand() -> None:
    found = ranking.ndcg([[0, 2, 1]], [[3.0, 2.0, 1.0]])
    assert found == pytest.approx((2 / log2(3) + 1 / log2(4)) / (2 + 1 / log2(3)))


def test_recall_counts_what_is_within_k() -> None:
    relevance, scores = [[1, 0, 0, 1], [0, 1, 0]], [[4, 3, 2, 1], [1, 2, 3]]
    assert ranking.recall_at(relevance, scores, k=1) == 0.25
    assert ranking.recall_at(relevance, scores, k=2) == 0.75
    assert ranking.recall_at(relevance, scores, k=9) == 1.0


def test_mrr_is_zero_beyond_k() -> None:
    relevance, scores = [[0, 0, 1], [1, 0, 0]], [[3, 2, 1], [3, 2, 1]]
    assert ranking.mrr(relevance, scores) == pytest.approx((1 / 3 + 1) / 2)
    assert ranking.mrr(relevance, scores, k=2) == 0.5


def test_scoring_everything_alike_gains_nothing() -> None:
    relevance, scores = [[1, 0, 0]], [[5, 5, 5]]
    assert ranking.mrr(relevance, scores) == pytest.approx(1 / 3)
    assert ranking.recall_at(relevance, scores, k=1) == 0.0
    assert ranking.pairwise_accuracy(relevance, scores) == 0.5


def test_queries_without_an_answer_are_left_out() -> None:
    assert ranking.mrr([[0, 0], [1, 0]], [[1, 2], [2, 1]]) == 1.0
    with pytest.raises(ValueError, match="no query has a relevant candidate"):
        ranking.ndcg([[0, 0]], [[1, 2]])
    with pytest.raises(ValueError, match="nothing to order"):
        ranking.pairwise_accuracy([[1, 1]], [[1, 2]])


@pytest.mark.parametrize(
    ("relevance", "scores", "cause"),
    [
        ([[1]], [[1], [1]], "1 and 2 queries differ"),
        ([[1, 0]], [[1]], "query 0: shapes"),
        ([[1, -1]], [[1, 2]], "below 0"),
    ],
)
def test_what_does_not_pair_up_is_refused(relevance: list, scores: list, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        ranking.mrr(relevance, scores)


def test_k_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="k = 0"):
        ranking.recall_at([[1]], [[1]], k=0)
