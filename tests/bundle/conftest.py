"""A model folder, a report and a classifier of keywords: a bundle without a neural network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tailorbird.bundle import Bundle, BundleContents, write_bundle
from tailorbird.config import Settings
from tailorbird.evaluation import evaluate
from tailorbird.store import Workspace

LABELS = ("greeting", "refund", "shipping")
KEYWORDS = {
    "greeting": ("hello", "你好"),
    "refund": ("money", "退款"),
    "shipping": ("parcel", "包裹"),
}
TEMPLATES = {
    "greeting": {"zh": ["您好！"], "en": ["Hello!"]},
    "refund": {
        "zh": ["退款五天内到账。", "退款很快。"],
        "en": ["The money is back within 5 days."],
    },
    "shipping": {"zh": ["包裹在路上。"], "en": []},
}


@dataclass
class KeywordClassifier:
    """2 for a class whose keyword is in the text, 0 for the others."""

    labels: tuple[str, ...] = LABELS
    n_calls: int = 0

    def logits(self, texts: Sequence[str]) -> Any:
        self.n_calls += 1
        rows = [
            [2.0 * any(word in text for word in KEYWORDS[label]) for label in self.labels]
            for text in texts
        ]
        return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    """A report of the shape and figures that evaluation really gives."""
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 3, size=200)
    logits = draw.normal(size=(200, 3)) + 2.0 * np.eye(3)[targets]
    test, validation = (
        evaluate(
            name,
            logits[rows],
            targets[rows],
            LABELS,
            temperature=1.25,
            baselines={"majority": {"accuracy": 0.34567, "macro_f1": 0.1712}},
        ).to_json()
        for name, rows in (("test", slice(0, 80)), ("validation", slice(80, 200)))
    )
    whole = {
        "run": {
            "name": "20261124-153012-shop",
            "created": "2026-11-24T15:30:12+00:00",
            "version": "0.1.0",
            "seed": 0,
            "source": "shop.jsonl",
        },
        "data": {
            "read": {"n_rows": 1700, "n_read": 1680, "n_rejected": 20},
            "clean": {"n_in": 1680, "n_out": 1602},
            "split": {
                "by": "random",
                "n_rows": {"train": 1121, "validation": 120, "test": 80},
                "dropped_labels": {"other": 2},
            },
        },
        "tuning": {
            "backbone": "multilingual-e5-small",
            "licence": "MIT",
            "n_parameters": 117654272,
            "n_trainable": 10647555,
            "train_s": 61.25,
            "tokens_per_s": 2345.6,
            "best_step": 140,
            "settings": {"learning_rate": 0.0003, "batch_size": 32, "seed": 0},
        },
        "calibration": {"temperature": 1.25, "threshold": 0.4321, "false_alarm_rate": 0.05},
        "test": test,
        "validation": validation,
        "test_openings": [{"time": "2026-11-24T15:32:00", "purpose": "evaluate"}],
        "slices": {
            "language": {"zh": {"n": 48, "accuracy": 0.875}, "en": {"n": 32, "accuracy": 0.78125}}
        },
        "processor": {"name": "a processor"},
    }
    return json.loads(json.dumps(whole))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    save_file({"weight": np.arange(6, dtype=np.float32)}, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps({"labels": LABELS}))
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text('{"vocab": {"退款": 0}}', encoding="utf-8")
    return folder


MakeContents = Callable[..., BundleContents]


@pytest.fixture
def contents(model_folder: Path, report: dict[str, Any]) -> MakeContents:
    """Makes bundle contents; keyword arguments replace what is usual."""

    def make(**changes: Any) -> BundleContents:
        usual: dict[str, Any] = {
            "model_folder": model_folder,
            "labels": LABELS,
            "templates": TEMPLATES,
            "settings": Settings().to_json(),
            "report": report,
            "temperature": 1.25,
            "threshold": 0.4321,
        }
        return BundleContents(**usual | changes)

    return make


@pytest.fixture
def bundle(tmp_path: Path, contents: MakeContents) -> Bundle:
    return write_bundle(tmp_path / "bundles", contents())


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened
