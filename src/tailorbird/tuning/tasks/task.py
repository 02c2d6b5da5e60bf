"""What a task is: a head, losses and scores, and how its examples become tokens and truth.

Shape letters: N rows, B rows of a batch, U units of a batch (texts, or picked tokens), C outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.errors import TuningError
from tailorbird.modeling import TextModel
from tailorbird.modeling.heads import HeadSpec
from tailorbird.modeling.packing import PackedBatch, TokenizedTexts, offsets_of
from tailorbird.records import Example


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of U units, and which row of the batch each of them belongs to."""

    targets: Tensor  # (U, …)
    rows: Tensor  # (U,) int64, from 0
    n_rows: int
    class_weights: Tensor | None = None  # (C,)

    def to(self, device: torch.device) -> Truth:
        """The same on *device*."""
        weights = None if self.class_weights is None else self.class_weights.to(device)
        return Truth(self.targets.to(device), self.rows.to(device), self.n_rows, weights)


@dataclass(frozen=True)
class EncodedExamples:
    """N rows as the loop takes them; a row may be several texts, and a text several units."""

    tokens: TokenizedTexts
    targets: Tensor  # (all units, …)
    texts: Tensor | None = None  # (N + 1,) where the texts of each row begin; None: one text a row
    names: Sequence[str] = ()  # of each row, for people; empty: rows are known by number

    def __len__(self) -> int:
        return len(self.tokens) if self.texts is None else len(self.texts) - 1

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        lengths: list[int] = torch.diff(self._ends).tolist()
        return lengths

    def lengths_of(self, rows: Sequence[int]) -> list[int]:
        """Tokens of *rows*."""
        at = torch.as_tensor(rows)
        lengths: list[int] = (self._ends[at + 1] - self._ends[at]).tolist()
        return lengths

    @cached_property
    def _ends(self) -> Tensor:
        """(N + 1,) where the tokens of each row begin."""
        offsets = self.tokens.offsets
        return offsets if self.texts is None else offsets[self.texts]

    @cached_property
    def units(self) -> Tensor:
        """(N + 1,) where the units of each row begin."""
        by_text = offsets_of(self.tokens.n_units)
        return by_text if self.texts is None else by_text[self.texts]

    def batch(self, rows: Sequence[int]) -> PackedBatch:
        """The texts of *rows*, packed."""
        return self.tokens.take(rows if self.texts is None else _ranges(self.texts, rows)[0])

    def truth(self, rows: Sequence[int]) -> Truth:
        """What is true of *rows*, unit by unit in the order of `batch`."""
        if self.texts is None and self.tokens.picked is None:
            chosen = torch.as_tensor(rows, dtype=torch.int64)
            return Truth(self.targets[chosen], torch.arange(len(rows)), len(rows))
        at, owners = _ranges(self.units, rows)
        return Truth(self.targets[at], owners, len(rows))

    def subset(self, rows: Sequence[int]) -> EncodedExamples:
        """*rows* alone, in that order."""
        if self.texts is None:
            at, counts = torch.as_tensor(rows, dtype=torch.int64), None
        else:
            at, owners = _ranges(self.texts, rows)
            counts = offsets_of(torch.bincount(owners, minlength=len(rows)))
        names = [self.names[row] for row in rows] if self.names else ()
        return EncodedExamples(self.tokens.subset(at), self.truth(rows).targets, counts, names)


def _ranges(offsets: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Everything from ``offsets[r]`` to ``offsets[r + 1]`` for each r of *rows*, and whose it is.

    >>> [part.tolist() for part in _ranges(torch.tensor([0, 2, 3]), [1, 0])]
    [[2, 0, 1], [0, 1, 1]]
    """
    chosen = torch.as_tensor(rows, dtype=torch.int64)
    counts = offsets[chosen + 1] - offsets[chosen]
    owners = torch.repeat_interleave(torch.arange(len(rows)), counts)
    within = torch.arange(len(owners)) - offsets_of(counts)[:-1][owners]
    return offsets[chosen][owners] + within, owners


Loss = Callable[[Tensor, Truth, LossSettings], Tensor]
"""(outputs (U, C), truth, settings) → their mean loss, a scalar."""
Scores = Callable[[Tensor, Truth, TextModel], dict[str, float]]
"""Outputs of a split → scores by name; the first, higher is better, chooses the best weights."""


def _no_start(model: TextModel, examples: Sequence[Example]) -> None:
    """Most tasks need to know nothing of their examples beforehand."""


def _no_finish(model: TextModel, examples: Sequence[Example]) -> str:
    """Most tasks choose nothing on validation."""
    return ""


def label_bits(model: TextModel) -> tuple[float, str]:
    """One label of many, each as likely as another."""
    n_labels = len(model.labels)
    return math.log2(max(2, n_labels)), f"{n_labels} labels"


@dataclass(frozen=True, slots=True)
class Task:
    """A head, losses and scores under one name; see `TASKS` for all of them."""

    name: str
    about: str
    """One line for people who choose."""
    losses: Mapping[str, Loss]
    """By ``loss.name``; the first is the default."""
    scores: Scores
    encode: Callable[[TextModel, Sequence[Example]], EncodedExamples]
    """Raises TuningError where an example has no truth for this task."""
    predict: Callable[[TextModel, Sequence[Example]], list[dict[str, Any]]]
    """What the model says of each example, JSON-ready."""
    labels: Callable[[Sequence[Example]], list[str]] = field(default=lambda _: [])
    """The labels that the examples have, in the order of the outputs."""
    head: str = "linear"
    """A key of `HEADS`."""
    n_outputs: int = 0
    """Of the head; 0: one a label."""
    pooling: str = ""
    """``picked`` where single tokens are looked at."""
    prepare: Callable[[TextModel, Sequence[Example]], None] = _no_start
    """Tells a new head what it must know of the training examples, as the scale of numbers."""
    finish: Callable[[TextModel, Sequence[Example]], str] = _no_finish
    """Chooses on validation examples, after tuning, what is kept in the head; says what."""
    bits: Callable[[TextModel], tuple[float, str]] = label_bits
    """What the truth of a row can tell, in bits, and in words: the plan's rate depends on it."""
    wants_dropout: Callable[[EncodedExamples], bool] = field(default=lambda _: False)
    """Whether nothing can be learned of these rows without dropout inside the layers."""
    rows: str = ""
    """The task whose rows are read as this one's are; empty: its own, which must be one of ours."""
    plugin: str = ""
    """The plug-in that it comes from; set by `load_plugin`."""
    starts_from_features: bool = False
    """Whether the head can start as a discriminant of pretrained features (targets are classes)."""
    compares_rows: bool = False
    """Whether the loss compares rows, so that parts of a batch do not add up."""
    counts_rows: bool = True
    """Whether a loss is a mean over rows; else over units, so that long rows count more."""
    has_logits: bool = False
    """Whether outputs are logits of one class a unit, so that R-Drop and class weights apply."""
    head_loss: Callable[[Any, Tensor, Truth], Tensor] | None = None
    """(head, states (U, D), truth) → the default loss, where it needs no outputs of all units."""
    measure: Callable[[TextModel, EncodedExamples, Task], tuple[float, dict[str, float]]] = field(
        default=lambda model, rows, task: measure_at_once(model, rows, task)
    )
    """(loss, scores) of a split."""

    @property
    def row_kind(self) -> str:
        """The kind of rows it takes."""
        return self.rows or self.name

    @property
    def spec(self) -> HeadSpec:
        """What `build_model` needs to know."""
        return HeadSpec(self.name, self.head, self.n_outputs, self.pooling, self.plugin)

    def loss(self, name: str) -> Loss:
        """The loss called *name*, or the default one for ``auto``."""
        return next(iter(self.losses.values())) if name == "auto" else self.losses[name]

    def mass(self, truth: Truth) -> Tensor | int:
        """What units weigh in a mean: their rows, their number, or their classes' weights."""
        if truth.class_weights is not None:
            return truth.class_weights[truth.targets].sum()
        # A batch of texts without a unit weighs nothing, and must not divide by nothing.
        return truth.n_rows if self.counts_rows else max(1, len(truth.targets))


def measure_at_once(
    model: TextModel, rows: EncodedExamples, task: Task
) -> tuple[float, dict[str, float]]:
    """Loss and scores from the outputs of all *rows* together."""
    outputs, truth = model.logits(rows.tokens), rows.truth(range(len(rows)))
    loss = task.loss("auto")(outputs, truth, LossSettings()).item()
    return loss, task.scores(outputs, truth, model)


def missing(task: str, example: Example, what: str) -> TuningError:
    """The error for an example without the truth that *task* needs."""
    where = example.interaction_id or repr(example.text[:40])
    return TuningError(
        f"the task {task} needs {what}", where=where, cure="see docs/how-to/tasks.md"
    )
