"""Metrics of spans: conlleval's way of counting, by hand."""

from __future__ import annotations

import pytest

from tailorbird.metrics.spans import SpanScores, span_scores, span_scores_by_label
from tailorbird.records import Span

TRUTH = [
    [Span(0, 4, "person"), Span(8, 12, "city")],
    [Span(0, 3, "city")],
    [],
]
GUESS = [
    [Span(0, 4, "person"), Span(8, 11, "city")],  # one right; one a character too short
    [Span(0, 3, "person")],  # right place, wrong label
    [Span(1, 2, "city")],  # nothing there
]


def test_micro_scores_count_whole_spans_only() -> None:
    assert span_scores(TRUTH, GUESS) == SpanScores(1 / 4, 1 / 3, 2 / 7, 3)


def test_each_label_has_its_own_row() -> None:
    found = span_scores_by_label(TRUTH, GUESS)
    assert list(found) == ["city", "person"]
    assert found["city"] == SpanScores(0.0, 0.0, 0.0, 2)
    assert found["person"] == SpanScores(1 / 2, 1.0, 2 / 3, 1)


def test_the_same_span_in_another_row_is_not_the_same() -> None:
    spans = [Span(0, 1, "x")]
    assert span_scores([spans, []], [[], spans]).f1 == 0.0


def test_a_span_counts_once_in_a_row() -> None:
    spans = [Span(0, 1, "x")]
    assert span_scores([spans], [spans * 3]) == SpanScores(1.0, 1.0, 1.0, 1)


def test_nothing_to_find_and_nothing_found_is_zero() -> None:
    assert span_scores([[]], [[]]) == SpanScores(0.0, 0.0, 0.0, 0)


def test_rows_must_pair_up() -> None:
    with pytest.raises(ValueError, match="1 and 2 rows differ"):
        span_scores([[]], [[], []])
    with pytest.raises(ValueError, match="no rows"):
        span_scores([], [])
