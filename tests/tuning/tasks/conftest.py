"""A few rows of every task, which the tiny backbone can learn, and models for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.config import LossSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Candidate, Example, Message, Span
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder
from tailorbird.tuning import TuningRun, plan_tuning
from tailorbird.tuning.tasks import TASKS
from tailorbird.weights import resolve_backbone

WORDS = ["parcel", "refund", "hello"]
FRAMES = ["where is {} now", "{} please", "and my {} ?", "the {} i want , quickly"]
BOTH = [(frame.format(word), word) for frame in FRAMES for word in WORDS]


def spans_in(text: str) -> tuple[Span, ...]:
    return tuple(
        Span(text.index(word), text.index(word) + len(word), word)
        for word in WORDS
        if word in text and word != "hello"
    )


def ranked(word: str, frame: str) -> Example:
    others = [Candidate(other * 2, 0.0) for other in WORDS if other != word]
    middle = [Candidate(f"{word} {others[0].text}", 1.0)] if frame == FRAMES[0] else []
    return Example(
        frame.format(word), candidates=(others[0], Candidate(word, 2.0), *others[1:], *middle)
    )


ROWS: dict[str, list[Example]] = {
    "single_label": [Example(text, word) for text, word in BOTH],
    "pairs": [
        Example(text, "same" if word == other else "other", second=other)
        for text, word in BOTH[:6]
        for other in WORDS[:2]
    ],
    "binary": [Example(text, "no" if word == "hello" else "yes") for text, word in BOTH],
    "multi_label": [
        Example(f"{text} {extra}".strip(), labels=tuple({word, extra} - {"hello", ""}))
        for text, word in BOTH
        for extra in ("", "refund")
    ],
    "regression": [Example(text, value=100.0 + 10 * WORDS.index(word)) for text, word in BOTH],
    "token_classification": [Example(text, spans=spans_in(text)) for text, _ in BOTH],
    "retrieval": [
        Example(text, second=f"{word}: {word * 2} {k}") for k, (text, word) in enumerate(BOTH)
    ],
    "dialogue": [
        Example(
            text,
            messages=(
                Message("user", text),
                Message("assistant", f"{word} {word}"),
                Message("user", f"and {word} ?"),
                Message("assistant", word),
            )[: 2 + 2 * (k % 2)],
        )
        for k, (text, word) in enumerate(BOTH)
    ],
    "ranking": [ranked(word, frame) for frame in FRAMES for word in WORDS],
    "joint": [
        Example(
            f"{text} {extra}".strip(),
            word if k % 4 else "",
            labels=(extra,) if extra and k % 2 else (),
            lacks=() if k % 2 or not k % 4 else ("labels",),
        )
        for k, (text, word) in enumerate(BOTH)
        for extra in ("", "refund")
    ],
    "masked": [Example(f"{text} {word} {word}") for text, word in BOTH],
}

RowsOf = Callable[[str], list[Example]]
ModelOf = Callable[..., TextModel]
RunOf = Callable[..., TuningRun]


@pytest.fixture
def rows_of() -> RowsOf:
    return ROWS.__getitem__


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def model_of(tiny: Path, tiny_decoder: Path) -> ModelOf:
    def build(name: str, rows: list[Example] | None = None, **settings: Any) -> TextModel:
        torch.manual_seed(0)
        task, rows = TASKS[name], ROWS[name] if rows is None else rows
        model = build_model(
            resolve_backbone(str(tiny_decoder if name == "dialogue" else tiny), cache=tiny),
            task.labels(rows),
            settings=ModelSettings(dropout=0.0, **settings),
            spec=task.spec,
        )
        task.prepare(model, rows)
        return model

    return build


@pytest.fixture
def run_of(model_of: ModelOf) -> RunOf:
    def build(name: str, *, dropout: float = 0.0, loss: str = "auto", **tuning: Any) -> TuningRun:
        given = {"batch_size": 6, "n_epochs": 24, "learning_rate": 3e-3, "patience": 0} | tuning
        model = model_of(name)
        plan, _ = plan_tuning(
            model,
            len(ROWS[name]),
            Settings(
                tuning=TuningSettings(dtype="float32", validations_per_epoch=1, **given),
                model=ModelSettings(encoder_dropout=dropout),
                loss=LossSettings(name=loss),
            ),
        )
        return TuningRun(model, plan)

    return build
