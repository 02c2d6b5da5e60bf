"""Metrics: pure functions, numbers in, one number out, range and direction stated; floor 1.

One file a kind of task, and each file is a door of its own (``from tailorbird.metrics.ranking
import ndcg``); this one has what most of the house measures.
"""

from tailorbird.metrics.classification import (
    ReliabilityBin,
    accuracy,
    expected_calibration_error,
    log_softmax,
    macro_f1,
    micro_f1,
    nll,
    reliability_bins,
)

__all__ = [
    "ReliabilityBin",
    "accuracy",
    "expected_calibration_error",
    "log_softmax",
    "macro_f1",
    "micro_f1",
    "nll",
    "reliability_bins",
]
