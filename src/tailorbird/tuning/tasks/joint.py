"""One class and any number of labels of the same text, by two heads over one trunk.

A row may lack either part: it then says nothing of it, and has no loss there. So rows of two sets,
one with topics and one with sentiments, tune one model. What is made small is the negative log
probability of all that is known of a row, each label decided on its own: ::

    -log p(class) - Σ_labels log p(whether it holds)

Shape letters: B rows, C1 labels, C2 classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.config import LossSettings
from tailorbird.metrics import accuracy, macro_f1
from tailorbird.metrics.labels import micro_f1_of_labels
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning.tasks.classes import tokens_of, unknown_label
from tailorbird.tuning.tasks.multi_label import chosen_thresholds
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing

MANY, ONE = "labels:", "label:"
"""Before the names of the outputs: what may hold beside others, and what excludes the others."""
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Parts:
    """The outputs of a model by the head that they are of, in their order."""

    many: tuple[str, ...]
    one: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Parts:
        """The parts that the names of a model's outputs tell.

        >>> Parts.of(["labels:price", "label:bad", "label:good"])
        Parts(many=('price',), one=('bad', 'good'))
        """
        return cls(
            tuple(name.removeprefix(MANY) for name in names if name.startswith(MANY)),
            tuple(name.removeprefix(ONE) for name in names if name.startswith(ONE)),
        )


def labels_of(examples: Sequence[Example]) -> list[str]:
    """The outputs: every label that the examples name, then every class, both sorted.

    >>> labels_of([Example("a", "bad"), Example("b", labels=("price",))])
    ['labels:price', 'label:bad']
    """
    many = sorted({name for example in examples for name in example.labels})
    one = sorted({example.label for example in examples} - {""})
    return [*(f"{MANY}{name}" for name in many), *(f"{ONE}{name}" for name in one)]


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """(B, C1 + 1): 1 where a label holds, else 0, then the class; -1 where nothing is known."""
    parts = Parts.of(model.labels)
    many, one = ({name: k for k, name in enumerate(names)} for names in (parts.many, parts.one))
    targets = torch.full((len(examples), len(many) + 1), UNKNOWN, dtype=torch.int64)
    for row, example in enumerate(examples):
        knows_labels = "labels" not in example.lacks
        if not example.label and not knows_labels:
            raise missing("joint", example, "labels or a label")
        of_class = (example.label,) if example.label else ()
        for known, names in ((many, example.labels), (one, of_class)):
            for name in names:
                if name not in known:
                    raise unknown_label(model, example, name)
        if knows_labels:
            targets[row, :-1] = 0
            targets[row, [many[name] for name in example.labels]] = 1
        if example.label:
            targets[row, -1] = one[example.label]
    return EncodedExamples(tokens_of(model, examples), targets)


def losses_of_parts(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C1 + C2) logits and (B, C1 + 1) truth → (B,) nll in nats of the labels, of the class.

    0 where nothing is known.

    >>> logits, truth = torch.zeros(2, 4), torch.tensor([[1, 0, 1], [-1, -1, 0]])
    >>> [[round(x, 4) for x in part.tolist()] for part in losses_of_parts(logits, truth)]
    [[1.3863, 0.0], [0.6931, 0.6931]]
    """
    n_many = targets.shape[1] - 1
    yes, classes = targets[:, :n_many], targets[:, n_many]
    of_each = F.binary_cross_entropy_with_logits(
        outputs[:, :n_many], yes.clamp(min=0).to(outputs.dtype), reduction="none"
    )
    of_labels = (of_each * (yes != UNKNOWN)).sum(1)
    if outputs.shape[1] == n_many:
        return of_labels, torch.zeros_like(of_labels)
    of_class = F.cross_entropy(outputs[:, n_many:], classes, ignore_index=UNKNOWN, reduction="none")
    return of_labels, of_class


def nll(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over rows of the sum of both parts: a row counts as one, whatever it lacks."""
    of_labels, of_class = losses_of_parts(outputs, truth.targets)
    return (of_labels + of_class).mean()


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """Mean of the first scores of the parts there are, then those of each, and their losses."""
    n_many = truth.targets.shape[1] - 1
    yes, classes = truth.targets[:, :n_many], truth.targets[:, n_many]
    of_labels, of_class = losses_of_parts(outputs, truth.targets)
    found: dict[str, float] = {}
    first: list[float] = []
    rows = (yes != UNKNOWN).all(1) if n_many else torch.zeros(len(yes), dtype=torch.bool)
    if rows.any():
        given = model.head.says_yes(outputs)[rows, :n_many].numpy()
        found["micro_f1"] = micro_f1_of_labels(yes[rows].numpy(), given)
        found["labels_nll"] = of_labels[rows].mean().item()
        first.append(found["micro_f1"])
    rows = classes != UNKNOWN
    if rows.any():
        truths, guesses = classes[rows].numpy(), outputs[rows, n_many:].argmax(-1).numpy()
        found["accuracy"] = accuracy(truths, guesses)
        found["macro_f1"] = macro_f1(truths, guesses)
        found["label_nll"] = of_class[rows].mean().item()
        first.append(found["accuracy"])
    return {"joint": sum(first) / max(1, len(first)), **found}


def finish(model: TextModel, examples: Sequence[Example]) -> str:
    """For each label the threshold with the best F1 on validation, kept in the head."""
    known = [example for example in examples if "labels" not in example.lacks]
    n_many = len(Parts.of(model.labels).many)
    if not known or not n_many:
        return ""
    encoded = encode(model, known)
    probs = model.logits(encoded.tokens)[:, :n_many].sigmoid()
    found = chosen_thresholds(probs, encoded.targets[:, :n_many].float())
    model.head.thresholds[:n_many] = found
    return (
        f"thresholds: {found.min():.2f} to {found.max():.2f} (best F1 of each label on "
        f"{len(known):,} validation rows)"
    )


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The labels that hold, the likeliest class, and the probabilities of all of them."""
    parts = Parts.of(model.labels)
    n_many = len(parts.many)
    outputs = model.logits(tokens_of(model, examples))  # (B, C1 + C2)
    says_yes = model.head.says_yes(outputs)[:, :n_many].tolist()
    of_labels = outputs[:, :n_many].sigmoid().tolist()
    of_class = outputs[:, n_many:].softmax(-1).tolist()
    return [
        {
            "labels": [name for name, is_so in zip(parts.many, said, strict=True) if is_so],
            "label": parts.one[classes.index(max(classes))] if classes else "",
            "probabilities": {
                "labels": dict(zip(parts.many, labels, strict=True)),
                "label": dict(zip(parts.one, classes, strict=True)),
            },
        }
        for said, labels, classes in zip(says_yes, of_labels, of_class, strict=True)
    ]


def bits(model: TextModel) -> tuple[float, str]:
    """One class of several, and each label a decision of its own."""
    parts = Parts.of(model.labels)
    n_many, n_one = len(parts.many), len(parts.one)
    known = n_many + (math.log2(n_one) if n_one > 1 else 0.0)
    return max(1.0, known), f"{n_many} labels beside {n_one} classes"


JOINT = Task(
    "joint",
    "one class and any number of labels of a text, as sentiment and topics; rows may lack either",
    {"nll": nll},
    scores,
    encode,
    predict,
    labels_of,
    head="joint",
    finish=finish,
    bits=bits,
    starts_from_features=True,
)
