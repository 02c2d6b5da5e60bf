"""One training of `benchmarks.methods`: a set, a method, a side, a rate and a seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks import methods_tokens, ours
from benchmarks.rounds import peak_gib
from benchmarks.sets import SETS, Rows, load_set
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import TextModel
from tailorbird.modeling.heads import HeadSpec
from tailorbird.tuning import TuningPlan

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
    spec: HeadSpec

    def model_and_plan(self, settings: Settings) -> tuple[TextModel, TuningPlan]:
        """Our model for this set, new, and the plan of *settings*."""
        return ours.model_and_plan(
            len(self.train),
            self.labels,
            self.folder,
            settings,
            max_tokens=self.max_tokens,
            spec=self.spec,
        )


def run_cell(cell: Cell, data: Path, backbone: str = "") -> dict[str, Any]:
    """Train once; the cell, its validation and test figures, parameters, seconds and GiB.

    The test figure is None for seed 0, which chooses the rate and must not see it.
    """
    one = SETS[cell.set]
    train, validation, test = load_set(cell.set, data, n_rows=cell.n_rows)
    runner = RUNNERS[one.task]
    labels = runner.labels(train, validation, test)
    folder = ours.backbone(backbone or one.backbone)
    task = Task(train, validation, test, labels, folder, one.max_tokens, runner.spec)
    figures = (runner.ours if cell.side == "ours" else runner.peer)(cell, task)
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
    _, plan = task.model_and_plan(settings_for(cell))
    return plan.learning_rate, plan.head_rate


def run_peer(cell: Cell, task: Task) -> dict[str, Any]:
    """Trainer's or PEFT's side of a single-label set."""
    from benchmarks import peers
    from benchmarks.trainer import load_tokenizer, padded, rows_for

    rate, head_rate = planned_rate(cell, task)
    tokenizer = load_tokenizer(str(task.folder.path))

    def encoded(rows: Rows) -> list[dict[str, Any]]:
        texts = [task.folder.query_prefix + text for text in rows.texts]
        targets = [task.labels.index(label) for label in rows.targets]
        return rows_for(tokenizer, texts, targets, max_tokens=task.max_tokens)

    rows = encoded(task.train)
    adapted, callbacks, penalty = adapted_peer(cell, task, n_rows=len(rows))
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


def adapted_peer(cell: Cell, task: Task, *, n_rows: int) -> Any:
    """The peer's backbone with the method on it, and what goes with it; see `peft_methods`."""
    from benchmarks import peers
    from benchmarks.peft_methods import adapt

    peers.seed(cell.seed)
    backbone = peers.load_backbone(str(task.folder.path))
    return adapt(backbone, cell.method, n_steps=cell.n_epochs * -(-n_rows // 64))


def classes_of(*parts: Rows) -> list[str]:
    """All labels, sorted."""
    return sorted({label for part in parts for label in part.targets})


@dataclass(frozen=True, slots=True)
class Runner:
    """How the sets of one task are trained and measured."""

    spec: HeadSpec
    labels: Callable[..., list[str]]
    ours: Callable[[Cell, Task], dict[str, Any]]
    peer: Callable[[Cell, Task], dict[str, Any]]


RUNNERS: Mapping[str, Runner] = {
    "single_label": Runner(HeadSpec(), classes_of, run_ours, run_peer),
    "tokens": Runner(
        methods_tokens.TOKENS.spec,
        methods_tokens.labels_of,
        methods_tokens.run_ours,
        methods_tokens.run_peer,
    ),
}
"""By the task of `PublicSet`; the summary lists sets of other tasks as missing."""
