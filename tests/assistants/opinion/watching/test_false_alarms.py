"""The stated rate of false alarms is kept on quiet months of many kinds."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.surges import by_ours, false_rate
from benchmarks.surges_data import Stream, quiet_stream

from tailorbird.assistants.opinion.watching import surges

LEARNING_DAYS, MONTHS = 91, 6
N = (LEARNING_DAYS + MONTHS * 30) * 24


def simulated(mean: float, *, size: float, swing: float, share: float, seed: int) -> Stream:
    """Eight series of negative binomial counts with a day and a week."""
    rng = np.random.default_rng(seed)
    hour, day = np.arange(N) % 24, np.arange(N) // 24 % 7
    season = (1 + swing * np.cos(2 * np.pi * hour / 24)) * np.where(day >= 5, 1 - swing / 2, 1.0)
    usual = mean * season * np.ones((8, 1))
    noise = rng.gamma(size, 1 / size, usual.shape) if size else 1.0
    negatives = rng.poisson(usual * noise).astype(float)
    others = rng.poisson(usual * (1 - share) / share).astype(float)
    return Stream([f"s{k}" for k in range(8)], 4 * 24, negatives, others)


@pytest.mark.parametrize("mean", [0.03, 0.3, 3.0, 20.0])
@pytest.mark.parametrize(("size", "swing", "share"), [(0.0, 0.0, 0.5), (1.0, 0.9, 0.2)])
def test_quiet_series_raise_no_more_alarms_than_was_stated(
    mean: float, size: float, swing: float, share: float
) -> None:
    stream = simulated(mean, size=size, swing=swing, share=share, seed=7)
    alarms = by_ours(stream, 1.0)
    # 48 topic months: with one alarm a month 65 are as many as one run in a hundred has.
    assert false_rate(alarms, MONTHS) <= 65 / 48


def test_a_volume_that_wanders_raises_no_more_alarms_either() -> None:
    stream = quiet_stream(LEARNING_DAYS + MONTHS * 30, np.random.default_rng(3), n_series=24)
    assert false_rate(by_ours(stream, 1.0), MONTHS) <= 1.0


def test_the_bound_is_no_empty_promise() -> None:
    """With thirty allowed a month there are some: the detector is not just silent."""
    stream = simulated(1.0, size=5.0, swing=0.5, share=0.3, seed=1)
    assert 1.0 < false_rate(by_ours(stream, 30.0), MONTHS) <= 30.0


def test_likelihood_ratios_are_one_on_average_when_nothing_rises() -> None:
    rng = np.random.default_rng(0)
    mean, dispersion = np.full(200_000, 2.0), np.full(200_000, 0.5)
    counts = rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape)).astype(float)
    ratios = np.exp(surges.log_ratios(counts, mean, dispersion)).mean(axis=0)
    assert ratios[:3] == pytest.approx(1.0, abs=0.03)
    lower = rng.poisson(0.7 * mean * rng.gamma(2.0, 0.5, mean.shape)).astype(float)
    assert (np.exp(surges.log_ratios(lower, mean, dispersion)).mean(axis=0)[:3] < 0.95).all()


def test_alarms_of_the_known_model_come_no_oftener_than_windows_by_threshold() -> None:
    """c N + M - t is a supermartingale: the mean of N after t windows is at most t / c."""
    rng = np.random.default_rng(1)
    n_series, n, threshold = 400, 1_000, 100.0
    mean, dispersion = np.full(n_series, 1.5), np.full(n_series, 0.2)
    log_m = np.full((n_series, len(surges.FACTORS)), -np.inf)
    n_alarms = 0
    for _ in range(n):
        counts = rng.poisson(mean * rng.gamma(5.0, 0.2, n_series)).astype(float)
        log_m = surges.advance(log_m, surges.log_ratios(counts, mean, dispersion))
        is_alarm = surges.mixed(log_m) >= np.log(threshold)
        n_alarms += int(is_alarm.sum())
        log_m[is_alarm] = -np.inf
    rate = n_alarms / n_series / n * threshold
    assert 0.3 < rate <= 1.0
