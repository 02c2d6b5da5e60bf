"""Metrics: written-out values, and what must hold for any numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.metrics import classification as metrics

CLASSES = st.integers(0, 4)
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40)


def test_accuracy_of_three_right_in_four_is_three_quarters():
    assert metrics.accuracy([0, 1, 2, 2], [0, 1, 2, 0]) == 0.75


def test_macro_f1_is_the_plain_mean_of_the_classes():
    # class 0: 2 hits, 3 predicted, 2 true: 4/5; class 1: 1 hit, 1 predicted, 2 true: 2/3
    assert metrics.macro_f1([0, 0, 1, 1], [0, 0, 1, 0]) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_macro_f1_leaves_out_a_class_absent_from_truth_and_prediction():
    assert metrics.macro_f1([0, 7], [0, 7]) == 1.0


def test_macro_f1_counts_a_class_that_is_only_predicted_as_zero():
    # class 0: 1 hit of 2 true, 1 predicted: 2/3; class 5: predicted, never true: 0
    assert metrics.macro_f1([0, 0], [0, 5]) == pytest.approx((2 / 3 + 0) / 2)


def test_micro_f1_without_the_other_class_differs_from_accuracy():
    truth, guess = [0, 1, 2, 2], [0, 1, 2, 0]
    assert metrics.micro_f1(truth, guess) == metrics.accuracy(truth, guess) == 0.75
    assert metrics.micro_f1(truth, guess, classes=[1, 2]) == pytest.approx(0.8)


def test_nll_of_an_even_guess_is_the_log_of_the_number_of_classes():
    assert metrics.nll(np.zeros((3, 16)), [0, 5, 15]) == pytest.approx(math.log(16))


def test_nll_of_huge_logits_is_finite():
    assert metrics.nll([[1e5, 0.0], [0.0, 1e5]], [0, 0]) == pytest.approx(5e4)


def test_nll_divides_by_the_temperature():
    assert metrics.nll([[2.0, 0.0]], [0], temperature=2.0) == metrics.nll([[1.0, 0.0]], [0])


def test_calibration_error_weighs_bins_by_their_rows():
    # three rows at 0.95, two right: gap 0.2833; one row at 0.15, wrong: gap 0.15
    error = metrics.expected_calibration_error([0.95] * 3 + [0.15], [1, 1, 0, 0], n_bins=10)
    assert error == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.15)


def test_calibration_error_of_a_calibrated_set_is_small():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.1, 1.0, 50_000)
    assert metrics.expected_calibration_error(sure, rng.random(50_000) < sure) < 0.01


def test_calibration_error_of_certain_but_wrong_answers_is_one():
    assert metrics.expected_calibration_error([1.0, 1.0], [False, False]) == 1.0


def test_reliability_bins_cover_zero_to_one_and_keep_every_row():
    bins = metrics.reliability_bins([0.0, 0.1, 0.5, 1.0], [0, 0, 1, 1], n_bins=10)
    assert [one["n"] for one in bins] == [2, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert bins[0]["low"] == 0.0
    assert bins[-1]["high"] == 1.0
    assert bins[4]["accuracy"] == 1.0


def test_confusion_has_true_classes_in_rows_and_absent_ones_as_zeros():
    assert metrics.confusion([0, 0, 2], [0, 2, 2], n_classes=4).tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_per_class_names_every_label_even_an_absent_one():
    rows = metrics.per_class([0, 0, 1], [0, 1, 1], ["pay", "send", "unseen"])
    assert [row.label for row in rows] == ["pay", "send", "unseen"]
    assert (rows[0].precision, rows[0].recall, rows[0].support) == (1.0, 0.5, 2)
    assert (rows[1].precision, rows[1].recall, rows[1].support) == (0.5, 1.0, 1)
    assert (rows[2].precision, rows[2].recall, rows[2].f1, rows[2].support) == (0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize("n_classes", [1, 2, 7, 77])
def test_macro_f1_is_scikit_learns(n_classes):
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(n_classes)
    for _ in range(20):
        truth, guess = rng.integers(n_classes, size=(2, 60))
        wanted = f1_score(truth, guess, average="macro", zero_division=0.0)
        assert metrics.macro_f1(truth, guess) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.macro_f1, metrics.micro_f1])
def test_a_metric_refuses_rows_that_do_not_pair_up(metric):
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1,\) differ"):
        metric([0, 1], [0])
    with pytest.raises(ValueError, match="no rows to measure"):
        metric([], [])


@given(PAIRS)
def test_every_share_stays_between_zero_and_one(pairs):
    truth, guess = zip(*pairs, strict=True)
    for metric in (metrics.accuracy, metrics.macro_f1, metrics.micro_f1):
        assert 0.0 <= metric(truth, guess) <= 1.0


@given(st.lists(CLASSES, min_size=1, max_size=40))
def test_a_perfect_prediction_scores_one_everywhere(truth):
    for metric in (metrics.accuracy, metrics.macro_f1, metrics.micro_f1):
        assert metric(truth, truth) == 1.0
    assert metrics.expected_calibration_error(np.ones(len(truth)), np.ones(len(truth))) == 0.0
