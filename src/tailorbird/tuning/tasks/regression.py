"""A number for a text or for a pair of texts: ratings, similarities.

Shape letters: B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.metrics.numbers import mae, r_squared, rmse, spearman
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.classes import tokens_of
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing


def values_of(examples: Sequence[Example]) -> Tensor:
    """(B,) their numbers."""
    values = []
    for example in examples:
        if example.value is None:
            raise missing("regression", example, "a value")
        values.append(example.value)
    return torch.tensor(values, dtype=torch.float32)


def prepare(model: TextModel, examples: Sequence[Example]) -> None:
    """Mean and spread of the training numbers, which tuning takes out of them."""
    model.head.fit_scale(values_of(examples))


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Numbers of about mean 0 and spread 1, by the scale that `prepare` left in the head."""
    targets = model.head.standardized(values_of(examples))
    return EncodedExamples(tokens_of(model, examples), targets)


def mse(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of squared errors, in spreads of the training numbers."""
    return losses.mean_squared_error(outputs[:, 0], truth.targets)


def absolute(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of absolute errors: answers are medians, which many equal ratings make far better."""
    return losses.mean_absolute_error(outputs[:, 0], truth.targets)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """In the units of the rows: the share of variance explained, rank correlation, errors.

    ``r2`` comes first because higher is better and it has no unit; ``mae`` and ``rmse`` are better
    when lower.
    """
    values = model.head.numbers(outputs).numpy()
    targets = model.head.numbers(truth.targets[:, None]).numpy()
    return {
        "r2": r_squared(targets, values),
        "spearman": spearman(targets, values),
        "mae": mae(targets, values),
        "rmse": rmse(targets, values),
    }


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The number, in the units of the training rows."""
    outputs = model.logits(tokens_of(model, examples))
    return [{"value": value} for value in model.head.numbers(outputs).tolist()]


def bits(model: TextModel) -> tuple[float, str]:
    """A rating tells about as much as one of four classes."""
    return 2.0, "a number a row, which counts as 4 labels"


REGRESSION = Task(
    "regression",
    "a number for a text, or for a pair of texts: ratings, similarities",
    {"mse": mse, "mae": absolute},
    scores,
    encode,
    predict,
    head="number",
    n_outputs=1,
    prepare=prepare,
    bits=bits,
)
