"""The loop tunes a causal language model as it tunes an encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.config import (
    MethodSettings,
    ModelSettings,
    OptimizerSettings,
    Settings,
    TuningSettings,
)
from tailorbird.modeling import build_model
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.records import Example
from tailorbird.testing import write_tiny_decoder
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.optimizers import build_optimizers
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please"}
TRAIN = [Example(t.format(i), label) for i in range(8) for label, t in WORDS.items()]
VALIDATION = [Example(t.format(f"x{i}"), label) for i in range(2) for label, t in WORDS.items()]


def make_run(folder: Path, method: str, n_frozen: int = 0, **tuning: Any) -> TuningRun:
    torch.manual_seed(0)
    source = resolve_backbone(str(folder), cache=folder)
    model_settings = ModelSettings(dropout=0.0, encoder_dropout=0.0)
    model = build_model(source, sorted(WORDS), settings=model_settings)
    assert isinstance(model.backbone, PackedDecoder)
    given = {"n_epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "patience": 0} | tuning
    plan, _ = plan_tuning(
        model,
        len(TRAIN),
        Settings(
            tuning=TuningSettings(dtype="float32", **given),
            model=model_settings,
            method=MethodSettings(name=method, rank=2),
        ),
    )
    return TuningRun(model, replace(plan, n_frozen=n_frozen))


def losses(run: TuningRun, *, is_cached: bool = False) -> list[float]:
    train, validation = (encode_examples(run.model, rows) for rows in (TRAIN, VALIDATION))
    if is_cached:
        train, validation = run.with_trunk(train), run.with_trunk(validation)
        assert train.tokens.states is not None
    return [report.loss for report in tune(run, train, validation) if report.event == "step"]


@pytest.mark.parametrize(("method", "rate"), [("full", 3e-3), ("lora", 2e-2)])
def test_a_decoder_learns_and_equals_itself_in_parts_and_computed_twice(
    method: str, rate: float, tmp_path: Path
) -> None:
    tiny, given = write_tiny_decoder(tmp_path), {"n_epochs": 5, "learning_rate": rate}
    whole = losses(make_run(tiny, method, **given))
    assert whole[-1] < 0.7 * whole[0]
    parts = losses(make_run(tiny, method, micro_batch_tokens=60, recompute=True, **given))
    assert parts == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("method", ["full", "lora", "head"])
def test_frozen_layers_of_a_decoder_are_cached(method: str, tmp_path: Path) -> None:
    tiny = write_tiny_decoder(tmp_path, "qwen3")
    n_frozen = 2 if method == "head" else 1
    found = [
        losses(make_run(tiny, method, n_frozen), is_cached=is_cached) for is_cached in (False, True)
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_the_norm_above_all_layers_learns_as_fast_as_the_highest(tmp_path: Path) -> None:
    model = make_run(write_tiny_decoder(tmp_path), "full").model
    settings = OptimizerSettings(layer_decay=0.5)
    optimizers = build_optimizers(model, learning_rate=1.0, head_rate=2.0, settings=settings)
    name_of = {id(p): name for name, p in model.named_parameters()}
    rates = {
        name_of[id(p)]: group["peak_rate"]
        for optimizer in optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert rates["backbone.norm.weight"] == rates["backbone.layers.1.query.weight"] == 1.0
    assert rates["backbone.words.weight"] == 0.25
