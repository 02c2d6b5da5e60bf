"""Scores begin at one feature, and trees learn what that leaves."""

from __future__ import annotations

import numpy as np
import pytest

from tailorbird.assistants.recommend.ranking.ranker import RankerRows, fit_ranker
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings

NAMES = ["match", "popularity_recent", "price"]


def rows(n_lists: int, *, n: int = 20) -> RankerRows:
    """Cheap things are liked, whatever the match says."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n_lists * n, 3)).astype(np.float32)
    return RankerRows(features, (features[:, 2] < -1).astype(np.int64), [n] * n_lists)


@pytest.mark.parametrize(("n_matches", "start"), [(1, 0), (0, 1)])
def test_few_lists_leave_the_order_that_scores_begin_with(n_matches: int, start: int) -> None:
    settings = RecommendSettings(n_matches=n_matches, n_threads=1)
    few = rows(2)
    ranker = fit_ranker(few, NAMES, settings)
    assert ranker.start.feature == NAMES[start]
    order = np.argsort(-ranker.scores(few.features))
    np.testing.assert_array_equal(order, np.argsort(-few.features[:, start]))


def test_many_lists_teach_another_order() -> None:
    ranker = fit_ranker(rows(200), NAMES, RecommendSettings(n_threads=1))
    asked = np.array([[0.5, 0, 1.5], [-0.5, 0, -1.5]], np.float32)
    dear, cheap = ranker.scores(asked)
    assert cheap > dear
    why = ranker.contributions(asked)
    assert why[1].argmax() == NAMES.index("price")
    # What is added up is the score, but for what all have in common.
    assert why[1].sum() - why[0].sum() == pytest.approx(cheap - dear, rel=1e-6)


def test_a_candidate_without_the_feature_begins_at_nothing() -> None:
    ranker = fit_ranker(rows(2), NAMES, RecommendSettings(n_threads=1))
    asked = np.array([[np.nan, 0, 0], [1, 0, 0]], np.float32)
    assert np.diff(ranker.scores(asked))[0] == pytest.approx(1.0)
