"""A model that is saved and loaded says what the tuned one said: each task, each way of tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.modeling import adapters, load_model, save_model
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.tasks import TASKS

CASES = [
    *((task, "auto") for task in TASKS),
    *(("single_label", method) for method in adapters.METHODS),
    *(("dialogue", method) for method in ("full", "adalora", "bottleneck", "prefix", "prompt")),
]


@pytest.mark.parametrize(("task", "method"), CASES)
def test_reloaded_model_equals_the_tuned_one(
    task: str,
    method: str,
    run_of: Callable[..., TuningRun],
    rows_of: Callable[[TuningRun], Any],
    folders: dict[str, Path],
    tmp_path: Path,
) -> None:
    run = run_of(task, method)
    rows = rows_of(run)
    before = run.model.logits(rows.tokens)
    for _ in tune(run, rows, rows):
        pass
    tuned = run.model.logits(rows.tokens)
    assert not torch.allclose(tuned, before, atol=1e-3), "nothing was learned"
    save_model(run.model, tmp_path / "saved", backbone=folders[task])
    again = load_model(tmp_path / "saved")
    assert (again.labels, again.spec) == (run.model.labels, run.model.spec)
    torch.testing.assert_close(again.logits(rows.tokens), tuned, rtol=0, atol=1e-5)
