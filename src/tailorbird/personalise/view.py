"""What the shared assistant makes of all rows, computed once a text: features and answers.

Everything that is tried for a user works on this; no text is read twice.

Shape letters: N rows, M distinct texts, D width, C outputs (classes, or one number).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tailorbird.errors import ConfigError, DataError
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning.tasks import find_task

Floats = NDArray[np.float64]
TASKS = ("regression", "single_label")
UNSEEN_MASS = 1e-3
"""What is left to classes that the shared assistant has never seen, all together."""


@dataclass(frozen=True)
class View:
    """N rows as the shared assistant sees them, and what is true of them."""

    features: Tensor  # (M, D) fp64, of length 1
    base: Tensor  # (M, C) fp64, numbers or log-probabilities
    text_of: NDArray[np.int64]  # (N,)
    truth: Tensor  # (N,) numbers, or indices of classes
    labels: tuple[str, ...] = ()
    """Of the classes; empty: numbers. Those that the shared assistant lacks come last."""
    n_known: int = 0
    """Classes that it has."""
    log_mass: Tensor | None = None  # (M,) log-sum-exp of its logits, which log-probabilities lack

    @property
    def is_numbers(self) -> bool:
        """Whether the truth is a number."""
        return not self.labels

    @property
    def loss_name(self) -> str:
        """What `losses` are: mae or nll."""
        return "mae" if self.is_numbers else "nll"

    def features_of(self, rows: Sequence[int]) -> Tensor:
        """(n, D) of *rows*."""
        return self.features[torch.from_numpy(self.text_of[list(rows)])]

    def base_of(self, rows: Sequence[int]) -> Tensor:
        """(n, C) of *rows*."""
        return self.base[torch.from_numpy(self.text_of[list(rows)])]

    def losses(self, outputs: Tensor, rows: Sequence[int]) -> Floats:
        """(n,) how wrong outputs (n, C) are: absolute error, or negative log-likelihood."""
        truth = self.truth[list(rows)]
        if self.is_numbers:
            return np.asarray((outputs[:, 0] - truth).abs().numpy())
        return np.asarray(-outputs.gather(1, truth[:, None])[:, 0].numpy())

    def n_right(self, outputs: Tensor, rows: Sequence[int]) -> int:
        """How many classes are right."""
        return int((outputs.argmax(1) == self.truth[list(rows)]).sum())


def view_rows(model: TextModel, examples: Sequence[Example], *, temperature: float = 1.0) -> View:
    """Look at every distinct text of *examples* once.

    Logits are divided by *temperature*, as they are where the model is served.

    Raises ConfigError for a task that is neither of one label nor of a number, DataError where an
    example has no truth.
    """
    task = find_task(model.spec.task)
    if task.name not in TASKS:
        raise ConfigError(
            f"a model of the task {task.name} cannot be made personal",
            cure=f"use one of {', '.join(TASKS)}",
        )
    number_of: dict[tuple[str, str], int] = {}
    firsts: list[Example] = []
    text_of = np.empty(len(examples), dtype=np.int64)
    for row, example in enumerate(examples):
        key = (example.text, example.second)
        if key not in number_of:
            number_of[key] = len(firsts)
            firsts.append(example)
        text_of[row] = number_of[key]
    texts = [example.text for example in firsts]
    is_pair = any(example.second for example in firsts)
    seconds = [example.second for example in firsts]
    tokens = model.tokenizer.pairs(texts, seconds) if is_pair else model.tokenizer(texts)
    pooled = model.features(tokens)
    with torch.inference_mode():
        outputs = model.eval().head(pooled.to(model.device)).cpu()
    features = F.normalize(pooled.double(), dim=-1)
    if task.name == "regression":
        base = model.head.numbers(outputs).double()[:, None]
        return View(features, base, text_of, _numbers(examples))
    return _of_classes(model, examples, features, outputs.double() / temperature, text_of)


def _of_classes(
    model: TextModel,
    examples: Sequence[Example],
    features: Tensor,
    logits: Tensor,
    text_of: NDArray[np.int64],
) -> View:
    """With a place for classes that only some users' rows have."""
    extra = sorted({example.label for example in examples} - set(model.labels))
    if "" in extra:
        raise DataError("a row has no label", cure="leave out rows without one")
    log_p = logits.log_softmax(-1)
    if extra:
        left = np.log1p(-UNSEEN_MASS)
        unseen = torch.full((len(log_p), len(extra)), np.log(UNSEEN_MASS / len(extra)))
        log_p = torch.cat([log_p + left, unseen.double()], 1)
    labels = (*model.labels, *extra)
    index = {label: number for number, label in enumerate(labels)}
    truth = torch.tensor([index[example.label] for example in examples])
    known = len(model.labels)
    return View(features, log_p, text_of, truth, labels, known, logits.logsumexp(-1))


def _numbers(examples: Sequence[Example]) -> Tensor:
    for example in examples:
        if example.value is None:
            raise DataError(
                "a row has no number", where=example.interaction_id or example.text[:40]
            )
    return torch.tensor([float(example.value or 0.0) for example in examples], dtype=torch.float64)
