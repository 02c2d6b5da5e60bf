"""Learning-rate factors over a run: progress in, factor in [0, 1] out.

A schedule is a function of the progress after the warm-up and of the share of the run that the
warm-up took, which only `inverse_sqrt` looks at.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(progress: float, warmup: float = 0.0) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float, warmup: float = 0.0) -> float:
    """From 1 down to 0 in a straight line.

    >>> linear(0.25)
    0.75
    """
    return 1.0 - progress


def cosine(progress: float, warmup: float = 0.0) -> float:
    """From 1 down to 0 along half a cosine (Loshchilov and Hutter 2017, equation 5).

    >>> round(cosine(0.5), 6)
    0.5
    """
    return (1 + math.cos(math.pi * progress)) / 2


def inverse_sqrt(progress: float, warmup: float = 0.0) -> float:
    """``sqrt(n_warmup / step)``, never 0: for runs that may go on.

    Source: Vaswani et al. 2017, section 5.3.
    Without a warm-up its length is taken to be a tenth of the run.

    >>> inverse_sqrt(1.0, 0.25)  # the run is four times as long as its warm-up
    0.5
    """
    warmup = warmup or 0.1
    return math.sqrt(warmup / (warmup + progress * (1 - warmup)))


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
}


def rate_factor(schedule: str, step: int, n_steps: int, warmup_fraction: float) -> float:
    """The factor of update *step* (from 0): rising over the warm-up, then the schedule.

    >>> [round(rate_factor("linear", step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    n_warmup = round(n_steps * warmup_fraction)
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return SCHEDULES[schedule](progress, n_warmup / n_steps)
