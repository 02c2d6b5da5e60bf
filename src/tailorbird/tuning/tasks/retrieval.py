"""Vectors of texts: a query lies near the passage that answers it, and far from the others.

A row is two texts, a query and its passage; a text alone is its own passage, told from itself by
dropout (SimCSE, Gao et al. 2021); or two texts with a value, their similarity. The candidates of a
row, where it has any, are hard negatives: texts that look as if they answered its query. Shape
letters: B rows, K hard negatives of a batch, U = 2 B + K texts (query, passage, its hard negatives,
query, …), D width, N rows of a split.
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
from tailorbird.modeling.packing import offsets_of
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing

TEMPERATURE = 0.05
"""Of the contrast, where none is set (Gao et al. 2021, section 3.1; a scale of 20)."""
CHUNK = 256
"""Rows whose loss is taken together, and queries compared with all passages at once."""

IDENTITY, VALUE, ROLE = range(3)
"""Columns of the targets: a number that equal texts share; the row's value, NaN without; a role."""
QUERY, PASSAGE, NEGATIVE = range(3)
"""The roles."""


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """(U, 3) identity, value and role of each text.

    A row's texts are its query, its passage and its candidates.
    """
    identities: dict[str, int] = {}
    targets: list[tuple[int, float, int]] = []
    both: list[tuple[str, str]] = []  # what each text is as a query, and as a passage
    for example in examples:
        if not example.text:
            raise missing("retrieval", example, "a text")
        value = float("nan") if example.value is None else example.value
        if not (value != value or -1 <= value <= 1):
            raise missing("retrieval", example, f"values from -1 to 1, not {value:g}: scale them,")
        passage = example.second or example.text
        both.append((example.text, passage))
        both += [(one.text, one.text) for one in example.candidates]
        said = [(example.text, QUERY), (passage, PASSAGE)]
        said += [(one.text, NEGATIVE) for one in example.candidates]
        targets += [(identities.setdefault(t, len(identities)), value, role) for t, role in said]
    tokens = model.tokenizer.searched(*zip(*both, strict=True)) if both else model.tokenizer([])
    truth = torch.tensor(targets, dtype=torch.float64).reshape(-1, 3)
    counts = torch.tensor([2 + len(example.candidates) for example in examples])
    if len(tokens) > len(truth):  # hard negatives are no queries
        tokens = tokens.subset(_read_once(counts))
    return EncodedExamples(tokens, truth, offsets_of(counts))


def _read_once(counts: Tensor) -> Tensor:
    """Of query and passage of each pair, and of a hard negative as both, the places to keep.

    >>> _read_once(torch.tensor([2, 3])).tolist()
    [0, 1, 2, 3, 5]
    """
    n_pairs = counts - 1  # of a row: itself, and each hard negative with itself
    is_own = torch.zeros(int(n_pairs.sum()), dtype=torch.bool)
    is_own[offsets_of(n_pairs)[:-1]] = True
    kept = torch.stack([is_own, torch.ones_like(is_own)], dim=1).flatten()
    return kept.nonzero()[:, 0]


def wants_dropout(rows: EncodedExamples) -> bool:
    """Whether some text is its own passage: without dropout it is found by being the same."""
    queries, passages, _ = by_role(rows.targets[:, IDENTITY], rows.targets)
    return bool((queries == passages).any())


def by_role(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of *values* (U, …) those of the queries (B, …), passages (B, …) and hard negatives (K, …)."""
    roles = targets[:, ROLE]
    return values[roles == QUERY], values[roles == PASSAGE], values[roles == NEGATIVE]


def negatives(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Each query finds its passage among all of the batch, hard negatives of others included."""
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
    query, passage, hard = by_role(truth.targets[:, IDENTITY], truth.targets)
    queries, passages, others = by_role(outputs, truth.targets)
    # Passage j is right for query i where it is i's own, or was given to the same query.
    is_same = passage[:, None] == torch.cat([passage, hard])  # (B, B + K)
    is_same[:, : len(query)] |= query[:, None] == query
    return losses.multiple_negatives(
        queries,
        torch.cat([passages, others]),
        scale=1 / (settings.temperature or TEMPERATURE),
        is_same=is_same,
        symmetric=symmetric,
    )


def cosine(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean of ``(cos - value)^2``."""
    values = by_role(truth.targets[:, VALUE], truth.targets)[0]
    if values.isnan().any():
        raise ConfigError(
            "the loss cosine needs a value in every row",
            where="the task retrieval",
            cure="use loss.name=mnrl, or give the rows values from -1 to 1",
        )
    queries, passages, _ = by_role(outputs, truth.targets)
    return losses.cosine_distance(queries, passages, values)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """How well queries find a passage of theirs among all passages of the rows, each taken once.

    ``recall_at_1`` and ``recall_at_10`` are shares of queries with a right passage so far up, and
    ``mrr`` is the mean of 1 / its place; passages as near as the right one stand before it. Rows
    with values have ``spearman``, of cosine and value, instead.
    """
    queries, passages, _ = by_role(outputs, truth.targets)
    if not truth.targets[:, VALUE].isnan().any():
        cosines = (queries * passages).sum(-1).numpy()
        return {
            "spearman": spearman(
                by_role(truth.targets[:, VALUE], truth.targets)[0].numpy(), cosines
            )
        }
    query, passage, _ = by_role(truth.targets[:, IDENTITY].long(), truth.targets)
    identities = torch.stack([query, passage], dim=1).flatten()
    ranks = ranks_of(queries, passages, identities).double()
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
        first, last = rows.units[[start, min(start + CHUNK, len(rows))]].tolist()
        of_part = outputs[first:last]
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
    """One of 64 passages would be 6; there is no new head, and pretrained distances are to be kept.

    Measured in docs/ideas/desk.md, "Finding the right reply".
    """
    return 3.0, "texts compared as they are, which counts as 8 labels"


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
