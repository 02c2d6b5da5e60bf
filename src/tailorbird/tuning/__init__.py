"""Tuning: a plan with its reasons, a loop that yields reports, checkpoints to resume from."""

from tailorbird.tuning import checkpoint, rate_finder, tasks
from tailorbird.tuning.loop import tune
from tailorbird.tuning.plan import TuningPlan, answers_in, plan_tuning
from tailorbird.tuning.run import TuningRun

__all__ = [
    "TuningPlan",
    "TuningRun",
    "answers_in",
    "checkpoint",
    "plan_tuning",
    "rate_finder",
    "tasks",
    "tune",
]
