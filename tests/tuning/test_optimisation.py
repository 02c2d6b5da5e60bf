"""Optimizers, micro-batches, short memory and averages: what a tuning run may be made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tailorbird.config import LossSettings, OptimizerSettings
from tailorbird.errors import TuningError
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.averaging import WeightAverage
from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint
from tailorbird.tuning.gradients import add_gradients
from tailorbird.tuning.optimizers import OPTIMIZERS, build_optimizers
from tailorbird.tuning.tasks import EncodedExamples

MakeRun = Callable[..., TuningRun]
Rows = Callable[[TuningRun], tuple[EncodedExamples, EncodedExamples]]

RATES = {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.1, "adafactor": 0.05}
LOSSES = {
    "cross_entropy": LossSettings(),
    "smoothed": LossSettings(label_smoothing=0.2),
    "balanced": LossSettings(class_weights="balanced", label_smoothing=0.1),
    "focal": LossSettings(name="focal"),
    "focal_balanced": LossSettings(name="focal", class_weights="balanced"),
    "r_drop": LossSettings(r_drop=2.0, class_weights="balanced"),
    "contrastive": LossSettings(contrastive=0.5),
    "all": LossSettings(contrastive=0.5, r_drop=1.0, class_weights="balanced"),
}
KINDS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": OptimizerSettings(name="adam")},
    "sgd": {"optimizer": OptimizerSettings(name="sgd"), "learning_rate": 0.1},
    "adafactor": {"optimizer": OptimizerSettings(name="adafactor"), "learning_rate": 0.05},
    "layer_decay": {"optimizer": OptimizerSettings(layer_decay=0.5), "schedule": "inverse_sqrt"},
    "ema": {"optimizer": OptimizerSettings(average="ema", ema_decay=0.9)},
    "swa": {"optimizer": OptimizerSettings(average="swa", swa_start=0.3)},
    "parts": {"loss": LOSSES["all"], "micro_batch_tokens": 60, "recompute": True},
}


def gradients(run: TuningRun) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in run.model.named_parameters() if p.grad is not None}
    return {name: grad.to_dense().clone() for name, grad in found.items()}


def weights(run: TuningRun) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in run.tuned().items()}


def assert_close(found: dict[str, Tensor], wanted: dict[str, Tensor], atol: float) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=atol, msg=name)


def fail_at(run: TuningRun, *calls: int, error: RuntimeError) -> None:
    """Let the encoder be out of memory at these calls, counted from 1."""
    n_calls = 0

    def count(module: nn.Module, given: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls in calls:
            raise error

    run.model.backbone.register_forward_pre_hook(count)


def test_defaults_give_the_losses_they_always_gave(make_run: MakeRun, rows: Rows) -> None:
    run = make_run()
    losses = [report.loss for report in tune(run, *rows(run)) if report.event == "step"]
    # Recorded before there was a choice; other processors round otherwise, hence the tolerance.
    assert losses == pytest.approx(RECORDED, rel=1e-4)


RECORDED = [0.998561, 1.284891, 1.33092, 1.387579, 0.966107, 0.848348, 1.041535, 1.224258]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_each_optimizer_lowers_the_loss(name: str, make_run: MakeRun, rows: Rows) -> None:
    run = make_run(optimizer=OptimizerSettings(name=name), learning_rate=RATES[name], n_epochs=20)
    losses = [report.loss for report in tune(run, *rows(run)) if report.event == "step"]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_resumed_run_of_each_kind_equals_uninterrupted_run(
    kind: str, make_run: MakeRun, rows: Rows, tmp_path: Path
) -> None:
    options = {"dropout": 0.1, "validations_per_epoch": 2} | KINDS[kind]
    whole = make_run(**options)
    losses = [report.loss for report in tune(whole, *rows(whole))]

    first = make_run(**options)
    n_before = 0
    for report in tune(first, *rows(first)):
        n_before += 1
        if report.step == 5:
            break
    save_checkpoint(tmp_path / "c", first.tensors(), first.facts())
    second = make_run(**options)
    torch.manual_seed(12345)
    second.restore(*load_checkpoint(tmp_path / "c"))
    assert [report.loss for report in tune(second, *rows(second))] == losses[n_before:]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(second)[name]), name


def test_decay_is_beside_the_gradient_in_adamw_and_inside_it_in_adam_and_sgd() -> None:
    after = {}
    for name in ("adamw", "adam", "sgd"):
        weight = nn.Parameter(torch.tensor([[1.0]]))
        weight.grad = torch.zeros_like(weight)
        groups = [{"params": [weight], "weight_decay": 0.1}]
        OPTIMIZERS[name](groups, 0.01, OptimizerSettings()).step()
        after[name] = weight.item()
    # Adam divides the gradient 0.1 by its own size: a step of the whole rate.
    assert after == pytest.approx({"adamw": 0.999, "adam": 0.99, "sgd": 0.999}, abs=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_no_optimizer_decays_biases_and_norms(name: str, make_run: MakeRun) -> None:
    settings = OptimizerSettings(name=name, weight_decay=0.1)
    model = make_run().model
    optimizer, _ = build_optimizers(model, learning_rate=1.0, head_rate=2.0, settings=settings)
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}


def test_layers_learn_slower_the_lower_they_are(make_run: MakeRun) -> None:
    run = make_run(optimizer=OptimizerSettings(layer_decay=0.5), learning_rate=1e-3)
    name_of = {id(p): name for name, p in run.model.named_parameters()}
    rates = {
        name_of[id(p)]: group["peak_rate"]
        for optimizer in run.optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert rates["head.linear.weight"] == 2e-3
    assert rates["backbone.layers.1.query.weight"] == 1e-3
    assert rates["backbone.layers.0.ffn_norm.bias"] == 5e-4
    assert rates["backbone.positions.weight"] == rates["backbone.words.weight"] == 2.5e-4


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_parts_of_a_batch_add_up_to_its_gradients(loss: str, make_run: MakeRun, rows: Rows) -> None:
    batch = list(range(20))
    whole, parts = make_run(loss=LOSSES[loss]), make_run(loss=LOSSES[loss], micro_batch_tokens=70)
    values = []
    for run in (whole, parts):
        train, _ = rows(run)
        run.weigh_classes(train)
        run.model.train()
        values.append(add_gradients(run, train, batch)[0])
    assert values[1] == pytest.approx(values[0], abs=1e-6)
    assert_close(gradients(parts), gradients(whole), atol=1e-6)


def test_recomputed_layers_give_the_same_gradients_dropout_included(
    make_run: MakeRun, rows: Rows
) -> None:
    found = []
    for recompute in (False, True):
        run = make_run(recompute=recompute, dropout=0.2)
        run.model.train()
        torch.manual_seed(1)
        add_gradients(run, rows(run)[0], list(range(8)))
        found.append(gradients(run))
    assert_close(found[1], found[0], atol=1e-7)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: not enough memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_short_memory_halves_the_parts_and_changes_no_gradient(
    error: RuntimeError, make_run: MakeRun, rows: Rows
) -> None:
    easy, short = make_run(), make_run(micro_batch_tokens=200)
    fail_at(short, 2, error=error)
    batch = list(range(20))
    notes = []
    for run in (easy, short):
        run.model.train()
        notes.append(add_gradients(run, rows(run)[0], batch)[1])
    assert notes[0] == ""
    assert notes[1].startswith("memory ran out at ")
    assert 0 < short.micro_batch_tokens <= 100
    assert_close(gradients(short), gradients(easy), atol=1e-6)


def test_a_run_goes_on_after_short_memory_and_its_report_says_so(
    make_run: MakeRun, rows: Rows
) -> None:
    easy, short = make_run(), make_run()
    fail_at(short, 2, error=torch.OutOfMemoryError("CUDA out of memory."))
    wanted = [r.loss for r in tune(easy, *rows(easy)) if r.event == "step"]
    reports = [r for r in tune(short, *rows(short)) if r.event == "step"]
    assert [bool(r.note) for r in reports] == [False, True, *[False] * (len(reports) - 2)]
    assert "from here on" in reports[1].note
    assert [r.loss for r in reports] == pytest.approx(wanted, abs=1e-3)


def test_memory_that_is_too_short_for_half_is_an_error_with_a_cure(
    make_run: MakeRun, rows: Rows
) -> None:
    run = make_run()
    fail_at(run, 1, 2, error=torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(TuningError, match=r"too short even for .*tuning\.recompute=true"):
        add_gradients(run, rows(run)[0], list(range(8)))


def test_other_errors_are_not_taken_for_short_memory(make_run: MakeRun, rows: Rows) -> None:
    run = make_run()
    fail_at(run, 1, error=RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        add_gradients(run, rows(run)[0], list(range(8)))


def test_moving_average_forgets_the_first_weights() -> None:
    average = WeightAverage(OptimizerSettings(average="ema", ema_decay=0.2))
    for step, value in enumerate([4.0, 2.0, 1.0], start=1):
        average.update({"w": torch.tensor([value])}, step / 3)
    # The decay grows: 2/11 at the second update, then 0.2, the smaller of it and 3/12.
    second = 4 * 2 / 11 + 2 * 9 / 11
    assert average.weights["w"].item() == pytest.approx(0.2 * second + 0.8 * 1.0)


def test_averages_stand_in_for_the_weights_and_give_them_back() -> None:
    weight = torch.tensor([1.0])
    average = WeightAverage(OptimizerSettings(average="swa", swa_start=0.0))
    average.update({"w": torch.tensor([5.0])}, 0.5)
    average.update({"w": weight}, 1.0)
    with average.in_place_of({"w": weight}):
        assert weight.item() == 3.0
    assert weight.item() == 1.0


def test_an_averaged_run_ends_with_the_average_of_its_best_validation(
    make_run: MakeRun, rows: Rows
) -> None:
    run = make_run(optimizer=OptimizerSettings(average="swa", swa_start=0.0), n_epochs=1)
    seen = [
        run.model.head.linear.weight.detach().clone()
        for report in tune(run, *rows(run))
        if report.event == "step"
    ]
    torch.testing.assert_close(run.model.head.linear.weight, torch.stack(seen).mean(0))


def test_over_fitting_is_said_where_validation_rises_as_training_falls(
    make_run: MakeRun, rows: Rows
) -> None:
    run = make_run(n_epochs=15)
    train, validation = rows(run)
    wrong = EncodedExamples(validation.tokens, (validation.targets + 1) % 3)
    notes = [r.note for r in tune(run, train, wrong) if r.event == "validation"]
    assert not any("over-fitting" in note for note in notes[:2])
    assert any("over-fitting: validation loss rose" in note for note in notes)
