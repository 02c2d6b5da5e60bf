"""A tiny model about to be tuned, and the rows it is tuned on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.config import (
    LossSettings,
    ModelSettings,
    OptimizerSettings,
    Settings,
    TuningSettings,
)
from tailorbird.modeling import build_model
from tailorbird.records import Example
from tailorbird.tuning import TuningRun, plan_tuning
from tailorbird.tuning.tasks import EncodedExamples, encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please", "hello": "hi {}"}
TRAIN = [Example(t.format(i), label) for i in range(12) for label, t in WORDS.items()][:-4]
VALIDATION = [Example(t.format(f"x{i}"), label) for i in range(3) for label, t in WORDS.items()]

MakeRun = Callable[..., TuningRun]
Rows = Callable[[TuningRun], tuple[EncodedExamples, EncodedExamples]]


@pytest.fixture
def make_run(tiny_backbone: Path) -> MakeRun:
    def make(
        *,
        optimizer: OptimizerSettings | None = None,
        loss: LossSettings | None = None,
        dropout: float = 0.0,
        **tuning: Any,
    ) -> TuningRun:
        given = {"n_epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "patience": 0} | tuning
        model_settings = ModelSettings(dropout=dropout, encoder_dropout=dropout)
        torch.manual_seed(0)
        backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
        model = build_model(backbone, sorted(WORDS), settings=model_settings)
        plan, _ = plan_tuning(
            model,
            len(TRAIN),
            Settings(
                tuning=TuningSettings(dtype="float32", **given),
                model=model_settings,
                optimizer=optimizer or OptimizerSettings(),
                loss=loss or LossSettings(),
            ),
        )
        return TuningRun(model, plan)

    return make


@pytest.fixture
def rows() -> Rows:
    def encode(run: TuningRun) -> tuple[EncodedExamples, EncodedExamples]:
        train, validation = (encode_examples(run.model, part) for part in (TRAIN, VALIDATION))
        return train, validation

    return encode
