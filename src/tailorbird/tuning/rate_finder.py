"""A learning rate by trying all of them: a short run whose rate grows until the loss breaks.

Source: Smith 2017, section 3.3 (the range test), with the loss smoothed as in Kingma and Ba 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from tailorbird.errors import DivergedError, TuningError
from tailorbird.tuning.loop import update
from tailorbird.tuning.optimizers import RATE_FACTORS, set_rates
from tailorbird.tuning.run import TuningRun
from tailorbird.tuning.tasks import EncodedExamples

SMOOTHING = 0.9
"""How much of itself the smoothed loss keeps a step."""
N_UNSURE = 10
"""So many points at the start show the batches' differences rather than the rate's."""
BREAKS_AT = 3.0
"""The sweep ends where the smoothed loss is this many times its lowest."""
BELOW_LOWEST = 10.0
"""How far below the rate of the lowest loss the advice stays: there the loss is about to rise."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One step of the sweep."""

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True, slots=True)
class RateAdvice:
    """The rate to use, and what it was read from."""

    rate: float
    steepest: float
    """Where the smoothed loss fell fastest."""
    lowest: float
    """Where it was lowest."""
    reason: str


def sweep(
    step: Callable[[float], float], *, low: float, high: float, n_steps: int = 100
) -> Iterator[RatePoint]:
    """Call *step* with rates that grow evenly in their logarithm from *low* to *high*.

    Args:
        step: takes a rate, updates by it, and returns the loss before.
        low: first rate.
        high: last rate, where the loss does not break before.
        n_steps: rates tried.

    >>> [round(point.rate, 3) for point in sweep(lambda rate: 1.0, low=0.01, high=1, n_steps=3)]
    [0.01, 0.1, 1.0]
    """
    mean, lowest = 0.0, math.inf
    for k in range(n_steps):
        rate = low * (high / low) ** (k / max(1, n_steps - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            return
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (k + 1))
        lowest = min(lowest, smoothed)
        yield RatePoint(rate, loss, smoothed)
        if smoothed > BREAKS_AT * lowest:
            return


def find_rate(run: TuningRun, train: EncodedExamples, *, n_steps: int = 100) -> Iterator[RatePoint]:
    """Sweep the rate of *run* on *train*; yields a point a step and then puts all back.

    Weights, optimizers, counters and random numbers are afterwards what they were before, when
    the generator ends and when it is closed early. Rates of head and layers keep their ratios.
    """
    tensors = {name: tensor.clone() for name, tensor in run.tensors().items()}
    facts, plan = run.facts(), run.plan
    scale = RATE_FACTORS[plan.optimizer.name]
    lengths, seed = train.lengths, plan.settings.seed
    batches: list[list[int]] = []
    run.check_rows(train)
    run.weigh_classes(train)
    torch.manual_seed(seed)
    run.n_steps = n_steps

    def step(rate: float) -> float:
        if not batches:
            batches.extend(plan.batches(lengths, run.step))
        set_rates(run.optimizers, rate / plan.learning_rate)
        try:
            return update(run, train, batches.pop())[0]
        except DivergedError:
            return math.nan

    try:
        yield from sweep(step, low=1e-7 * scale, high=1.0 * scale, n_steps=n_steps)
    finally:
        run.drop_gradients()
        run.restore(tensors, facts)


def advise(points: Sequence[RatePoint]) -> RateAdvice:
    """The rate to use after a *sweep*: where the loss falls fastest, well below its lowest point.

    The slope is that of the smoothed loss over the logarithm of the rate, by a straight line
    through seven points.

    Raises TuningError where there is no point: the loss was no number from the start.
    """
    if not points:
        raise TuningError(
            "the loss is no number even at the lowest rate",
            where="rates",
            cure="use --set tuning.dtype=float32, or another backbone",
        )
    lowest = min(range(len(points)), key=lambda k: points[k].smoothed)
    first = min(N_UNSURE, lowest)
    slopes = {k: _slope(points[max(0, k - 3) : k + 4]) for k in range(first, lowest + 1)}
    steepest = min(slopes, key=slopes.__getitem__)
    bound = points[lowest].rate / BELOW_LOWEST
    if slopes[steepest] >= 0:
        reason = "the loss never fell: try more steps, or look at the data"
        return RateAdvice(points[0].rate, points[0].rate, points[lowest].rate, reason)
    rate = min(points[steepest].rate, bound)
    reason = (
        "where the loss falls fastest"
        if rate < bound
        else f"a tenth of {points[lowest].rate:.1e}, where the loss is lowest"
    )
    return RateAdvice(float(f"{rate:.1e}"), points[steepest].rate, points[lowest].rate, reason)


def _slope(points: Sequence[RatePoint]) -> float:
    """Least-squares slope of the smoothed loss over log10 of the rate."""
    xs = [math.log10(point.rate) for point in points]
    x_mean = sum(xs) / len(xs)
    y_mean = sum(point.smoothed for point in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x in xs)
    rise = sum((x - x_mean) * (p.smoothed - y_mean) for x, p in zip(xs, points, strict=True))
    return rise / spread if spread else 0.0
