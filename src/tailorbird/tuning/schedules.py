"""Learning-rate factors over a run: progress in, factor in [0, 1] out."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 down to 0 in a straight line.

    >>> linear(0.25)
    0.75
    """
    return 1.0 - progress


def cosine(progress: float) -> float:
    """From 1 down to 0 along half a cosine (Loshchilov and Hutter 2017, equation 5).

    >>> round(cosine(0.5), 6)
    0.5
    """
    return (1 + math.cos(math.pi * progress)) / 2


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}


def rate_factor(schedule: str, step: int, n_steps: int, warmup_fraction: float) -> float:
    """The factor of update *step* (from 0): rising over the warm-up, then the schedule.

    >>> [round(rate_factor("linear", step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    n_warmup = round(n_steps * warmup_fraction)
    if step < n_warmup:
        return (step + 1) / n_warmup
    return SCHEDULES[schedule]((step - n_warmup) / max(1, n_steps - n_warmup))
