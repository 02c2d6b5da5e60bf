"""A batch in parts has the loss and the gradients of the whole one: each task, its every loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tailorbird.config import LossSettings
from tailorbird.tuning import TuningRun
from tailorbird.tuning.gradients import add_gradients
from tailorbird.tuning.objective import Objective
from tailorbird.tuning.tasks import TASKS

CASES = [(task, loss) for task in TASKS for loss in TASKS[task].losses if loss != "cosine"]
"""The loss cosine wants rows with a value."""


def gradients(run: TuningRun, rows: Any, budget: int) -> tuple[float, dict[str, torch.Tensor]]:
    run.model.eval()  # dropout would draw otherwise in parts
    run.micro_batch_tokens = budget
    loss, _ = add_gradients(run, rows, list(range(len(rows))))
    named = run.model.named_parameters()
    found = {name: p.grad.to_dense().clone() for name, p in named if p.grad is not None}
    run.drop_gradients()
    return loss, found


@pytest.mark.parametrize("budget", [1, 70])
@pytest.mark.parametrize(("task", "loss"), CASES)
def test_parts_of_a_batch_add_up_to_the_whole(
    task: str,
    loss: str,
    budget: int,
    run_of: Callable[..., TuningRun],
    rows_of: Callable[[TuningRun], Any],
) -> None:
    run = run_of(task)
    run.objective = Objective(replace(LossSettings(), name=loss), run.task)
    rows = rows_of(run)
    assert max(rows.lengths) < 140 < sum(rows.lengths)  # there are several parts
    value, whole = gradients(run, rows, 0)
    in_parts, parts = gradients(run, rows, budget)
    assert in_parts == pytest.approx(value, abs=1e-5)
    assert whole.keys() == parts.keys()
    assert any(tensor.any() for tensor in whole.values())
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
