"""Fitting the scope score: what it is taught by, and what it then turns away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailorbird.config import EvaluationSettings
from tailorbird.evaluation.scope import (
    MIN_OUTSIDE,
    LearnedScope,
    ScopeRows,
    Seen,
    fit_scope,
    learn_scope,
    sampled,
)
from tailorbird.records import Example
from tailorbird.scope import ScopeScorer

N_CLASSES, WIDTH = 6, 32
DRAW = np.random.default_rng(0)
MEANS = np.linalg.qr(DRAW.normal(size=(WIDTH, WIDTH)))[0]
"""Orthogonal directions: the first are those of the classes, the others nobody's."""
SETTINGS = EvaluationSettings(false_alarm_rate=0.05)


def seen(directions: np.ndarray, n_each: int, *, noise: float = 0.06) -> Seen:
    """Texts around each of *directions*, and what a linear head of the classes makes of them."""
    centres = np.repeat(directions, n_each, axis=0)
    states = (centres + DRAW.normal(0, noise, centres.shape)).astype(np.float32)
    logits = (12 * states @ MEANS[:N_CLASSES].T).astype(np.float32)
    return Seen(logits, np.stack([states, states[:, ::-1]], 1))  # two layers


def rows(**outside: Seen) -> ScopeRows:
    classes = np.repeat(np.arange(N_CLASSES), 40)
    return ScopeRows(
        seen(MEANS[:N_CLASSES], 40).states,
        classes,
        seen(MEANS[:N_CLASSES], 40),
        classes,
        outside,
    )


def strangers(n_each: int = 20) -> Seen:
    """Texts that lean towards one class as far as others of the head do, and are none of it."""
    directions = 0.7 * MEANS[:4] + 0.7 * MEANS[N_CLASSES : N_CLASSES + 4]
    return seen(directions, n_each)


def share_out(scorer: ScopeScorer, what: Seen) -> float:
    return float(np.mean(scorer.probabilities(*what) < scorer.threshold))


def test_texts_of_no_intent_are_caught_at_no_more_false_alarms_than_allowed() -> None:
    scorer, report = fit_scope(rows(), SETTINGS)
    assert report.taught_by == "in_scope"
    assert (report.caught, report.caught_by_confidence) == (None, None)
    assert report.false_alarm_rate <= 0.05
    assert share_out(scorer, seen(MEANS[:N_CLASSES], 200)) < 0.1
    assert share_out(scorer, strangers()) > 0.95
    assert share_out(scorer, seen(MEANS[-4:], 20)) > 0.95


def test_the_score_falls_where_a_text_is_farther_from_what_is_known() -> None:
    scorer, report = fit_scope(rows(), SETTINGS)
    steps = np.linspace(0, 0.4, 6)[:, None]
    walk = seen((1 - steps) * MEANS[0] + steps * MEANS[-1], 1, noise=0.0)
    found = scorer.probabilities(*walk)
    assert (np.diff(found) < 0).all()
    assert all(weight >= 0 for weight in report.weights.values())


def test_labelled_rows_teach_it_once_there_are_enough() -> None:
    few = Seen(*(part[: MIN_OUTSIDE - 1] for part in strangers()))
    assert fit_scope(rows(train=strangers(), validation=few), SETTINGS)[1].taught_by == "in_scope"
    scorer, report = fit_scope(rows(train=strangers(), validation=strangers()), SETTINGS)
    assert (report.taught_by, set(report.weights)) == (
        "rows",
        {
            "energy",
            "meaning",
            "wording",
            "foreign",
        },
    )
    assert report.weights["foreign"] < 0
    assert report.n_outside == {"train": 80, "validation": 80}
    assert report.false_alarm_rate <= 0.05
    assert report.caught == pytest.approx(share_out(scorer, strangers()), abs=0.05)
    assert share_out(scorer, strangers()) > 0.95


def test_the_score_of_half_is_where_it_turns_texts_away_that_nothing_taught() -> None:
    scorer, report = fit_scope(rows(), SETTINGS)
    assert scorer.threshold == pytest.approx(0.5, abs=0.02)
    inside = scorer.probabilities(*seen(MEANS[:N_CLASSES], 50))
    assert np.median(inside) > 0.9
    assert report.threshold == scorer.threshold


def test_the_curve_goes_from_nothing_turned_away_to_nearly_all() -> None:
    _, report = fit_scope(rows(train=strangers(), validation=strangers()), SETTINGS)
    first, last = report.curve[0], report.curve[-1]
    assert (first.false_alarms, first.caught) == (0.0, 0.0)
    assert last.caught > 0.99
    caught = [point.caught for point in report.curve]
    assert caught == sorted(caught)


def test_the_test_rows_are_measured_with_the_threshold_of_validation() -> None:
    learned = LearnedScope(*fit_scope(rows(), SETTINGS))
    test = seen(MEANS[:N_CLASSES], 50)
    assert set(learned.confirmed(test).test) == {"false_alarm_rate"}
    found = replace(learned, outside_test=strangers()).confirmed(test)
    assert found.test["caught"] > 0.95
    assert found.threshold == learned.report.threshold


def test_few_kept_rows_are_shared_out_by_class() -> None:
    targets = np.repeat([0, 1, 2], [700, 200, 100])
    kept = sampled(targets, 100)
    assert len(set(kept.tolist())) == len(kept) == 100
    assert np.bincount(targets[kept]).tolist() == pytest.approx([70, 20, 10], abs=1)
    assert sampled(targets, 1000).tolist() == list(range(1000))


class Model:
    """Says of a text what its first letter says."""

    labels = tuple("abcdef")

    def outputs(self, texts: list[str]) -> tuple[Any, Any]:
        directions = np.stack([MEANS["abcdef".find(text[0])] for text in texts])
        return seen(directions, 1)


def test_a_model_is_asked_for_the_kept_rows_and_those_out_of_scope() -> None:
    train = [Example(f"{letter}{n}", letter) for letter in "abcdef" for n in range(30)]
    classes = np.repeat(np.arange(6), 20)
    validation = (seen(MEANS[:N_CLASSES], 20), classes)
    settings = replace(SETTINGS, scope_rows=60)
    outside = {"train": [], "validation": [], "test": [Example("z", "oos")] * 5}
    learned = learn_scope(Model(), train, validation, outside=outside, settings=settings)
    assert learned is not None
    assert learned.report.n_rows == 60
    assert learned.report.n_outside == {"test": 5}
    assert learned.confirmed(validation[0]).test["caught"] == 1.0
    confident = replace(settings, scope="confidence")
    assert learn_scope(Model(), train, validation, outside=outside, settings=confident) is None
