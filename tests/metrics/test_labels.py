"""Metrics of several labels and of one yes or no: against scikit-learn, and written-out values."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from tailorbird.metrics import labels

RNG = np.random.default_rng(7)
TRUTH = (RNG.random((60, 5)) < 0.3).astype(int)
SCORES = (TRUTH * 0.4 + RNG.random((60, 5))).round(1)  # rounded: many ties
GUESS = (SCORES > 0.7).astype(int)


def test_micro_macro_and_subset_agree_with_scikit_learn() -> None:
    micro = reference.f1_score(TRUTH, GUESS, average="micro")
    macro = reference.f1_score(TRUTH, GUESS, average="macro")
    assert labels.micro_f1_of_labels(TRUTH, GUESS) == pytest.approx(micro)
    assert labels.macro_f1_of_labels(TRUTH, GUESS) == pytest.approx(macro)
    assert labels.subset_accuracy(TRUTH, GUESS) == reference.accuracy_score(TRUTH, GUESS)


def test_binary_metrics_agree_with_scikit_learn() -> None:
    truth, guess, scores = TRUTH[:, 0], GUESS[:, 0], SCORES[:, 0]
    assert labels.positive_f1(truth, guess) == reference.f1_score(truth, guess)
    assert labels.roc_auc(truth, scores) == reference.roc_auc_score(truth, scores)
    expected = reference.average_precision_score(truth, scores)
    assert labels.average_precision(truth, scores) == expected
    mean = reference.average_precision_score(TRUTH, SCORES, average="macro")
    assert labels.mean_average_precision_of_labels(TRUTH, SCORES) == pytest.approx(mean)


def test_of_a_single_label_the_yes_alone_counts() -> None:
    assert labels.micro_f1_of_labels([[1], [1], [0], [0]], [[1], [0], [0], [0]]) == 2 / 3
    assert labels.micro_f1_of_labels([[1], [0]], [[0], [0]]) == 0.0


def test_roc_auc_counts_ties_half() -> None:
    assert labels.roc_auc([1, 0], [0.5, 0.5]) == 0.5


def test_a_label_that_never_occurs_does_not_pull_the_mean_down() -> None:
    assert labels.macro_f1_of_labels([[1, 0]], [[1, 0]]) == 1.0
    assert labels.macro_f1_of_labels([[1, 0]], [[1, 1]]) == 0.5
    assert labels.macro_f1_of_labels([[0, 0]], [[0, 0]]) == 0.0
    assert labels.mean_average_precision_of_labels([[0], [0]], [[1], [2]]) == 0.0


def test_thresholds_reach_the_best_f1_that_any_threshold_reaches() -> None:
    found = labels.best_thresholds(TRUTH, SCORES)
    for label in range(5):
        truth, scores = TRUTH[:, label], SCORES[:, label]
        tried = [reference.f1_score(truth, scores >= edge) for edge in np.unique(scores)]
        ours = reference.f1_score(truth, scores >= found[label])
        assert ours == pytest.approx(max(tried))


def test_a_label_without_yes_keeps_the_default_threshold() -> None:
    truth = np.array([[0, 1], [0, 1], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.3, 0.2]])
    assert labels.best_thresholds(truth, scores, default=0.4).tolist() == [0.4, 0.4]


def test_the_threshold_nearest_to_the_default_wins_among_equals() -> None:
    # one yes among two, then a no, then the other yes: F1 0.8 needs all three; alone 2/3
    found = labels.best_thresholds([[1], [0], [1]], [[0.9], [0.6], [0.4]])
    assert labels.apply_thresholds([[0.4], [0.39]], found).tolist() == [[1], [0]]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="one class"):
        labels.roc_auc([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="no row is a yes"):
        labels.average_precision([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"not \(N, C\)"):
        labels.subset_accuracy([1, 0], [1, 0])
    with pytest.raises(ValueError, match="differ"):
        labels.micro_f1_of_labels([[1]], [[1, 0]])
    with pytest.raises(ValueError, match="no rows"):
        labels.positive_f1([], [])
