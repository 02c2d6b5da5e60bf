"""A base in memory for the benchmarks: dense search and BM25, fused, without a workspace.

What it gives is what `KnowledgeBase.search` gives; it is kept apart so that thousands of questions
are embedded at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours as side
from tailorbird.config import ModelSettings
from tailorbird.hardware import compute_dtype
from tailorbird.knowledge.hard_negatives import WordIndex
from tailorbird.knowledge.tuning import embed
from tailorbird.knowledge.words import without_strange, words_of
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Passage
from tailorbird.tuning.tasks import find_task

Embed = Callable[[Sequence[str], bool], NDArray[np.float32]]
N_SAVED = 16
"""Fewer new texts are no reason to write a file."""
DAMPING = 60
"""Of reciprocal-rank fusion; Cormack et al. 2009."""


def untuned(name: str) -> TextModel:
    """An embedded encoder as it was pretrained, as a model of the task `retrieval`."""
    spec = find_task("retrieval").spec
    return build_model(side.backbone(name), [], settings=ModelSettings(), spec=spec).eval()


def remembered(load: Callable[[], TextModel], file: Path | None = None) -> Embed:
    """Vectors of texts, each text embedded once; kept in *file* (.npz) where one is given.

    The model is loaded where a text is new, and computes in the type that a service asks it in.
    """

    @cache
    def loaded() -> TextModel:
        model = load()
        model.backbone.compute_dtype = compute_dtype()[0]
        return model

    known: dict[tuple[str, bool], NDArray[np.float32]] = {}
    if file is not None and file.is_file():
        with np.load(file) as saved:
            keys = [
                (str(t), bool(q)) for t, q in zip(saved["texts"], saved["queries"], strict=True)
            ]
            known = dict(zip(keys, saved["vectors"], strict=True))

    def vectors(texts: Sequence[str], is_query: bool) -> NDArray[np.float32]:
        new = [t for t in dict.fromkeys(texts) if (t, is_query) not in known]
        if new:
            found = embed(loaded(), new, is_query=is_query)
            known.update({(t, is_query): row for t, row in zip(new, found, strict=True)})
            if file is not None and len(new) >= N_SAVED:
                np.savez(
                    file,
                    texts=np.array([t for t, _ in known]),
                    queries=np.array([q for _, q in known]),
                    vectors=np.stack(list(known.values())),
                )
        return np.stack([known[text, is_query] for text in texts])

    return vectors


@dataclass(frozen=True)
class SmallBase:
    """Pieces that are searched."""

    pieces: Sequence[Passage]
    embed: Embed

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return self.embed([searched(one) for one in self.pieces], False)

    @cached_property
    def _words(self) -> WordIndex:
        return WordIndex([f"{one.question} {one.heading} {one.text}" for one in self.pieces])

    @cached_property
    def known(self) -> frozenset[str]:
        """The words that any piece has."""
        texts = (f"{one.question} {one.heading} {one.text}" for one in self.pieces)
        return frozenset(word for text in texts for word in words_of(text))

    def prepare(self, questions: Sequence[str]) -> None:
        """Embed *questions* all at once, and what is left of them without strange words."""
        self.embed([*questions, *(without_strange(one, self.known)[0] for one in questions)], True)

    @cached_property
    def _found(self) -> dict[tuple[str, int], list[Passage]]:
        return {}

    def search(self, question: str, k: int) -> list[Passage]:
        """The *k* best pieces by fused places; remembered."""
        if (question, k) not in self._found:
            self._found[question, k] = self._search(question, k)
        return self._found[question, k]

    def _search(self, question: str, k: int) -> list[Passage]:
        without, strange = without_strange(question, self.known)
        asked = self.embed([question, without if strange < 1 else question], True)  # (2, D)
        cosines, eased = self._vectors @ asked[0], self._vectors @ (asked[1] - asked[0])  # (N,)
        if not strange:
            eased = np.zeros_like(eased)  # the same but for how it is written
        scores = self._words.scores(question)
        n = min(len(self.pieces), 4 * k)
        fused: dict[int, float] = {}
        by_words = [i for i in np.argsort(-scores, kind="stable")[:n] if scores[i] > 0]
        for order in (np.argsort(-cosines, kind="stable")[:n], by_words):
            for place, i in enumerate(order, 1):
                fused[int(i)] = fused.get(int(i), 0.0) + 1 / (DAMPING + place)
        best = sorted(fused, key=lambda i: -fused[i])[:k]
        background = (float(cosines.mean()), float(cosines.std()))
        return [
            replace(
                self.pieces[i],
                score=fused[i],
                cosine=float(cosines[i]),
                background=background,
                eased=float(eased[i]),
            )
            for i in best
        ]


def searched(piece: Passage) -> str:
    """The text of a piece that is embedded: its question, else heading and text."""
    return piece.question or f"{piece.heading}\n{piece.text}".strip()
