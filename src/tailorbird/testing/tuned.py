"""A tiny encoder that is really tuned, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.records import Example

if TYPE_CHECKING:
    from tailorbird.config import Settings
    from tailorbird.modeling import TextModel
    from tailorbird.modeling.heads import HeadSpec


def tuned_model(
    backbone: Path,
    labels: Sequence[str],
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    spec: HeadSpec | None = None,
    n_epochs: int = 5,
) -> tuple[TextModel, Settings]:
    """A model of the tiny *backbone* after *n_epochs* on *train*, and the settings of its tuning.

    *labels* and *spec* are as `build_model` takes them.
    """
    import torch

    from tailorbird.config import ModelSettings, Settings, TuningSettings
    from tailorbird.modeling import build_model
    from tailorbird.tuning import TuningRun, plan_tuning, tune
    from tailorbird.tuning.tasks import encode_examples
    from tailorbird.weights import resolve_backbone

    settings = Settings(
        model=ModelSettings(dropout=0.0, encoder_dropout=0.0),
        tuning=TuningSettings(
            dtype="float32", n_epochs=n_epochs, batch_size=16, learning_rate=3e-3, patience=0
        ),
    )
    resolved = resolve_backbone(str(backbone), cache=backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(resolved, labels, settings=settings.model, spec=spec)
        run = TuningRun(model, plan_tuning(model, len(train), settings)[0])
        for _ in tune(run, encode_examples(model, train), encode_examples(model, validation)):
            pass
    return model.eval(), settings
