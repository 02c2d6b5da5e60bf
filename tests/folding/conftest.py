"""A tiny shop whose logs have a few wrong labels, split and ready for folds."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailorbird import api, runs
from tailorbird.config import (
    EvaluationSettings,
    MethodSettings,
    ModelSettings,
    Settings,
    SplitSettings,
    TuningSettings,
)
from tailorbird.store import Run, Workspace
from tailorbird.testing import write_tiny_backbone

PHRASES = {
    "refund": "refund order {} please",
    "parcel": "我的包裹{}还没到",
    "size": "CHANGE THE SIZE OF {}",
}
WRONG = 10
"""Every so many rows have the next label instead of their own."""


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "shop.csv"
    draw, names = random.Random(0), list(PHRASES)
    rows = ["id,text,intent,reply,truth"]
    for number in range(120):
        truth = names[number % 3]
        given = names[(number + 1) % 3] if number % WRONG == 0 else truth
        thing = "".join(draw.choices(string.ascii_lowercase, k=5))
        text = PHRASES[truth].format(thing)
        rows.append(f"{truth}-{number},{text},{given},Answer to {given}.,{truth}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    tiny = write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny")
    return Settings(
        split=SplitSettings(near_duplicate=0.0),
        model=ModelSettings(backbone=str(tiny), freeze_layers=1, dropout=0.0),
        method=MethodSettings(name="lora", rank=2),
        tuning=TuningSettings(n_epochs=2, patience=0, dtype="float32"),
        evaluation=EvaluationSettings(n_bootstrap=50, baselines=False),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with api.open_workspace(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def divided(workspace: Workspace, logs: Path, settings: Settings) -> Run:
    """A run that has been read, cleaned and split."""
    return divide(workspace, logs, settings)


def divide(workspace: Workspace, logs: Path, settings: Settings) -> Run:
    run = runs.start_run(str(logs), workspace, settings)
    api.read(str(logs), run, settings)
    api.clean(run, settings)
    api.split(run, settings)
    return run
