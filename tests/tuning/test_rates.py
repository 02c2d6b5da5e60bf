"""Schedules by their numbers, and the advice of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tailorbird.errors import TuningError
from tailorbird.tuning import TuningRun, rate_finder
from tailorbird.tuning.rate_finder import RatePoint, advise, find_rate, sweep
from tailorbird.tuning.schedules import rate_factor
from tailorbird.tuning.tasks import EncodedExamples

MakeRun = Callable[..., TuningRun]
Rows = Callable[[TuningRun], tuple[EncodedExamples, EncodedExamples]]


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", [0.5, 1.0, 1.0, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]),
        ("inverse_sqrt", [0.5, 1.0, 1.0, 0.8164966, 0.7071068, 0.6324555, 0.5773503, 0.5345225]),
    ],
)
def test_schedules_after_a_warm_up_of_two_of_eight_steps(
    schedule: str, factors: list[float]
) -> None:
    found = [rate_factor(schedule, step, 8, 0.25) for step in range(8)]
    assert found == pytest.approx(factors, abs=1e-6)


@pytest.mark.parametrize("curvature", [0.1, 1.0, 50.0])
def test_advice_on_a_quadratic_is_below_the_rate_where_it_diverges(curvature: float) -> None:
    x = 1.0

    def step(rate: float) -> float:
        nonlocal x
        loss = curvature * x * x / 2
        x -= rate * curvature * x  # diverges from a rate of 2 / curvature on
        return loss

    points = list(sweep(step, low=1e-6, high=1e3, n_steps=200))
    assert points[-1].rate < 1e3  # it ended where the loss broke
    advice = advise(points)
    assert 0.005 / curvature < advice.rate < 2 / curvature


def test_the_smoothed_loss_is_unbiased_at_the_start() -> None:
    points = list(sweep(lambda rate: 2.0, low=1e-3, high=1.0, n_steps=4))
    assert [point.smoothed for point in points] == pytest.approx([2.0] * 4)


def test_a_sweep_ends_where_the_loss_is_no_number() -> None:
    values = iter([1.0, 0.9, math.nan, 0.5])
    points = list(sweep(lambda rate: next(values), low=1e-3, high=1.0, n_steps=4))
    assert [point.loss for point in points] == [1.0, 0.9]


def test_advice_says_where_nothing_was_learned() -> None:
    points = [RatePoint(10.0**k, 1.0 + k, 1.0 + k) for k in range(5)]
    advice = advise(points)
    assert "never fell" in advice.reason
    assert advice.rate == 1.0


def test_a_loss_that_never_was_a_number_is_an_error_with_a_cure() -> None:
    with pytest.raises(TuningError, match="even at the lowest rate"):
        advise([])


@pytest.mark.parametrize("n_taken", [4, 60])
def test_a_sweep_leaves_the_run_as_it_was(n_taken: int, make_run: MakeRun, rows: Rows) -> None:
    run = make_run(dropout=0.1)
    before = {name: tensor.clone() for name, tensor in run.tensors().items()}
    facts = run.facts()
    points = find_rate(run, rows(run)[0], n_steps=60)
    taken = [point for _, point in zip(range(n_taken), points, strict=False)]
    points.close()
    assert len(taken) == n_taken or n_taken == 60
    assert taken[0].rate == pytest.approx(1e-7)
    assert run.facts() == facts
    after = run.tensors()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(p.grad is None for p in run.model.parameters())


def test_advice_for_a_tiny_model_is_a_rate_of_the_sweep(make_run: MakeRun, rows: Rows) -> None:
    run = make_run()
    advice = rate_finder.advise(list(find_rate(run, rows(run)[0])))
    assert 1e-7 <= advice.rate <= 0.1  # a tenth of the highest at most
    assert advice.reason
