"""The scope score: its signals, and that it comes back from its files as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tailorbird.scope import (
    FACTS,
    FILES,
    WEIGHTS,
    Known,
    ScopeScorer,
    fit_distance,
    nearness,
    read_files,
    unit,
)

DRAW = np.random.default_rng(0)
STATES = DRAW.normal(size=(7, 2, 8)).astype(np.float32)
LOGITS = DRAW.normal(size=(7, 3)).astype(np.float32)
CLASSES = np.arange(60) % 3


def scorer(*, n_layers: int = 2, n_foreign: int = 4) -> ScopeScorer:
    layers = tuple(fit_distance(DRAW.normal(size=(60, 8)), CLASSES) for _ in range(n_layers))
    foreign = unit(DRAW.normal(size=(n_foreign, 8))).astype(np.float16).astype(np.float32)
    known = Known(layers, foreign)
    centre, spread, weight = (
        np.arange(1, len(known.names) + 1, dtype=np.float32) * factor for factor in (0.1, 1.0, 0.5)
    )
    return ScopeScorer(known, centre, spread, weight, 0.25, 0.4)


@pytest.mark.parametrize("n_foreign", [0, 4])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_scorer_comes_back_from_its_files_to_the_last_bit(n_layers: int, n_foreign: int) -> None:
    made = scorer(n_layers=n_layers, n_foreign=n_foreign)
    again = ScopeScorer.from_files(made.to_files())
    assert np.array_equal(again.probabilities(LOGITS, STATES), made.probabilities(LOGITS, STATES))
    assert (again.threshold, again.known.names) == (0.4, made.known.names)
    assert made.to_files() == again.to_files()


def test_probabilities_lie_between_0_and_1_however_far_a_text_is() -> None:
    found = scorer().probabilities(LOGITS * 1e6, STATES * 1e6)
    assert ((found >= 0) & (found <= 1)).all()


def test_texts_without_states_have_no_probability_and_leave_the_others_alone() -> None:
    made, states = scorer(), STATES.copy()
    states[2] = np.nan
    found = made.probabilities(LOGITS, states)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]
    others = np.arange(7) != 2
    assert found[others] == pytest.approx(made.probabilities(LOGITS, STATES)[others], abs=1e-7)


def test_distance_is_counted_in_the_spread_of_the_texts_of_a_class() -> None:
    wide = np.array([0.3, 0.02, 0.02, 0.02])  # texts of a class differ in one direction
    around = np.eye(4)[[3] * 400] + DRAW.normal(size=(400, 4)) * wide
    distance = fit_distance(around, np.zeros(400, np.int64), ridge=0.05)
    along, across = ([[0.3, 0, 0, 1.0]], [[0, 0.3, 0, 1.0]])
    assert distance(along)[0] < 1.5
    assert distance(across)[0] > 2 * distance(along)[0]
    assert distance(np.array(across) * 7) == pytest.approx(distance(across), rel=1e-4)


def test_one_row_a_class_gives_a_distance_too() -> None:
    distance = fit_distance(np.eye(3), np.arange(3))
    assert distance(np.eye(3)) == pytest.approx([0, 0, 0], abs=0.1)
    assert np.isfinite(distance(-np.eye(3))).all()


def test_fewer_rows_than_neighbours_are_all_asked() -> None:
    assert nearness([[1.0, 0.0]], np.eye(2, dtype=np.float32), n_nearest=5).tolist() == [0.5]


def test_files_that_hold_something_else_are_refused() -> None:
    files = scorer().to_files()
    for changed in (
        {WEIGHTS: files[WEIGHTS][:-9]},
        {FACTS: b"{}"},
        {FACTS: files[FACTS].replace(b"energy", b"entropy")},
    ):
        with pytest.raises((ValueError, KeyError)):
            ScopeScorer.from_files(files | changed)


def test_half_a_scorer_is_none(tmp_path: Path) -> None:
    for name, content in scorer().to_files().items():
        (tmp_path / name).write_bytes(content)
    assert set(read_files(tmp_path)) == set(FILES)
    (tmp_path / WEIGHTS).unlink()
    assert read_files(tmp_path) == {}
