"""A reranker tuned from logs: it reads a question together with each passage found for it.

Slower than comparing vectors and better at telling near answers apart; kept only where it puts
held-out answers higher than the search alone. Which one a workspace searches with is remembered
there, see `kept_reranker`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tailorbird.config import Settings
from tailorbird.knowledge.tuning import (
    Divided,
    Ranks,
    Say,
    SearchGain,
    divide,
    embed,
    fit_model,
    gain_of,
    ranks_from,
)
from tailorbird.modeling import TextModel, build_model, load_model, save_model
from tailorbird.records import Candidate, Example
from tailorbird.tuning import tasks
from tailorbird.weights import BackboneFolder

N_TIMED = 20
"""Passages that a search lets it read, see `base.N_RERANKED`."""


class TunedReranker:
    """What `tune_reranker` has made: question and texts in, one score a text out."""

    def __init__(self, model: TextModel) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: Path) -> TunedReranker:
        """Read a folder that `tune_reranker` wrote."""
        return cls(load_model(folder))

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Higher is better; scores of one question compare with each other and nothing else."""
        if not texts:
            return []
        tokens = self.model.tokenizer.pairs([question] * len(texts), list(texts))
        found: list[float] = self.model.logits(tokens)[:, 0].tolist()
        return found


def milliseconds(reranker: TunedReranker, question: str, texts: Sequence[str]) -> float:
    """How long it takes to put *texts* into order, the best of three."""
    took = []
    for _ in range(3):
        started_s = time.perf_counter()
        reranker.scores(question, texts)
        took.append(1000 * (time.perf_counter() - started_s))
    return min(took)


def tune_reranker(
    pairs: Sequence[Example],
    backbone: BackboneFolder,
    folder: Path,
    *,
    retriever: TextModel,
    settings: Settings | None = None,
    n_candidates: int = 6,
    say: Say = lambda _: None,
) -> SearchGain:
    """Learn which of the passages found answers; the model is in *folder* where it wins.

    Args:
        pairs: ``Example(question, second=answer)``, divided as `tune_retriever` divides them.
        backbone: the pretrained encoder to start from.
        folder: written by `save_model` where the gain is more than chance, else left alone.
        retriever: a model of the task `retrieval`, whose first answers are put into order.
        settings: sections model, method, tuning, optimizer and loss are read.
        n_candidates: answers a question, the accepted one included.
        say: is told what was decided.

    Raises DataError where there are too few pairs.
    """
    settings = settings or Settings()
    parts = divide(pairs, seed=settings.split.seed)
    answers = embed(retriever, parts.answers, is_query=False)
    train, validation = (
        candidates_of(retriever, part, answers, parts, n=n_candidates)
        for part in (parts.train, parts.validation)
    )
    torch.manual_seed(settings.tuning.seed)
    spec = tasks.find_task("ranking").spec
    model = build_model(backbone, [], settings=settings.model, spec=spec)
    fit_model(model, train, validation, settings, say=say)
    questions = embed(retriever, [pair.text for pair in parts.held], is_query=True)
    cosines = questions @ answers.T  # (N, M)
    before = ranks_from(cosines, parts.held, parts.answers)
    after = reranked(TunedReranker(model), cosines, parts, n=n_candidates)
    gain = gain_of(before, after, n_train=len(train))
    some = parts.answers[:N_TIMED]
    took_ms = milliseconds(TunedReranker(model), parts.held[0].text, some)
    say(f"reading {len(some)} passages with a question takes {took_ms:.0f} ms here")
    say(str(gain))
    if gain.wins:
        save_model(model, folder, backbone=backbone.path)
    return gain


def candidates_of(
    retriever: TextModel,
    pairs: Sequence[Example],
    vectors: NDArray[np.float32],
    parts: Divided,
    *,
    n: int,
) -> list[Example]:
    """Each question with its answer and the nearest *n* - 1 others; *vectors* (M, D) of answers."""
    right: dict[str, set[str]] = {}
    for pair in [*parts.train, *parts.validation, *parts.held]:
        right.setdefault(pair.text, set()).add(pair.second)
    cosines = embed(retriever, [pair.text for pair in pairs], is_query=True) @ vectors.T
    rows = []
    for pair, row in zip(pairs, cosines, strict=True):
        order = (parts.answers[i] for i in np.argsort(-row, kind="stable")[: n + 20])
        others = [text for text in order if text not in right[pair.text]][: n - 1]
        candidates = [Candidate(pair.second, 1.0), *(Candidate(text, 0.0) for text in others)]
        rows.append(Example(pair.text, candidates=tuple(candidates)))
    return rows


def reranked(
    reranker: TunedReranker, cosines: NDArray[np.float32], parts: Divided, *, n: int
) -> Ranks:
    """(N,) places of the accepted answers once the first *n* of each row are put into order."""
    changed = cosines.copy()
    for row, pair in zip(changed, parts.held, strict=True):
        first = np.argsort(-row, kind="stable")[:n]
        scores = reranker.scores(pair.text, [parts.answers[i] for i in first])
        # Above all others, whose cosines are at most 1.
        order = np.argsort(-np.array(scores), kind="stable")
        row[first[order]] = 2.0 + np.arange(n, 0, -1)[: len(first)]
    return ranks_from(changed, parts.held, parts.answers)
