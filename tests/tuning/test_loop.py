"""The loop: resumed equals uninterrupted, early stopping, divergence, best weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.errors import CheckpointError, DivergedError, TuningError
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Example, StepReport
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import (
    TuningPlan,
    TuningRun,
    plan_tuning,
    tune,
)
from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please", "hello": "hi {}"}
TRAIN = [Example(t.format(i), label) for i in range(12) for label, t in WORDS.items()]
VALIDATION = [Example(t.format(f"x{i}"), label) for i in range(3) for label, t in WORDS.items()]
SETTINGS = TuningSettings(n_epochs=3, batch_size=8, learning_rate=3e-3, patience=0, dtype="float32")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


def _model(folder: Path) -> TextModel:
    torch.manual_seed(0)
    backbone = resolve_backbone(str(folder), cache=folder)
    return build_model(backbone, sorted(WORDS), settings=ModelSettings())


def _plan(model: TextModel, settings: TuningSettings = SETTINGS) -> TuningPlan:
    plan, _ = plan_tuning(
        model, len(TRAIN), Settings(tuning=settings, model=ModelSettings(encoder_dropout=0.1))
    )
    return plan


def _run_all(run: TuningRun) -> list[StepReport]:
    train, validation = (encode_examples(run.model, rows) for rows in (TRAIN, VALIDATION))
    return list(tune(run, train, validation))


def _weights(model: TextModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("n_steps_before", [1, 5, 7, 14, 15])
def test_resumed_run_equals_uninterrupted_run(
    n_steps_before: int, tiny: Path, tmp_path: Path
) -> None:
    whole_model = _model(tiny)
    whole = TuningRun(whole_model, _plan(whole_model))
    whole_reports = _run_all(whole)

    first_model = _model(tiny)
    first = TuningRun(first_model, _plan(first_model))
    train, validation = (encode_examples(first_model, rows) for rows in (TRAIN, VALIDATION))
    first_reports = []
    for report in tune(first, train, validation):
        first_reports.append(report)
        if report.step == n_steps_before:
            break
    save_checkpoint(tmp_path / "c.safetensors", first.tensors(), first.facts())

    second_model = _model(tiny)
    torch.manual_seed(12345)  # a new process has another state
    second = TuningRun(second_model, _plan(second_model))
    second.restore(*load_checkpoint(tmp_path / "c.safetensors"))
    second_reports = _run_all(second)

    for name, weight in _weights(whole_model).items():
        assert torch.equal(weight, _weights(second_model)[name]), name
    losses = {r.step: r.loss for r in whole_reports if r.event == "step"}
    for report in second_reports:
        if report.event == "step":
            assert report.loss == losses[report.step]
    assert second.best_step == whole.best_step
    seen = [(r.event, r.step, r.metrics) for r in (*first_reports, *second_reports)]
    assert seen == [(r.event, r.step, r.metrics) for r in whole_reports]


def test_loss_falls_and_the_task_is_learned(tiny: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model, replace(SETTINGS, n_epochs=20)))
    reports = [r for r in _run_all(run) if r.event == "step"]
    assert reports[-1].loss < 0.3 * reports[0].loss
    predicted = model.logits([e.text for e in VALIDATION]).argmax(-1)
    right = [model.labels[i] == e.label for i, e in zip(predicted, VALIDATION, strict=True)]
    assert sum(right) >= 8


def test_reports_count_steps_tokens_and_progress(tiny: Path) -> None:
    model = _model(tiny)
    reports = _run_all(TuningRun(model, _plan(model)))
    steps = [r for r in reports if r.event == "step"]
    assert [r.step for r in steps] == list(range(1, 16))
    assert {r.n_steps for r in steps} == {15}
    assert steps[-1].progress == 1.0
    tokens = encode_examples(model, TRAIN).tokens
    assert steps[-1].n_tokens == 3 * sum(tokens.lengths)
    assert [r.step for r in reports if r.event == "validation"] == [5, 10, 15]


def test_model_holds_the_best_weights_at_the_end(tiny: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model, replace(SETTINGS, n_epochs=6, learning_rate=0.05)))
    reports = [r for r in _run_all(run) if r.event == "validation"]
    best = max(r.metrics["accuracy"] for r in reports)
    encoded = encode_examples(model, VALIDATION)
    right = (model.logits(encoded.tokens).argmax(-1) == encoded.targets).float().mean().item()
    assert right == pytest.approx(best)


def test_it_stops_early_and_says_why(tiny: Path) -> None:
    model = _model(tiny)
    settings = replace(SETTINGS, n_epochs=50, learning_rate=1e-9, patience=2, warmup_fraction=0.0)
    reports = _run_all(TuningRun(model, _plan(model, settings)))
    assert reports[-1].event == "stop"
    assert "validation has not improved since step" in reports[-1].note
    assert reports[-1].step < reports[-1].n_steps


def test_a_loss_that_is_not_a_number_stops_with_the_rows_named(tiny: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model))
    train, validation = (encode_examples(model, rows) for rows in (TRAIN, VALIDATION))
    with torch.no_grad():
        model.head.linear.bias.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"loss became nan at step 1 \(rows hi 0, hi"):
        next(tune(run, train, validation))


def test_sparse_word_table_changes_only_rows_it_saw(tiny: Path) -> None:
    model = _model(tiny)
    before = _weights(model)["backbone.words.weight"]
    _run_all(TuningRun(model, _plan(model)))
    after = _weights(model)["backbone.words.weight"]
    seen = set(encode_examples(model, TRAIN).tokens.flat.tolist())
    changed = {i for i in range(len(after)) if not torch.equal(before[i], after[i])}
    assert changed == seen


def test_frozen_layers_do_not_move(tiny: Path) -> None:
    model = _model(tiny)
    plan = replace(_plan(model), n_frozen=1, freeze_words=True)
    before = _weights(model)
    _run_all(TuningRun(model, plan))
    moved = {n for n, w in _weights(model).items() if not torch.equal(w, before[n])}
    assert moved
    assert all(n.startswith(("backbone.layers.1.", "head.")) for n in moved)


def test_a_checkpoint_of_other_settings_is_refused(tiny: Path, tmp_path: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model))
    save_checkpoint(tmp_path / "c", run.tensors(), run.facts())
    other = TuningRun(model, _plan(model, replace(SETTINGS, batch_size=4)))
    with pytest.raises(CheckpointError, match="batch_size = 8, this run 4"):
        other.restore(*load_checkpoint(tmp_path / "c"))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", None])
def test_a_damaged_or_missing_checkpoint_is_a_sentence(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checkpoint"):
        load_checkpoint(path)


def test_a_truncated_checkpoint_is_a_sentence(tiny: Path, tmp_path: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model))
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, run.tensors(), run.facts())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_cached_trunk_gives_the_states_and_losses_of_the_uncached_one(tiny: Path) -> None:
    losses = []
    for is_cached in (False, True):
        model = _model(tiny)
        plan = replace(_plan(model), n_frozen=1, freeze_words=True, encoder_dropout=0.0)
        run = TuningRun(model, plan)
        train, validation = (encode_examples(model, rows) for rows in (TRAIN, VALIDATION))
        if is_cached:
            train, validation = run.with_trunk(train), run.with_trunk(validation)
            assert train.tokens.states is not None
        model.head.dropout = 0.0
        losses.append([r.loss for r in tune(run, train, validation)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_nothing_is_cached_where_nothing_is_frozen(tiny: Path) -> None:
    model = _model(tiny)
    run = TuningRun(model, _plan(model))
    assert run.with_trunk(encode_examples(model, TRAIN)).tokens.states is None


@pytest.mark.parametrize("empty", ["train", "validate"])
def test_a_run_without_rows_is_refused(tiny: Path, empty: str) -> None:
    model = _model(tiny)
    rows = encode_examples(model, TRAIN)
    parts = {"train": rows, "validate": rows} | {empty: rows.subset([])}
    with pytest.raises(TuningError, match=f"no row to {empty} on"):
        next(tune(TuningRun(model, _plan(model)), *parts.values()))
