"""Candidates in order: rows of unequal numbers of candidates, scores by hand, whole groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tailorbird.modeling import TextModel
from tailorbird.records import Candidate, Example
from tailorbird.tuning.tasks import TASKS
from tailorbird.tuning.tasks.ranking import by_query

TASK = TASKS["ranking"]
ROWS = [
    Example("a", candidates=(Candidate("x", 2.0), Candidate("yy", 0.0), Candidate("z", 1.0))),
    Example("b", candidates=(Candidate("w", 1.0),)),
    Example("c d", candidates=(Candidate("v", 0.0), Candidate("uu", 3.0))),
]


def test_candidates_stay_with_their_query_in_any_order(
    model_of: Callable[..., TextModel],
) -> None:
    rows = TASK.encode(model_of("ranking"), ROWS)
    assert len(rows) == 3
    assert rows.units.tolist() == [0, 3, 4, 6]
    truth = rows.truth([2, 0])
    scores, relevance, is_there = by_query(torch.arange(5.0)[:, None], truth)
    assert scores.tolist() == [[0.0, 1.0, 0.0], [2.0, 3.0, 4.0]]
    assert relevance.tolist() == [[0.0, 3.0, 0.0], [2.0, 0.0, 1.0]]
    assert is_there.tolist() == [[True, True, False], [True, True, True]]
    assert rows.batch([2, 0]).n_texts == 5


def test_scores_are_means_over_queries_with_something_to_order(
    model_of: Callable[..., TextModel],
) -> None:
    model = model_of("ranking")
    truth = TASK.encode(model, ROWS).truth([0, 1, 2])
    outputs = torch.tensor([[1.0], [2.0], [0.0], [9.0], [1.0], [5.0]])
    found = TASK.scores(outputs, truth, model)
    # Query a: gains 0, 2, 1 in the order found; query b has nothing to order; query c is right.
    of_a = (2 / math.log2(3) + 1 / 2) / (2 + 1 / math.log2(3))
    assert found["ndcg_at_10"] == pytest.approx((of_a + 1) / 2)
    assert found["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["pair_accuracy"] == pytest.approx((1 + 1) / (3 + 1))


def test_relevance_counts_from_the_least_of_the_query(
    model_of: Callable[..., TextModel],
) -> None:
    model = model_of("ranking")
    ratings = (Candidate("x", -1.0), Candidate("y", 4.0))
    truth = TASK.encode(model, [Example("a", candidates=ratings)]).truth([0])
    outputs = torch.tensor([[1.0], [0.0]])
    found = TASK.scores(outputs, truth, model)
    assert found == {"ndcg_at_10": pytest.approx(1 / math.log2(3)), "mrr": 0.5, "pair_accuracy": 0}
    alike = TASK.encode(model, [ROWS[1]]).truth([0])
    assert TASK.scores(torch.ones(1, 1), alike, model)["ndcg_at_10"] == 0.0


def test_the_answer_is_the_candidates_best_first(model_of: Callable[..., TextModel]) -> None:
    said = TASK.predict(model_of("ranking"), ROWS)
    for answer, row in zip(said, ROWS, strict=True):
        scores = [one["score"] for one in answer["ranking"]]
        assert scores == sorted(scores, reverse=True)
        assert all(row.candidates[one["place"]].text == one["text"] for one in answer["ranking"])
