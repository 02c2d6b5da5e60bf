"""Any number of labels a text, each decided on its own.

Shape letters: B rows, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.classes import tokens_of, unknown_label
from tailorbird.tuning.tasks.scoring import best_threshold
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth


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
    """F1 of all decisions together, mean F1 of the labels, share of rows that are right in all.

    A label that no row has and none is given counts as 0 in ``macro_f1``, as scikit-learn has it.
    """
    from sklearn.metrics import f1_score

    given, true = model.head.says_yes(outputs).numpy(), truth.targets.numpy() == 1
    micro, macro = (
        float(f1_score(true, given, average=average, zero_division=0.0))
        for average in ("micro", "macro")
    )
    subset = float((given == true).all(-1).mean())
    return {"micro_f1": micro, "macro_f1": macro, "subset_accuracy": subset}


def finish(model: TextModel, examples: Sequence[Example]) -> str:
    """For each label the threshold with the best F1 on validation, kept in the head."""
    encoded = encode(model, examples)
    probs = model.logits(encoded.tokens).sigmoid().numpy()  # (B, C)
    is_true = encoded.targets.numpy() == 1
    found = [best_threshold(p, t) for p, t in zip(probs.T, is_true.T, strict=True)]
    model.head.thresholds.copy_(torch.tensor(found))
    said = ", ".join(
        f"{name} {one:.2f}" for name, one in zip(model.labels[:5], found, strict=False)
    )
    more = " …" if len(found) > 5 else ""
    return f"thresholds: {said}{more} (best F1 on validation, 0.5 where few rows have a label)"


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
