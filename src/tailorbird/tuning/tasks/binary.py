"""Yes or no: two classes, one output, which is the logit of the positive one.

Shape letters: B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.errors import TuningError
from tailorbird.metrics import accuracy
from tailorbird.metrics.labels import average_precision, positive_f1, roc_auc
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.classes import encode_classes, tokens_of
from tailorbird.tuning.tasks.multi_label import N_TO_CHOOSE, chosen_thresholds
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing

POSITIVE = {"1", "true", "yes", "y", "positive", "pos", "spam", "toxic"}
POSITIVE |= {"是", "对", "真", "正", "正面", "好评", "有"}
"""Names of a class that say which of two is the positive one, in any case."""


def labels_of(examples: Sequence[Example]) -> list[str]:
    """The negative class, then the positive one: what is in `POSITIVE`, else the later by name.

    Raises TuningError where there are not two classes.
    """
    found = sorted({example.label for example in examples})
    for example in examples:
        if not example.label:
            raise missing("binary", example, "a label")
    if len(found) != 2:
        raise TuningError(
            f"the task binary needs two classes and finds {len(found)}: {', '.join(found[:8])}",
            cure="use --task single_label for more, or drop the rows of the others",
        )
    is_first, is_second = (label.casefold() in POSITIVE for label in found)
    return found[::-1] if is_first and not is_second else found


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """1 for the positive class, 0 for the other; pairs are one text each."""
    return encode_classes("binary", model, examples)


def binary_cross_entropy(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of ``-log p(what is true)``."""
    return losses.binary_cross_entropy(outputs, truth.targets[:, None])


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """F1 of the positive class first: accuracy is high for whoever always says the frequent one.

    ``roc_auc`` and ``average_precision`` need no threshold; they are there where both classes are.
    """
    says_yes = model.head.says_yes(outputs)[:, 0].numpy()
    is_true, logits = truth.targets.numpy() == 1, outputs[:, 0].numpy()
    n_right = int((says_yes & is_true).sum())
    found = {
        "f1": positive_f1(is_true, says_yes),
        "precision": n_right / max(1, int(says_yes.sum())),
        "recall": n_right / max(1, int(is_true.sum())),
        "accuracy": accuracy(is_true, says_yes),
    }
    if is_true.any() and not is_true.all():
        found["roc_auc"] = roc_auc(is_true, logits)
        found["average_precision"] = average_precision(is_true, logits)
    return found


def finish(model: TextModel, examples: Sequence[Example]) -> str:
    """The threshold with the best F1 on validation, kept in the head."""
    encoded = encode(model, examples)
    probs = model.logits(encoded.tokens).sigmoid()
    threshold = chosen_thresholds(probs, encoded.targets[:, None])
    model.head.thresholds.copy_(threshold)
    return (
        f"threshold: {model.labels[1]} from {threshold.item():.3f} (best F1 on validation, 0.5 "
        f"where fewer than {N_TO_CHOOSE} rows are {model.labels[1]})"
    )


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The class, and the probability of the positive one."""
    outputs = model.logits(tokens_of(model, examples))  # (B, 1)
    is_yes, probs = model.head.says_yes(outputs)[:, 0], outputs.sigmoid()[:, 0]
    return [
        {"label": model.labels[int(yes)], "positive": model.labels[1], "probability": probability}
        for yes, probability in zip(is_yes.tolist(), probs.tolist(), strict=True)
    ]


BINARY = Task(
    "binary",
    "yes or no: two classes, of which one is looked for",
    {"binary_cross_entropy": binary_cross_entropy},
    scores,
    encode,
    predict,
    labels_of,
    head="threshold",
    n_outputs=1,
    finish=finish,
)
