"""A few rows of every task, and runs that are always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import build_model
from tailorbird.records import Candidate, Example, Message, Span
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder
from tailorbird.tuning import TuningRun, plan_tuning
from tailorbird.tuning.tasks import TASKS, encode_examples
from tailorbird.weights import resolve_backbone

WORDS = ["parcel", "refund", "hello"]
TEXTS = [f"{frame} {word}" for frame in ("where is", "my", "a", "give me the") for word in WORDS]


def example(task: str, text: str) -> Example:
    """A row with the truth that *task* wants."""
    word = text.split()[-1]
    truth: dict[str, Any] = {
        "single_label": {"label": word},
        "pairs": {"label": word, "second": f"{word}?"},
        "binary": {"label": "yes" if word == "hello" else "no"},
        "multi_label": {"labels": (word, text.split()[0])},
        "regression": {"value": float(WORDS.index(word))},
        "token_classification": {"spans": (Span(len(text) - len(word), len(text), word),)},
        "retrieval": {"second": f"{word} {text[::-1]}"},
        "ranking": {"candidates": tuple(Candidate(w, float(w == word)) for w in WORDS)},
        "dialogue": {"messages": (Message("user", text), Message("assistant", word))},
        "joint": {
            "label": word,
            "labels": () if word == "hello" else (text.split()[0],),
            "lacks": ("labels",) if word == "hello" else (),
        },
        "masked": {},
    }
    return Example(text, **truth[task])


RunOf = Callable[..., TuningRun]
Rows = Callable[[TuningRun], Any]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny encoder, and a tiny decoder for the tasks of language models."""
    encoder = write_tiny_backbone(tmp_path_factory.mktemp("encoder"))
    decoder = write_tiny_decoder(tmp_path_factory.mktemp("decoder"))
    return {task: decoder if task == "dialogue" else encoder for task in TASKS}


@pytest.fixture
def run_of(folders: dict[str, Path]) -> RunOf:
    """A run of a task by a way of tuning, with dropout in the layers, before its first step."""

    def make(task: str, method: str = "auto", **tuning: Any) -> TuningRun:
        torch.manual_seed(0)
        rows = [example(task, text) for text in TEXTS]
        settings = Settings(
            model=ModelSettings(dropout=0.1, encoder_dropout=0.1),
            method=MethodSettings(name=method, rank=2, start_rank=4, n_prefix=3),
            tuning=TuningSettings(
                n_epochs=2, batch_size=6, learning_rate=3e-3, dtype="float32", patience=0, **tuning
            ),
        )
        folder = folders[task]
        model = build_model(
            resolve_backbone(str(folder), cache=folder),
            TASKS[task].labels(rows),
            settings=settings.model,
            spec=TASKS[task].spec,
        )
        TASKS[task].prepare(model, rows)
        return TuningRun(model, plan_tuning(model, len(rows), settings)[0])

    return make


@pytest.fixture
def rows_of() -> Rows:
    """The rows of a run's task, encoded for its model."""

    def encode(run: TuningRun) -> Any:
        return encode_examples(run.model, [example(run.task.name, text) for text in TEXTS])

    return encode
