"""Metrics of numbers: against scipy and scikit-learn, ties and constants included."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as reference

from tailorbird.metrics import numbers

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 6, 80).astype(float)  # six values among eighty: ties everywhere
GUESS = (TRUTH + RNG.normal(0, 2, 80)).round(0)


def test_errors_agree_with_scikit_learn() -> None:
    assert numbers.mae(TRUTH, GUESS) == pytest.approx(reference.mean_absolute_error(TRUTH, GUESS))
    expected = reference.root_mean_squared_error(TRUTH, GUESS)
    assert numbers.rmse(TRUTH, GUESS) == pytest.approx(expected)
    assert numbers.r_squared(TRUTH, GUESS) == pytest.approx(reference.r2_score(TRUTH, GUESS))


def test_correlations_agree_with_scipy_with_ties() -> None:
    expected = scipy.stats.pearsonr(TRUTH, GUESS).statistic
    assert numbers.pearson(TRUTH, GUESS) == pytest.approx(expected)
    expected = scipy.stats.spearmanr(TRUTH, GUESS).statistic
    assert numbers.spearman(TRUTH, GUESS) == pytest.approx(expected)
    assert numbers.mean_ranks(TRUTH).tolist() == scipy.stats.rankdata(TRUTH).tolist()


def test_spearman_sees_only_the_order_and_pearson_the_line() -> None:
    truth = np.arange(10.0)
    assert numbers.spearman(truth, np.exp(truth)) == pytest.approx(1.0)
    assert numbers.spearman(truth, -truth) == pytest.approx(-1.0)
    assert numbers.pearson(truth, np.exp(truth)) < 0.9
    assert numbers.pearson(truth * 1e200, truth * 1e-200) == pytest.approx(1.0)


def test_a_side_that_never_changes_has_no_correlation() -> None:
    assert numbers.pearson([1, 2, 3], [5, 5, 5]) == 0.0
    assert numbers.spearman([2, 2, 2], [1, 2, 3]) == 0.0


def test_r_squared_of_the_mean_is_zero_and_of_less_is_negative() -> None:
    assert numbers.r_squared([1.0, 3.0], [2.0, 2.0]) == 0.0
    assert numbers.r_squared([1.0, 3.0], [3.0, 1.0]) == -3.0
    assert numbers.r_squared([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert numbers.r_squared([2.0, 2.0], [2.0, 1.0]) == 0.0


def test_rows_must_pair_up() -> None:
    with pytest.raises(ValueError, match="differ"):
        numbers.mae([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="no rows"):
        numbers.rmse([], [])
