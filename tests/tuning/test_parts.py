"""Batches, schedules, gradient clipping, and the plan's reasons."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tailorbird.config import (
    LossSettings,
    ModelSettings,
    OptimizerSettings,
    Settings,
    TuningSettings,
)
from tailorbird.data.batching import epoch_batches
from tailorbird.errors import ConfigError
from tailorbird.modeling import build_model, load_model, save_model
from tailorbird.modeling.heads import LANGUAGE
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder
from tailorbird.tuning import TuningRun, plan_tuning
from tailorbird.tuning.optimizers import build_optimizers, clip_gradients
from tailorbird.tuning.schedules import SCHEDULES, rate_factor
from tailorbird.tuning.tasks import TASKS
from tailorbird.weights import resolve_backbone


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 40))
def test_every_row_is_in_exactly_one_batch(lengths: list[int], batch_size: int) -> None:
    batches = epoch_batches(lengths, batch_size, seed=1, epoch=0)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 400))
def test_batches_by_tokens_hold_each_row_once_and_are_as_many_in_every_epoch(
    lengths: list[int], budget: int
) -> None:
    epochs = [epoch_batches(lengths, 0, seed=1, epoch=e, batch_tokens=budget) for e in range(3)]
    for batches in epochs:
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        assert all(batches)
        assert len(batches) == min(len(lengths), -(-sum(lengths) // budget))


def test_batches_by_tokens_are_of_about_as_many_tokens_each() -> None:
    lengths = [4] * 900 + [90] * 40
    batches = epoch_batches(lengths, 0, seed=0, epoch=0, batch_tokens=360)
    sums = [sum(lengths[row] for row in batch) for batch in batches]
    assert max(sums) < 360 + 2 * 90
    assert {len(batch) for batch in batches} & {3, 4, 5}  # few long rows
    assert max(len(batch) for batch in batches) > 60  # many short ones


def test_epochs_differ_and_repeat_by_seed() -> None:
    lengths = list(range(1, 101))
    first = epoch_batches(lengths, 8, seed=3, epoch=0)
    assert first == epoch_batches(lengths, 8, seed=3, epoch=0)
    assert first != epoch_batches(lengths, 8, seed=3, epoch=1)
    assert first != epoch_batches(lengths, 8, seed=4, epoch=0)


def test_batches_hold_texts_of_like_length() -> None:
    lengths = [i % 50 + 1 for i in range(3200)]
    batches = epoch_batches(lengths, 64, seed=0, epoch=0)
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(spread) / len(spread) < 3


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_rate_rises_to_the_peak_and_never_above(schedule: str) -> None:
    factors = [rate_factor(schedule, step, 100, 0.1) for step in range(100)]
    assert factors[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(factors) == pytest.approx(1.0)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(factors[9:]))
    assert min(factors) >= 0


def test_clipping_scales_dense_and_sparse_gradients_to_the_norm() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    layer = nn.Linear(2, 1, bias=False)
    model = nn.ModuleList([table, layer])
    layer(table(torch.tensor([1, 1, 3]))).sum().mul(100).backward()
    before = clip_gradients(model.parameters(), 0.5)
    assert before > 0.5
    grads = [p.grad.to_dense() for p in model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads]))
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


def test_biases_norms_and_the_word_table_are_not_decayed(tmp_path: Path) -> None:
    folder = write_tiny_backbone(tmp_path)
    backbone = resolve_backbone(str(folder), cache=folder)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings())
    dense, sparse = build_optimizers(
        model, learning_rate=1e-3, head_rate=2e-3, settings=OptimizerSettings(weight_decay=0.1)
    )
    for group in dense.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    assert [p.shape[0] for g in sparse.param_groups for p in g["params"]] == [
        model.backbone.config["vocab_size"]
    ]
    n_covered = sum(len(g["params"]) for o in (dense, sparse) for g in o.param_groups)
    assert n_covered == len(list(model.parameters()))


def test_every_default_is_printed_with_its_reason(tmp_path: Path) -> None:
    folder = write_tiny_backbone(tmp_path)
    backbone = resolve_backbone(str(folder), cache=folder)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings())
    plan, decisions = plan_tuning(model, 500, Settings(tuning=TuningSettings(learning_rate=1e-3)))
    said = "\n".join(decisions)
    assert plan.learning_rate == 1e-3
    assert "learning rate: 0.001 (as set)" in said
    assert f"batch size: {plan.batch_size} (500 training rows)" in said
    assert "compute type:" in said
    assert "frozen layers: 0" in said


@pytest.mark.parametrize(
    ("wanted", "tuned_in", "head", "answers_in", "why"),
    [
        ("auto", "bfloat16", "linear", "bfloat16", "as it is tuned"),
        ("auto", "float32", "linear", "float32", "as it is tuned"),
        ("float32", "bfloat16", "linear", "float32", "as set"),
        ("bfloat16", "float32", "linear", "bfloat16", "as set"),
        ("auto", "bfloat16", LANGUAGE, "float32", "a word at a time gains nothing by bfloat16"),
    ],
)
def test_a_model_answers_in_the_type_it_is_tuned_in(
    wanted: Any,
    tuned_in: Any,
    head: str,
    answers_in: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (torch.bfloat16, ""))
    write = write_tiny_decoder if head == LANGUAGE else write_tiny_backbone
    folder = write(tmp_path / "tiny")
    backbone = resolve_backbone(str(folder), cache=folder)
    task = TASKS["dialogue" if head == LANGUAGE else "single_label"]
    model = build_model(backbone, ["a", "b"], settings=ModelSettings(dtype=wanted), spec=task.spec)
    plan, decisions = plan_tuning(
        model, 500, Settings(tuning=TuningSettings(dtype=tuned_in, learning_rate=1e-3))
    )
    assert f"answers in: {answers_in} ({why})" in decisions
    run = TuningRun(model, plan)
    save_model(run.model, tmp_path / "saved", backbone=folder)
    assert load_model(tmp_path / "saved").asked_in == answers_in


def test_what_a_processor_only_emulates_is_not_answered_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (torch.float32, ""))
    folder = write_tiny_backbone(tmp_path)
    backbone = resolve_backbone(str(folder), cache=folder)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings())
    settings = Settings(tuning=TuningSettings(dtype="bfloat16", learning_rate=1e-3))
    plan, decisions = plan_tuning(model, 500, settings)
    assert "answers in: float32 (bfloat16 is not quick here)" in decisions
    assert TuningRun(model, plan).model.asked_in == "float32"


def test_label_smoothing_of_the_focal_loss_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_backbone(tmp_path)
    backbone = resolve_backbone(str(folder), cache=folder)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings())
    with pytest.raises(ConfigError, match=r"label_smoothing = 0\.1 has no meaning for the focal"):
        plan_tuning(model, 500, Settings(loss=LossSettings(name="focal", label_smoothing=0.1)))
