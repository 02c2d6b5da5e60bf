"""Any number of labels a text, each decided on its own.

Shape letters: B rows, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.metrics.labels import (
    best_thresholds,
    macro_f1_of_labels,
    micro_f1_of_labels,
    subset_accuracy,
)
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.classes import tokens_of, unknown_label
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth

N_TO_CHOOSE = 5
"""Rows with a yes that a threshold is chosen by; with fewer it stays where it was."""


def names_of(example: Example) -> tuple[str, ...]:
    """Its labels, or its one class; there may be none."""
    return example.labels or ((example.label,) if example.label else ())


def labels_of(examples: Sequence[Example]) -> list[str]:
    """Every label that the examples name, sorted."""
    return sorted({name for example in examples for name in names_of(example)})


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """(B, C) ones where a label holds; every label must be one of the model's."""
    index_of = {label: index for index, label in enumerate(model.labels)}
    targets = torch.zeros(len(examples), len(model.labels))
    for row, example in enumerate(examples):
        for name in names_of(example):
            if name not in index_of:
                raise unknown_label(model, example, name)
            targets[row, index_of[name]] = 1
    return EncodedExamples(tokens_of(model, examples), targets)


def binary_cross_entropy(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over rows and labels of ``-log p(what is true)``."""
    return losses.binary_cross_entropy(outputs, truth.targets)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """F1 of all decisions together, mean F1 of the labels, share of rows that are right in all."""
    given, true = model.head.says_yes(outputs).numpy(), truth.targets.numpy()
    return {
        "micro_f1": micro_f1_of_labels(true, given),
        "macro_f1": macro_f1_of_labels(true, given),
        "subset_accuracy": subset_accuracy(true, given),
    }


def chosen_thresholds(probs: Tensor, targets: Tensor) -> Tensor:
    """(C,) the probability from which a yes has its best F1, both (N, C).

    It stays 0.5 where fewer than `N_TO_CHOOSE` rows are a yes: the choice would be chance.
    """
    found = torch.from_numpy(best_thresholds(targets.numpy(), probs.numpy())).float()
    return torch.where(targets.sum(0) >= N_TO_CHOOSE, found, 0.5)


def finish(model: TextModel, examples: Sequence[Example]) -> str:
    """For each label the threshold with the best F1 on validation, kept in the head."""
    encoded = encode(model, examples)
    found = chosen_thresholds(model.logits(encoded.tokens).sigmoid(), encoded.targets)
    model.head.thresholds.copy_(found)
    shown = zip(model.labels[:5], found.tolist(), strict=False)
    said = ", ".join(f"{name} {one:.2f}" for name, one in shown)
    more = " …" if len(found) > 5 else ""
    return (
        f"thresholds: {said}{more} (best F1 on validation, 0.5 where fewer than {N_TO_CHOOSE} "
        "rows have the label)"
    )


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The labels that hold, and the probability of every label."""
    outputs = model.logits(tokens_of(model, examples))  # (B, C)
    return [
        {
            "labels": [name for name, yes in zip(model.labels, row, strict=True) if yes],
            "probabilities": dict(zip(model.labels, of_row, strict=True)),
        }
        for row, of_row in zip(
            model.head.says_yes(outputs).tolist(), outputs.sigmoid().tolist(), strict=True
        )
    ]


def bits(model: TextModel) -> tuple[float, str]:
    """Each label is a decision of its own."""
    return len(model.labels), f"{len(model.labels)} labels, each decided on its own"


MULTI_LABEL = Task(
    "multi_label",
    "any number of labels a text: topics, what a review speaks of",
    {"binary_cross_entropy": binary_cross_entropy},
    scores,
    encode,
    predict,
    labels_of,
    head="threshold",
    finish=finish,
    bits=bits,
)
