"""Vectors of texts: a query lies near the passage that answers it, and far from the others.

A row is two texts, a query and its passage; a text alone is its own passage, told from itself by
dropout (SimCSE, Gao et al. 2021); or two texts with a value, their similarity. Shape letters: B
rows, U = 2 B texts (query, passage, query, passage, …), D width, N rows of a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.errors import ConfigError
from tailorbird.metrics.numbers import spearman
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing

TEMPERATURE = 0.05
"""Of the contrast, where none is set (Gao et al. 2021, section 3.1; a scale of 20)."""
CHUNK = 256
"""Rows whose loss is taken together, and queries compared with all passages at once."""

IDENTITY, VALUE = range(2)
"""Columns of the targets: a number that equal texts share, and the row's value, NaN without."""


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """(2 N, 2) identity and value of each text; a row's texts are its query and its passage."""
    identities: dict[str, int] = {}
    targets: list[tuple[int, float]] = []
    for example in examples:
        if not example.text:
            raise missing("retrieval", example, "a text")
        value = float("nan") if example.value is None else example.value
        if not (value != value or -1 <= value <= 1):
            raise missing("retrieval", example, f"values from -1 to 1, not {value:g}: scale them,")
        both = (example.text, example.second or example.text)
        targets += [(identities.setdefault(text, len(identities)), value) for text in both]
    queries = [example.text for example in examples]
    tokens = model.tokenizer.searched(queries, [e.second or e.text for e in examples])
    texts = torch.arange(0, 2 * len(examples) + 1, 2)
    return EncodedExamples(tokens, torch.tensor(targets, dtype=torch.float64), texts)


def wants_dropout(rows: EncodedExamples) -> bool:
    """Whether some text is its own passage: without dropout it is found by being the same."""
    queries, passages = rows.targets[::2, IDENTITY], rows.targets[1::2, IDENTITY]
    return bool((queries == passages).any())


def negatives(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Each query finds its passage among all of the batch."""
    return _negatives(outputs, truth, settings, symmetric=False)


def symmetric_negatives(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """The same, and each passage finds its query."""
    return _negatives(outputs, truth, settings, symmetric=True)


def _negatives(outputs: Tensor, truth: Truth, settings: LossSettings, *, symmetric: bool) -> Tensor:
    if not truth.targets[:, VALUE].isnan().all():
        raise ConfigError(
            "rows with a value are no queries with their passages",
            where="the task retrieval",
            cure="use loss.name=cosine, or leave the values out",
        )
    query, passage = truth.targets[::2, IDENTITY], truth.targets[1::2, IDENTITY]
    # Passage j is right for query i where it is i's own, or was given to the same query.
    is_same = (passage[:, None] == passage) | (query[:, None] == query)
    return losses.multiple_negatives(
        outputs[::2],
        outputs[1::2],
        scale=1 / (settings.temperature or TEMPERATURE),
        is_same=is_same,
        symmetric=symmetric,
    )


def cosine(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of ``(cos - value)^2``."""
    values = truth.targets[::2, VALUE]
    if values.isnan().any():
        raise ConfigError(
            "the loss cosine needs a value in every row",
            where="the task retrieval",
            cure="use loss.name=mnrl, or give the rows values from -1 to 1",
        )
    return losses.cosine_distance(outputs[::2], outputs[1::2], values)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """How well queries find a passage of theirs among all passages of the rows, each taken once.

    ``recall_at_1`` and ``recall_at_10`` are shares of queries with a right passage so far up, and
    ``mrr`` is the mean of 1 / its place; passages as near as the right one stand before it. Rows
    with values have ``spearman``, of cosine and value, instead.
    """
    queries, passages = outputs[::2], outputs[1::2]
    if not truth.targets[:, VALUE].isnan().any():
        cosines = (queries * passages).sum(-1).numpy()
        return {"spearman": spearman(truth.targets[::2, VALUE].numpy(), cosines)}
    ranks = ranks_of(queries, passages, truth.targets[:, IDENTITY].long()).double()
    return {
        "recall_at_1": (ranks <= 1).double().mean().item(),
        "recall_at_10": (ranks <= 10).double().mean().item(),
        "mrr": (1 / ranks).mean().item(),
    }


def ranks_of(queries: Tensor, passages: Tensor, identities: Tensor) -> Tensor:
    """(N,) the place of the best right passage of each row's query, from 1.

    Args:
        queries: (N, D) of length 1.
        passages: (N, D) of length 1, row i for query i.
        identities: (2 N,) query, passage, …: equal texts have equal numbers.
    """
    own, of_passage = identities[::2], identities[1::2]
    _, kept = _first_of_each(of_passage)
    # Every pair of a query and a passage that belong together, each text by its number.
    base = int(identities.max()) + 1
    right = torch.unique(own * base + of_passage)
    ranks = []
    for start in range(0, len(queries), CHUNK):
        asked = slice(start, start + CHUNK)
        cosines = queries[asked] @ passages[kept].T  # (chunk, passages)
        is_right = torch.isin(own[asked, None] * base + of_passage[kept], right)
        best = cosines.masked_fill(~is_right, -2.0).amax(1, keepdim=True)
        ranks.append(1 + ((cosines >= best) & ~is_right).sum(1))
    return torch.cat(ranks)


def _first_of_each(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The different numbers, and where each of them stands first."""
    different, which = torch.unique(numbers, return_inverse=True)
    places = torch.arange(len(numbers))
    first = torch.full((len(different),), len(numbers))
    return different, first.scatter_reduce(0, which, places, "amin")


def measure(model: TextModel, rows: EncodedExamples, task: Task) -> tuple[float, dict[str, float]]:
    """Scores over all rows; the loss is a mean over chunks of `CHUNK`, in their order."""
    outputs, truth = model.logits(rows.tokens), rows.truth(range(len(rows)))
    has_values = not truth.targets[:, VALUE].isnan().any()
    loss_of = task.losses["cosine"] if has_values else task.loss("auto")
    total = 0.0
    for start in range(0, len(rows), CHUNK):
        part = rows.truth(range(start, min(start + CHUNK, len(rows))))
        of_part = outputs[2 * start : 2 * (start + CHUNK)]
        total += part.n_rows * loss_of(of_part, part, LossSettings()).item()
    return total / len(rows), task.scores(outputs, truth, model)


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The cosine of two texts; of a text alone its vector, as a query."""
    queries = model.logits([example.text for example in examples])
    seconds = [example.second or example.text for example in examples]
    passages = model.logits(model.tokenizer.searched(seconds, seconds))[1::2]
    cosines = (queries * passages).sum(-1).tolist()
    return [
        {"similarity": cosine} if example.second else {"embedding": vector}
        for example, cosine, vector in zip(examples, cosines, queries.tolist(), strict=True)
    ]


def bits(model: TextModel) -> tuple[float, str]:
    """There is no new head, and the distances that were pretrained are to be kept."""
    return 1.0, "texts compared as they are, which counts as 2 labels"


RETRIEVAL = Task(
    "retrieval",
    "vectors of texts: a query lies near its passage; search, duplicates, similarity",
    {"mnrl": negatives, "mnrl_symmetric": symmetric_negatives, "cosine": cosine},
    scores,
    encode,
    predict,
    head="embedding",
    compares_rows=True,
    measure=measure,
    bits=bits,
    wants_dropout=wants_dropout,
)
