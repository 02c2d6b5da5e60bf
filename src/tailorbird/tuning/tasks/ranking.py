"""Candidates of a query in the order of their relevance: each is read together with the query.

A row is a query with all its candidates, so that no batch cuts it. Shape letters: B queries of a
batch, K the most candidates of one, U all their candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.metrics.ranking import mrr, ndcg, pairwise_accuracy
from tailorbird.modeling import TextModel
from tailorbird.modeling.packing import TokenizedTexts, offsets_of
from tailorbird.records import Example
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing


def pairs_of(model: TextModel, examples: Sequence[Example]) -> tuple[TokenizedTexts, Tensor]:
    """Each candidate with its query, and where the candidates of each query begin (N + 1,)."""
    for example in examples:
        if not example.candidates:
            raise missing("ranking", example, "candidates")
    both = [(example.text, one.text) for example in examples for one in example.candidates]
    tokens = model.tokenizer.pairs([query for query, _ in both], [text for _, text in both])
    return tokens, offsets_of(torch.tensor([len(example.candidates) for example in examples]))


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """The relevance of each candidate; a row's texts are its candidates."""
    tokens, texts = pairs_of(model, examples)
    relevance = [one.relevance for example in examples for one in example.candidates]
    return EncodedExamples(tokens, torch.tensor(relevance, dtype=torch.float32), texts)


def by_query(outputs: Tensor, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, relevance and whether there is a candidate, each (U, …) → (B, K)."""
    rows = truth.rows
    counts = torch.bincount(rows, minlength=truth.n_rows)
    places = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    shape = (truth.n_rows, int(counts.max()))
    at = (rows, places)
    scores = outputs.new_zeros(shape).index_put(at, outputs[:, 0])
    relevance = truth.targets.new_zeros(shape).index_put(at, truth.targets)
    is_there = torch.zeros(shape, dtype=torch.bool, device=rows.device)
    return scores, relevance, is_there.index_put(at, torch.ones_like(rows, dtype=torch.bool))


def listwise(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over queries of the cross-entropy of who comes first."""
    return losses.listwise(*by_query(outputs, truth))


def pairwise(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over queries of the mean over pairs of ``-log p(the better one wins)``."""
    return losses.pairwise(*by_query(outputs, truth))


def margin(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over queries of the mean over pairs of what they lack of ``loss.margin``."""
    return losses.pairwise(*by_query(outputs, truth), margin=settings.margin)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """Means over the queries whose candidates differ, each counted from its least relevant one.

    0 where no query has anything to order: the best weights are chosen by comparing scores.
    """
    counts = torch.bincount(truth.rows, minlength=truth.n_rows).tolist()
    relevance, found = (part.double().split(counts) for part in (truth.targets, outputs[:, 0]))
    above = [(of_row - of_row.min()).numpy() for of_row in relevance]
    guesses = [of_row.numpy() for of_row in found]
    if not any(of_row.any() for of_row in above):
        return {"ndcg_at_10": 0.0, "mrr": 0.0, "pair_accuracy": 0.0}
    return {
        "ndcg_at_10": ndcg(above, guesses, k=10),
        "mrr": mrr(above, guesses),
        "pair_accuracy": pairwise_accuracy(above, guesses),
    }


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The candidates, best first, with their scores; only differences of scores have a meaning."""
    tokens, texts = pairs_of(model, examples)
    found = model.logits(tokens)[:, 0].split(torch.diff(texts).tolist())
    ranked = []
    for example, of_row in zip(examples, found, strict=True):
        order = of_row.argsort(descending=True, stable=True).tolist()
        rows = [
            {"text": example.candidates[k].text, "place": k, "score": of_row[k].item()}
            for k in order
        ]
        ranked.append({"ranking": rows})
    return ranked


def bits(model: TextModel) -> tuple[float, str]:
    """Of two candidates, which."""
    return 1.0, "better or worse, which counts as 2 labels"


RANKING = Task(
    "ranking",
    "which of a query's candidates fit best: answers, products, documents found",
    {"listwise": listwise, "pairwise": pairwise, "margin": margin},
    scores,
    encode,
    predict,
    n_outputs=1,
    bits=bits,
)
