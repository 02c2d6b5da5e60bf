"""One training of `benchmarks.methods`: a set, a method, a side, a rate and a seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks import ours
from benchmarks.rounds import peak_gib
from benchmarks.sets import SETS, Rows, load_set
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings

Side = Literal["ours", "peer"]

METHODS: Mapping[str, tuple[Side, ...]] = {
    "full": ("ours", "peer"),
    "head": ("ours",),
    "bitfit": ("ours",),
    "lora": ("ours", "peer"),
    "adalora": ("ours", "peer"),
    "bottleneck": ("ours",),
    "prefix": ("ours", "peer"),
    "prompt": ("ours", "peer"),
}
"""Who has each method; the peer of ``full`` is Trainer alone, of the others PEFT."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What tells one training from another."""

    set: str
    method: str
    side: Side
    n_rows: int = 0
    n_epochs: int = 3
    factor: float = 1.0
    """The rate, times the one that our plan takes for this method and set."""
    seed: int = 0
    """0 chooses the rate; the others are measured."""

    def at(self, factor: float, seed: int = 0) -> Cell:
        """The same training with another rate and seed."""
        return replace(self, factor=factor, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.set}, {self.method}, {self.side}: rate x {self.factor:g}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Task:
    """The rows of a set and what both sides share."""

    train: Rows
    validation: Rows
    test: Rows
    labels: list[str]
    folder: Any
    max_tokens: int


def run_cell(cell: Cell, data: Path, backbone: str = "") -> dict[str, Any]:
    """Train once; the cell, its validation and test figures, parameters, seconds and GiB.

    The test figure is None for seed 0, which chooses the rate and must not see it.
    """
    one = SETS[cell.set]
    train, validation, test = load_set(cell.set, data, n_rows=cell.n_rows)
    labels = sorted({*train.targets, *validation.targets, *test.targets})
    folder = ours.backbone(backbone or one.backbone)
    task = Task(train, validation, test, labels, folder, one.max_tokens)
    figures = RUNNERS[one.task][cell.side](cell, task)
    return {"cell": cell.to_json(), **figures, "peak_gib": peak_gib()}


def settings_for(cell: Cell, rate: float = 0.0) -> Settings:
    """Ours: nothing frozen but what the method freezes, no early stop, *rate* where it is given."""
    chosen: Any = cell.method
    return Settings(
        model=ModelSettings(freeze_layers=0),
        method=MethodSettings(name=chosen),
        tuning=TuningSettings(
            n_epochs=cell.n_epochs,
            batch_size=64,
            learning_rate=rate,
            patience=0,
            seed=cell.seed,
        ),
    )


def run_ours(cell: Cell, task: Task) -> dict[str, Any]:
    """Our side of a single-label set."""
    settings = settings_for(cell, planned_rate(cell, task)[0] * cell.factor)
    prepared = ours.prepare(
        task.train, task.labels, task.folder, settings, max_tokens=task.max_tokens
    )
    start = time.perf_counter()
    prepared = ours.with_trunk(prepared)
    train_s = time.perf_counter() - start + sum(ours.epochs(prepared, cell.n_epochs))
    return {
        "validation": ours.accuracy(prepared.model, task.validation),
        "test": ours.accuracy(prepared.model, task.test) if cell.seed else None,
        "trainable": ours.n_trainable(prepared.model),
        "train_s": train_s,
    }


def planned_rate(cell: Cell, task: Task) -> tuple[float, float]:
    """(backbone, head) rates that our plan takes, which both sides' grids are around."""
    _, plan = ours.model_and_plan(len(task.train), task.labels, task.folder, settings_for(cell))
    return plan.learning_rate, plan.head_rate


def run_peer(cell: Cell, task: Task) -> dict[str, Any]:
    """Trainer's or PEFT's side of a single-label set."""
    from benchmarks import peers
    from benchmarks.peft_methods import adapt
    from benchmarks.trainer import load_tokenizer, padded, rows_for

    rate, head_rate = planned_rate(cell, task)
    tokenizer = load_tokenizer(str(task.folder.path))

    def encoded(rows: Rows) -> list[dict[str, Any]]:
        texts = [task.folder.query_prefix + text for text in rows.texts]
        targets = [task.labels.index(label) for label in rows.targets]
        return rows_for(tokenizer, texts, targets, max_tokens=task.max_tokens)

    rows = encoded(task.train)
    n_steps = cell.n_epochs * -(-len(rows) // 64)
    peers.seed(cell.seed)
    backbone = peers.load_backbone(str(task.folder.path))
    adapted, callbacks, penalty = adapt(backbone, cell.method, n_steps=n_steps)
    model = peers.MeanPooled(adapted, len(task.labels))
    model.penalty = penalty
    how = peers.PeerFit(
        cell.n_epochs,
        rate * cell.factor,
        head_rate,
        seed=cell.seed,
        callbacks=callbacks,
    )
    clock = peers.fit(model, padded(tokenizer), rows, how)

    def accuracy(part: Rows) -> float:
        return peers.accuracy(model, padded(tokenizer), encoded(part), bf16=how.bf16)

    return {
        "validation": accuracy(task.validation),
        "test": accuracy(task.test) if cell.seed else None,
        "trainable": ours.n_trainable(model),
        "train_s": sum(clock.epochs_s),
    }


RUNNERS: Mapping[str, Mapping[Side, Callable[[Cell, Task], dict[str, Any]]]] = {
    "single_label": {"ours": run_ours, "peer": run_peer},
}
"""How each task of `PublicSet` is trained and measured. Token classification (CLUENER) belongs
here as ``"tokens"``; until it does, the summary lists its sets as missing. Its rows are read
already: texts with (start, end, label) spans in characters."""
