"""The scope score: its signals, and that it comes back from its files as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tailorbird.scope import FACTS, FILES, WEIGHTS, Neighbours, ScopeScorer, nearness, read_files

DRAW = np.random.default_rng(0)
STATES = DRAW.normal(size=(7, 8)).astype(np.float32)
LOGITS = DRAW.normal(size=(7, 3)).astype(np.float32)


def scorer(*, n_foreign: int = 4) -> ScopeScorer:
    def rows(n: int) -> np.ndarray:
        drawn = DRAW.normal(size=(n, 8))
        drawn /= np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-9)
        return drawn.astype(np.float16).astype(np.float32)

    n_signals = 2 + bool(n_foreign)
    centre, spread, weight = (
        np.arange(1, n_signals + 1, dtype=np.float32) * factor for factor in (0.1, 1.0, 0.5)
    )
    return ScopeScorer(Neighbours(rows(50), rows(n_foreign), 3), centre, spread, weight, 0.25, 0.4)


@pytest.mark.parametrize("n_foreign", [0, 4])
def test_a_scorer_comes_back_from_its_files_to_the_last_bit(n_foreign: int) -> None:
    made = scorer(n_foreign=n_foreign)
    again = ScopeScorer.from_files(made.to_files())
    assert np.array_equal(again.probabilities(LOGITS, STATES), made.probabilities(LOGITS, STATES))
    assert (again.threshold, again.neighbours.n_nearest) == (0.4, 3)
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


def test_the_length_of_a_state_says_nothing() -> None:
    rows = scorer().neighbours.rows
    assert nearness(STATES * 7, rows, n_nearest=3) == pytest.approx(
        nearness(STATES, rows, n_nearest=3), abs=1e-6
    )


def test_fewer_rows_than_neighbours_are_all_asked() -> None:
    rows = np.eye(2, dtype=np.float32)
    assert nearness([[1.0, 0.0]], rows, n_nearest=5).tolist() == [0.5]
    assert nearness([[1.0, 0.0]], rows[:0], n_nearest=5).tolist() == [0.0]


def test_files_that_hold_something_else_are_refused() -> None:
    files = scorer().to_files()
    for changed in (
        {WEIGHTS: files[WEIGHTS][:-9]},
        {FACTS: b"{}"},
        {FACTS: files[FACTS].replace(b"nearness", b"distance")},
    ):
        with pytest.raises((ValueError, KeyError)):
            ScopeScorer.from_files(files | changed)


def test_half_a_scorer_is_none(tmp_path: Path) -> None:
    for name, content in scorer().to_files().items():
        (tmp_path / name).write_bytes(content)
    assert set(read_files(tmp_path)) == set(FILES)
    (tmp_path / WEIGHTS).unlink()
    assert read_files(tmp_path) == {}
