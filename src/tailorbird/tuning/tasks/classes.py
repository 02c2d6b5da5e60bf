"""One class a text, or one a pair of texts.

Shape letters: B rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.errors import TuningError
from tailorbird.metrics import accuracy, macro_f1
from tailorbird.modeling import TextModel
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing


def tokens_of(model: TextModel, examples: Sequence[Example]) -> TokenizedTexts:
    """Texts as they are; pairs as one text each, where examples have a second one."""
    texts = [example.text for example in examples]
    if any(example.second for example in examples):
        pairs: TokenizedTexts = model.tokenizer.pairs(texts, [e.second for e in examples])
        return pairs
    plain: TokenizedTexts = model.tokenizer(texts)
    return plain


def unknown_label(model: TextModel, example: Example, label: str) -> TuningError:
    """The error for a label that is none of the model's."""
    known = ", ".join(model.labels[:8]) + (" …" if len(model.labels) > 8 else "")
    return TuningError(
        f"the label {label!r} is none of the model's: {known}",
        where=example.interaction_id or repr(example.text[:40]),
        cure="train on rows that have it, or leave the row out",
    )


def encode_classes(task: str, model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Class indices; every label must be one of the model's."""
    index_of = {label: index for index, label in enumerate(model.labels)}
    for example in examples:
        if not example.label:
            raise missing(task, example, "a label")
        if example.label not in index_of:
            raise unknown_label(model, example, example.label)
    targets = torch.tensor([index_of[example.label] for example in examples], dtype=torch.int64)
    return EncodedExamples(tokens_of(model, examples), targets)


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Class indices of texts."""
    return encode_classes("single_label", model, examples)


def encode_pairs(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """The same, of examples that all have a second text."""
    for example in examples:
        if not example.second:
            raise missing("pairs", example, "a second text")
    return encode_classes("pairs", model, examples)


def cross_entropy(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of ``-log p(class)``, smoothed and weighted as set."""
    return losses.cross_entropy(
        outputs,
        truth.targets,
        label_smoothing=settings.label_smoothing,
        class_weights=truth.class_weights,
    )


def focal(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Cross-entropy that hardly counts what is already right."""
    return losses.focal(
        outputs, truth.targets, gamma=settings.focal_gamma, class_weights=truth.class_weights
    )


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """Accuracy, and the mean F1 of the classes."""
    predicted, targets = outputs.argmax(-1).numpy(), truth.targets.numpy()
    return {"accuracy": accuracy(targets, predicted), "macro_f1": macro_f1(targets, predicted)}


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The likeliest class with its probability."""
    probs = model.logits(tokens_of(model, examples)).softmax(-1)  # (B, C)
    best = probs.max(-1)
    return [
        {"label": model.labels[index], "probability": probability}
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def labels_of(examples: Sequence[Example]) -> list[str]:
    """Every class that the examples name, sorted."""
    return sorted({example.label for example in examples})


SINGLE_LABEL = Task(
    "single_label",
    "one class a text",
    {"cross_entropy": cross_entropy, "focal": focal},
    scores,
    encode,
    predict,
    labels_of,
    starts_from_features=True,
    has_logits=True,
)
PAIRS = Task(
    "pairs",
    "one class a pair of texts: do they match, does one follow from the other",
    SINGLE_LABEL.losses,
    scores,
    encode_pairs,
    predict,
    labels_of,
    starts_from_features=True,
    has_logits=True,
)
