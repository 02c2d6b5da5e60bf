"""A run that was left and gone on with ends bitwise as one that never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.modeling import adapters
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint
from tailorbird.tuning.tasks import TASKS

CASES = [
    *((task, "auto") for task in TASKS),
    *(("single_label", method) for method in adapters.METHODS),
    *(("dialogue", method) for method in ("full", "adalora", "bottleneck", "prefix", "prompt")),
]


@pytest.mark.parametrize(("task", "method"), CASES)
def test_resumed_run_equals_uninterrupted_run(
    task: str,
    method: str,
    run_of: Callable[..., TuningRun],
    rows_of: Callable[[TuningRun], Any],
    tmp_path: Path,
) -> None:
    whole = run_of(task, method)
    rows = rows_of(whole)
    losses = []
    for report in tune(whole, rows, rows):
        losses.append(report.loss)
        if (report.event, report.step) == ("step", 3):
            save_checkpoint(tmp_path / "c", whole.tensors(), whole.facts())
            n_before = len(losses)

    torch.manual_seed(12345)  # a new process has another state
    resumed = run_of(task, method)
    resumed.restore(*load_checkpoint(tmp_path / "c"))
    assert [report.loss for report in tune(resumed, rows, rows)] == losses[n_before:]
    expected, found = whole.tensors(), resumed.tensors()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
