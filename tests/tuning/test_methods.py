"""Every way of tuning in the loop: frozen layers are cached, the plan says its rate and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import TextModel, adapters, build_model
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import TuningPlan, TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please"}
TRAIN = [Example(t.format(i), label) for i in range(8) for label, t in WORDS.items()]
VALIDATION = [Example(t.format(f"x{i}"), label) for i in range(2) for label, t in WORDS.items()]
SETTINGS = TuningSettings(n_epochs=3, batch_size=8, learning_rate=3e-3, patience=0, dtype="float32")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


def build(folder: Path, method: str) -> tuple[TextModel, TuningPlan, list[str]]:
    torch.manual_seed(0)
    backbone = resolve_backbone(str(folder), cache=folder)
    model = build_model(backbone, sorted(WORDS), settings=ModelSettings())
    plan, decisions = plan_tuning(
        model,
        len(TRAIN),
        Settings(
            tuning=SETTINGS, method=MethodSettings(name=method, rank=2, start_rank=4, n_prefix=3)
        ),
    )
    return model, plan, decisions


@pytest.mark.parametrize("method", ["lora", "adalora", "bottleneck"])
def test_frozen_layers_are_cached_below_adapters(method: str, tiny: Path) -> None:
    losses = []
    for is_cached in (False, True):
        model, plan, _ = build(tiny, method)
        model.head.dropout = 0.0
        run = TuningRun(model, replace(plan, n_frozen=1))
        train, validation = (encode_examples(model, rows) for rows in (TRAIN, VALIDATION))
        if is_cached:
            train, validation = run.with_trunk(train), run.with_trunk(validation)
            assert train.tokens.states is not None
        losses.append([r.loss for r in tune(run, train, validation)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_head_alone_is_tuned_on_cached_features(tiny: Path) -> None:
    model, plan, decisions = build(tiny, "head")
    run = TuningRun(model, plan)
    train = run.with_trunk(encode_examples(model, TRAIN))
    assert train.tokens.states is not None
    assert plan.n_frozen == 2
    assert "frozen layers: 2 (method head tunes no layer)" in decisions
    assert set(run.tuned()) == {"head.linear.weight", "head.linear.bias"}
    assert run.trainable().startswith("trainable: 66 of ")


def test_the_plan_gives_lora_a_higher_rate_and_says_why(tiny: Path) -> None:
    model, _, _ = build(tiny, "full")
    rates, head_rates, said = {}, {}, ""
    for name in ("full", "lora"):
        plan, decisions = plan_tuning(
            model,
            5000,
            Settings(tuning=TuningSettings(dtype="float32"), method=MethodSettings(name=name)),
        )
        rates[name], head_rates[name] = plan.learning_rate, plan.head_rate
        said = "\n".join(decisions)
    assert head_rates["lora"] == pytest.approx(head_rates["full"])
    assert rates["lora"] == pytest.approx(adapters.METHODS["lora"].rate_factor * rates["full"])
    assert "times that: low-rank factors start at zero" in said
    assert "method: lora (as set)" in said
