"""Token classification: whole spans, right only where start, end and label all are.

As in conlleval (Tjong Kim Sang and Buchholz 2000, "Introduction to the CoNLL-2000 Shared Task"):
a span that is one character too short is one false and one missed span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tailorbird.records import Span


@dataclass(frozen=True, slots=True)
class SpanScores:
    """How well spans were found."""

    precision: float
    """Share of the found spans that are true, in [0, 1]; 0 where none was found."""
    recall: float
    """Share of the true spans that were found, in [0, 1]; 0 where there are none."""
    f1: float
    """Harmonic mean of both, in [0, 1]; higher is better."""
    support: int
    """True spans."""


def span_scores(
    targets: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> SpanScores:
    """Micro scores over all spans of all rows; a span counts once a row, however often it is given.

    >>> truth, guess = [[Span(0, 2, "city"), Span(5, 6, "day")]], [[Span(0, 2, "city")]]
    >>> span_scores(truth, guess)
    SpanScores(precision=1.0, recall=0.5, f1=0.6666666666666666, support=2)
    """
    true, found, right = _counts(targets, predicted)
    return _scores(true.total(), found.total(), right.total())


def span_scores_by_label(
    targets: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> dict[str, SpanScores]:
    """The scores of each label that is true or was found, sorted by label.

    >>> span_scores_by_label([[Span(0, 2, "city")]], [[Span(0, 2, "day")]])["city"].recall
    0.0
    """
    true, found, right = _counts(targets, predicted)
    labels = sorted(true.keys() | found.keys())
    return {label: _scores(true[label], found[label], right[label]) for label in labels}


def _counts(
    targets: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    if len(targets) != len(predicted):
        raise ValueError(f"{len(targets)} and {len(predicted)} rows differ; one entry a row each")
    if not targets:
        raise ValueError("no rows to measure; a metric needs at least one")
    true: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for truth, guess in zip(targets, predicted, strict=True):
        these, those = set(truth), set(guess)
        true.update(span.label for span in these)
        found.update(span.label for span in those)
        right.update(span.label for span in these & those)
    return true, found, right


def _scores(n_true: int, n_found: int, n_right: int) -> SpanScores:
    return SpanScores(
        precision=n_right / n_found if n_found else 0.0,
        recall=n_right / n_true if n_true else 0.0,
        f1=2 * n_right / (n_true + n_found) if n_true + n_found else 0.0,
        support=n_true,
    )
