"""The stated rate of false alarms is kept on quiet months of many kinds."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.surges import by_ours
from benchmarks.surges_data import Counts, Stream, quiet_stream, redrawn
from benchmarks.surges_peers import episodes, false_rate, single, tuned_limit, z_scores

from tailorbird.assistants.opinion.watching import surges

LEARNING_DAYS, MONTHS = 91, 3
N = (LEARNING_DAYS + MONTHS * 30) * 24
N_ALIKE = 4


def simulated(mean: float, size: float, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """(4, T) negative and other posts: Poisson, or a gamma mixture of it with a day and a week."""
    swing, share = (0.9, 0.2) if size else (0.0, 0.5)
    hour, day = np.arange(N) % 24, np.arange(N) // 24 % 7
    season = (1 + swing * np.cos(2 * np.pi * hour / 24)) * np.where(day >= 5, 1 - swing / 2, 1.0)
    usual = mean * season * np.ones((N_ALIKE, 1))
    noise = rng.gamma(size, 1 / size, usual.shape) if size else 1.0
    others = rng.poisson(usual * (1 - share) / share)
    return rng.poisson(usual * noise).astype(float), others.astype(float)


def test_quiet_series_of_every_kind_raise_no_more_alarms_than_was_stated() -> None:
    rng = np.random.default_rng(7)
    kinds = [(mean, size) for mean in (0.03, 0.3, 3.0, 20.0) for size in (0.0, 1.0)]
    parts = [simulated(*kind, rng) for kind in kinds]
    names = [f"{kind} {k}" for kind in kinds for k in range(N_ALIKE)]
    stream = Stream(names, 96, *(np.concatenate(part) for part in zip(*parts, strict=True)))
    alarms = by_ours(stream, 1.0)
    rates = {
        kind: false_rate(alarms[N_ALIKE * k : N_ALIKE * (k + 1)], MONTHS)
        for k, kind in enumerate(kinds)
    }
    # 12 months a kind: where one a month is kept, 21 are as many as one run in a hundred has.
    assert {kind: rate for kind, rate in rates.items() if rate > 21 / 12} == {}
    assert false_rate(alarms, MONTHS) <= 1.0


def test_a_volume_that_wanders_raises_no_more_alarms_either() -> None:
    stream = quiet_stream(LEARNING_DAYS + MONTHS * 30, np.random.default_rng(3), n_series=12)
    assert false_rate(by_ours(stream, 1.0), MONTHS) <= 1.0


def test_a_peer_with_a_threshold_a_topic_keeps_the_rate_on_each() -> None:
    stream = quiet_stream(LEARNING_DAYS + 120, np.random.default_rng(1), n_series=4)
    own = redrawn(stream, LEARNING_DAYS + MONTHS * 30, np.random.default_rng(2))
    assert own.negatives.shape == (4, N)
    day = own.negatives[:, :24].tolist()  # a day of the stream, of the same weekday, in all series
    assert day in [stream.negatives[:, k * 24 :][:, :24].tolist() for k in range(0, 211, 7)]
    scores = z_scores(7, False)
    for name in own.names:
        one = scores(single(own, name))
        alarms = episodes(one >= tuned_limit(one, 1.0))
        assert 0.3 < false_rate(alarms, MONTHS) <= 1.0


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
    assert 0.2 < rate <= 1.0
