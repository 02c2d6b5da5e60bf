"""Wrong labels are found, right ones mostly left alone, and a gain is only what rows support."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tailorbird.errors import ConfigError, DataError, MissingExtraError
from tailorbird.evaluation.doubts import WAYS, calibrated, find_doubts
from tailorbird.evaluation.gains import paired_gain


def noisy(n_rows: int, n_wrong: int, seed: int = 0) -> tuple[np.ndarray, list[int], set[int]]:
    """Probabilities of three classes, mostly right, and labels of which some are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n_rows)
    logits = rng.normal(0, 1, (n_rows, 3))
    logits[np.arange(n_rows), truth] += 4.0
    given = truth.copy()
    wrong = rng.choice(n_rows, n_wrong, replace=False)
    given[wrong] = (truth[wrong] + rng.integers(1, 3, n_wrong)) % 3
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs, given.tolist(), set(wrong.tolist())


@pytest.mark.parametrize("how", WAYS)
def test_injected_noise_is_found(how: str) -> None:
    probs, given, wrong = noisy(400, 60)
    found = {doubt.row for doubt in find_doubts(probs, given, how=how)}
    assert len(found & wrong) / len(wrong) > (0.9 if how == "self_confidence" else 0.75)
    assert len(found & wrong) / len(found) > 0.85


def test_doubts_come_worst_first_and_suggest_the_likeliest_other_label() -> None:
    probs, given, _ = noisy(400, 60)
    doubts = find_doubts(probs, given)
    assert [d.score for d in doubts] == sorted(d.score for d in doubts)
    for doubt in doubts:
        assert doubt.given == given[doubt.row] != doubt.suggested
        assert doubt.suggested_prob == max(probs[doubt.row]) > doubt.score


def test_clean_labels_raise_no_doubt() -> None:
    probs = np.full((60, 3), 0.02)
    given = [row % 3 for row in range(60)]
    probs[np.arange(60), given] = 0.96
    assert find_doubts(probs, given) == []


def test_rows_that_cannot_be_judged_are_never_doubted() -> None:
    probs, given, wrong = noisy(400, 60)
    judged = [row not in wrong for row in range(400)]
    assert not {doubt.row for doubt in find_doubts(probs, given, judged=judged)} & wrong


def test_a_label_that_no_row_has_does_not_matter() -> None:
    probs, given, _ = noisy(400, 60)
    wider = np.insert(probs, 1, 0.0, axis=1)
    shifted = [label + (label > 0) for label in given]
    plain = [doubt.row for doubt in find_doubts(probs, given)]
    assert [doubt.row for doubt in find_doubts(wider, shifted)] == plain


def test_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="19 rows can be judged"):
        find_doubts(np.full((19, 2), 0.5), [0, 1] * 9 + [0])


def test_unknown_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="'guess' is no way"):
        find_doubts(np.full((40, 2), 0.5), [0, 1] * 20, how="guess")


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tailorbird\[labels\]'"):
        find_doubts(np.full((40, 2), 0.5), [0, 1] * 20)


def test_calibrated_probabilities_are_as_sure_as_the_labels_allow() -> None:
    logits = np.array([[9.0, 0.0]] * 8 + [[0.0, 9.0]] * 2)
    given = [0] * 6 + [1] * 2 + [1] * 2  # two of ten are wrong
    assert calibrated(logits, given).max(axis=1).mean() == pytest.approx(0.8, abs=0.01)


def test_ensemble_that_does_not_win_is_not_kept() -> None:
    right = [1] * 90 + [0] * 10
    gain = paired_gain([1] * 91 + [0] * 9, right)  # one row of a hundred is chance
    assert gain.gain.value == pytest.approx(0.01)
    assert not gain.wins


def test_gain_on_many_rows_wins() -> None:
    gain = paired_gain([1] * 97 + [0] * 3, [1] * 90 + [0] * 10)
    assert gain.wins
    assert str(gain).startswith("0.9700 against 0.9000: +0.0700 (+0.0")


def test_interval_of_paired_rows_ignores_how_hard_rows_are() -> None:
    rng = np.random.default_rng(0)
    same = rng.integers(0, 2, 2000)
    better = same.copy()
    better[np.flatnonzero(same == 0)[:20]] = 1
    gain = paired_gain(better, same)
    assert 0.005 < gain.gain.low < 0.01 < gain.gain.high < 0.016
