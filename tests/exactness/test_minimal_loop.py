"""The flat twin in examples/, padded and by transformers alone, gives the library's losses."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.modeling import build_model
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

TWIN = Path(__file__).parents[2] / "examples" / "minimal_loop.py"
QUESTIONS = {"parcel": "where is my parcel {}", "refund": "refund {} please", "z": "hi {}"}
ROWS = [Example(text.format(i * i), label) for i in range(12) for label, text in QUESTIONS.items()]
RATE = 3e-3


def load_twin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("minimal_loop", TWIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_flat_twin_gives_the_losses_of_the_library(tmp_path: Path) -> None:
    folder = write_tiny_backbone(tmp_path / "tiny")
    labels = sorted(QUESTIONS)
    model_settings = ModelSettings(dropout=0.0, init_head="random")
    torch.manual_seed(0)
    model = build_model(
        resolve_backbone(str(folder), cache=folder), labels, settings=model_settings
    )
    settings = TuningSettings(
        n_epochs=2, batch_size=8, learning_rate=RATE, patience=0, dtype="float32"
    )
    plan, _ = plan_tuning(model, len(ROWS), Settings(tuning=settings, model=model_settings))
    rows = encode_examples(model, ROWS)
    ours = [r.loss for r in tune(TuningRun(model, plan), rows, rows) if r.event == "step"]
    targets = [labels.index(row.label) for row in ROWS]
    flat = list(load_twin().losses(str(folder), [row.text for row in ROWS], targets, rate=RATE))
    assert len(ours) == len(flat) == 10
    assert ours == pytest.approx(flat, abs=2e-5)
    assert ours[-1] < ours[0]
