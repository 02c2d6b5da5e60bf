"""The contract of every task, ours and yours."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.errors import TuningError
from tailorbird.records import Example
from tailorbird.testing.tiny import write_tiny_backbone, write_tiny_decoder

if TYPE_CHECKING:
    from tailorbird.tuning import TuningRun
    from tailorbird.tuning.tasks import Task


def check_task(task: Task, examples: Sequence[Example], folder: Path) -> None:
    """Assert what every task promises, on a tiny backbone.

    - The head gives an output for each unit of truth, and every loss is a finite number.
    - The gradients of a batch in parts add up to the whole batch's.
    - A few updates make the default loss smaller.
    - Scores are finite numbers by name; what the model says of examples is JSON, one thing each.
    - Saved and loaded, it says the same.
    - An example without truth is refused by a TuningError, or has a meaning for the task.

    Args:
        task: yours; it need not be in `TASKS`.
        examples: eight or so, with their truth, of unequal lengths.
        folder: an empty folder to work in.
    """
    from tailorbird.modeling import load_model, save_model
    from tailorbird.tuning.tasks import TASKS

    write = write_tiny_decoder if task.head == "language" else write_tiny_backbone
    tiny = write(folder / "tiny")
    is_new = task.name not in TASKS
    TASKS.setdefault(task.name, task)
    try:
        for loss in task.losses:
            _check_gradients(_run_of(task, examples, tiny, loss), examples)
        run = _run_of(task, examples, tiny)
        _check_learning(run, examples)
        model = run.model.eval()
        _ = task.finish(model, examples)
        rows = task.encode(model, examples)
        loss_value, scores = task.measure(model, rows, task)
        assert scores, "no scores"
        for name, value in {"loss": loss_value, **scores}.items():
            assert isinstance(value, float), f"{name} is {value!r}"
            assert math.isfinite(value), f"{name} is {value}"
        said = task.predict(model, examples)
        assert len(said) == len(examples), "one answer an example"
        save_model(model, folder / "saved", backbone=tiny)
        again = load_model(folder / "saved")
        assert again.spec == task.spec, "the task of the saved model"
        for one, other in zip(said, task.predict(again, examples), strict=True):
            assert _is_near(one, json.loads(json.dumps(other))), f"{one} became {other}"
        with contextlib.suppress(TuningError):
            task.encode(model, [Example(examples[0].text)])
    finally:
        if is_new:
            del TASKS[task.name]


def _run_of(task: Task, examples: Sequence[Example], tiny: Path, loss: str = "auto") -> TuningRun:
    """A model of *task* that is about to be tuned, always the same."""
    import torch

    from tailorbird.config import LossSettings, ModelSettings, Settings, TuningSettings
    from tailorbird.modeling import build_model
    from tailorbird.tuning import TuningRun, plan_tuning
    from tailorbird.weights import resolve_backbone

    torch.manual_seed(0)
    settings = ModelSettings(dropout=0.0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, task.labels(examples), settings=settings, spec=task.spec)
    task.prepare(model, examples)
    plan, _ = plan_tuning(
        model,
        len(examples),
        Settings(
            tuning=TuningSettings(
                n_epochs=12,
                batch_size=len(examples),
                learning_rate=3e-3,
                patience=0,
                dtype="float32",
            ),
            model=settings,
            loss=LossSettings(name=loss),
        ),
    )
    return TuningRun(model, plan)


def _check_gradients(run: TuningRun, examples: Sequence[Example]) -> None:
    import torch

    from tailorbird.errors import ConfigError
    from tailorbird.tuning.gradients import add_gradients

    rows = run.task.encode(run.model, examples)
    assert len(rows) == len(examples), "a row an example"
    everything = list(range(len(rows)))
    truth = rows.truth(everything)
    assert len(run.model.logits(rows.tokens)) == len(truth.targets), "an output a unit of truth"

    def gradients(budget: int) -> tuple[float, dict[str, torch.Tensor]]:
        run.micro_batch_tokens = budget
        loss, _ = add_gradients(run, rows, everything)
        found = {
            name: p.grad.to_dense().clone()
            for name, p in run.model.named_parameters()
            if p.grad is not None
        }
        run.drop_gradients()
        return loss, found

    name = run.plan.loss.name
    try:
        loss, whole = gradients(0)
    except ConfigError:
        return  # a loss for other rows than these, which says so
    assert math.isfinite(loss), f"the loss {name} is {loss}"
    assert any(tensor.any() for tensor in whole.values()), f"the loss {name} has no gradient"
    one_by_one, parts = gradients(1)
    assert abs(one_by_one - loss) < 1e-5, f"the loss {name} in parts is {one_by_one}, not {loss}"
    for key, tensor in whole.items():
        assert torch.allclose(parts[key], tensor, atol=1e-5), f"{name}: gradient of {key} in parts"


def _check_learning(run: TuningRun, examples: Sequence[Example]) -> None:
    from tailorbird.tuning import tune

    rows = run.task.encode(run.model, examples)
    found = [report.loss for report in tune(run, rows, rows) if report.event == "step"]
    assert min(found[1:]) < found[0], f"the loss went from {found[0]:.4f} to {found[-1]:.4f}"


def _is_near(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_near(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_near, one, other))
    return abs(one - other) < 1e-4 if isinstance(one, float) else bool(one == other)
