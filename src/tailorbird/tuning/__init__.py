"""Tuning: a plan with its reasons, a loop that yields reports, and many jobs over one trunk."""

from tailorbird.tuning import checkpoint, jobs, rate_finder, tasks
from tailorbird.tuning.loop import tune
from tailorbird.tuning.plan import TuningPlan, plan_tuning
from tailorbird.tuning.run import TuningRun

__all__ = [
    "TuningPlan",
    "TuningRun",
    "checkpoint",
    "jobs",
    "plan_tuning",
    "rate_finder",
    "tasks",
    "tune",
]
