"""Tuning: a plan with its reasons, a loop that yields reports, checkpoints to resume from."""

from tailorbird.tuning import rate_finder, tasks
from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint
from tailorbird.tuning.loop import tune
from tailorbird.tuning.plan import TuningPlan, plan_tuning
from tailorbird.tuning.run import TuningRun

__all__ = [
    "TuningPlan",
    "TuningRun",
    "load_checkpoint",
    "plan_tuning",
    "rate_finder",
    "save_checkpoint",
    "tasks",
    "tune",
]
