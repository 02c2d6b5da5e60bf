"""Tuning: a plan with its reasons, a loop that yields reports, checkpoints to resume from."""

from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint
from tailorbird.tuning.loop import tune
from tailorbird.tuning.plan import TuningPlan, plan_tuning
from tailorbird.tuning.run import EncodedExamples, TuningRun, encode_examples

__all__ = [
    "EncodedExamples",
    "TuningPlan",
    "TuningRun",
    "encode_examples",
    "load_checkpoint",
    "plan_tuning",
    "save_checkpoint",
    "tune",
]
