"""Users whose ratings are known: half of them rate a point higher than the shared truth."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tailorbird import personalising
from tailorbird.config import Settings, override_settings
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.store import Workspace
from tailorbird.testing import write_tiny_backbone


class Shelf:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, AdapterWeights] = {}

    def add(self, user: str, weights: AdapterWeights) -> str:
        self.kept[user] = weights
        return weights.hash

    def remove(self, *users: str) -> None:
        for user in users:
            self.kept.pop(user, None)


def ratings(n_users: int = 16, n_rows: int = 15, seed: int = 0) -> list[dict[str, object]]:
    """Rows; of users with an odd number the ratings are a point and a half higher."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for user in range(n_users):
        for k in range(n_rows):
            is_good = rng.random() < 0.5
            words = rng.sample("abcdefgh" if is_good else "rstuvwxy", 4)
            value = (3.0 if is_good else 2.0) + 1.5 * (user % 2) + 0.2 * rng.gauss(0, 1)
            moment = f"2024-01-{1 + k:02d}T00:00:00+00:00"
            text = " ".join(["".join(words), f"{user % 7}{k}"])
            rows.append(
                {"text": text, "rating": value, "user": f"person-{user:04d}", "time": moment}
            )
    return rows


def opinions(n_users: int = 8, n_rows: int = 15, seed: int = 0) -> list[dict[str, object]]:
    """Rows with classes; users with an odd number mean the opposite of what the others mean."""
    rows: list[dict[str, object]] = []
    for at, row in enumerate(ratings(n_users, n_rows, seed)):
        is_contrary = at // n_rows % 2 == 1
        is_good = float(str(row.pop("rating"))) > (4.0 if is_contrary else 2.5)
        rows.append(row | {"label": "yes" if is_good != is_contrary else "no"})
    return rows


def write_rows(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def small_settings(folder: Path, task: str = "regression", *more: str) -> Settings:
    backbone = write_tiny_backbone(folder / "backbone")
    given = [f"task.name={task}", f"model.backbone={backbone}", "tuning.n_epochs=2"]
    return override_settings(Settings(), [*given, *more])


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, str, Shelf]]:
    """A workspace in which ratings were personalised, the name of the run, and what was kept."""
    folder = tmp_path_factory.mktemp("rated")
    source = write_rows(folder / "ratings.jsonl", ratings())
    shelf = Shelf()
    with Workspace.open(folder / "space") as workspace:
        settings = small_settings(folder)
        run = personalising.start_from(source, workspace, settings)
        done = personalising.go_on(run, workspace, settings)
        assert done is not None
        assert done.give(shelf) == len(shelf.kept)
        yield workspace, run.name, shelf


@pytest.fixture(scope="session")
def people() -> SimpleNamespace:
    """What makes users and what they said."""
    return SimpleNamespace(
        Shelf=Shelf,
        ratings=ratings,
        opinions=opinions,
        write_rows=write_rows,
        small_settings=small_settings,
    )
