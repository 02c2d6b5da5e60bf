"""Defaults by model and data, each with its reason; what the user set is left alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch

from tailorbird.config import ModelSettings, TuningSettings
from tailorbird.hardware import compute_dtype
from tailorbird.modeling import TextClassifier

HEAD_RATE_FACTOR = 2.0
"""The head is new where the backbone is not: it may move faster."""


class _Size(NamedTuple):
    n_rows: int
    batch_size: int
    n_epochs: int


_SIZES = (
    _Size(30_000, 64, 1),
    _Size(4000, 64, 3),
    _Size(1000, 32, 4),
    _Size(200, 16, 6),
    _Size(0, 8, 10),
)
"""Few rows need small batches and more passes to get a few hundred updates."""


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Every number of a tuning run, decided."""

    n_epochs: int
    batch_size: int
    learning_rate: float
    head_rate: float
    n_frozen: int
    freeze_words: bool
    encoder_dropout: float
    dtype: torch.dtype
    settings: TuningSettings

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, for checkpoints and reports."""
        return asdict(self) | {"dtype": str(self.dtype).removeprefix("torch.")}


def plan_tuning(
    model: TextClassifier,
    *,
    n_rows: int,
    settings: TuningSettings,
    model_settings: ModelSettings,
    dtype_before: str = "",
) -> tuple[TuningPlan, list[str]]:
    """The plan for *n_rows* training rows, and one sentence for each decision.

    A run that goes on keeps the compute type it had, *dtype_before*, where it is chosen by timing.
    """
    decisions: list[str] = []

    def decide(name: str, wanted: float, default: float, reason: str) -> float:
        value = wanted or default
        decisions.append(f"{name}: {value:g} ({'as set' if wanted else reason})")
        return value

    n_layers = model.encoder.n_layers
    n_frozen = model_settings.freeze_layers
    if n_frozen < 0:
        n_frozen = n_layers // 2 if model.encoder.can_freeze and n_layers > 6 else 0
        reason = (
            f"the lower half of {n_layers} layers holds general language; two thirds of the time"
            if n_frozen
            else f"all {n_layers} layers are tuned: the model is small"
        )
    else:
        reason = "as set"
    decisions.append(f"frozen layers: {n_frozen} ({reason})")
    n_words = int(model.encoder.config.get("vocab_size", 0))
    freeze_words = n_frozen > 0 or n_words > 100_000
    if freeze_words:
        decisions.append(f"word table: as pretrained ({n_words:,} rows, most never seen here)")

    size = next(row for row in _SIZES if n_rows >= row.n_rows)
    batch_size = int(
        decide("batch size", settings.batch_size, size.batch_size, f"{n_rows:,} training rows")
    )
    n_epochs = int(
        decide("epochs", settings.n_epochs, size.n_epochs, f"at most; {n_rows:,} rows, stops early")
    )
    depth_factor = (6 / max(1, n_layers)) ** 0.5 if n_layers > 6 else 1.0
    rate = 4e-4 * (batch_size / 64) ** 0.5 * depth_factor
    rate = decide(
        "learning rate",
        settings.learning_rate,
        float(f"{rate:.1g}"),
        f"4e-4 for 6 layers and batches of 64; here {n_layers} layers, batches of {batch_size}",
    )
    if dtype_before and settings.dtype == "auto":
        dtype, why = getattr(torch, dtype_before), f"compute type: {dtype_before} (as before)"
    else:
        dtype, why = compute_dtype(settings.dtype, model.device.type)
    decisions.append(why)
    plan = TuningPlan(
        n_epochs=n_epochs,
        batch_size=batch_size,
        learning_rate=rate,
        head_rate=rate * HEAD_RATE_FACTOR,
        n_frozen=n_frozen,
        freeze_words=freeze_words,
        encoder_dropout=model_settings.encoder_dropout,
        dtype=dtype,
        settings=settings,
    )
    return plan, decisions
