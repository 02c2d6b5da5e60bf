"""All pieces in memory, with both indexes over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tailorbird.knowledge.dense import DenseIndex
from tailorbird.knowledge.fusion import fuse
from tailorbird.knowledge.words import WordIndex, words_of
from tailorbird.records import Passage

N_CANDIDATES = 50
"""Taken from each index before they are fused."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece as it is searched."""

    id: str
    document: str
    heading: str
    question: str
    text: str
    vector: np.ndarray
    """(D,) fp32."""
    words: tuple[str, ...]

    @classmethod
    def of(cls, passage: Passage, vector: np.ndarray) -> Entry:
        """The entry of what is found as *passage*."""
        words = words_of(" ".join((passage.heading, passage.question, passage.text)))
        facts = (passage.id, passage.document, passage.heading, passage.question, passage.text)
        return cls(*facts, vector, tuple(words))

    def passage(self, score: float) -> Passage:
        """What is found."""
        return Passage(
            self.id, self.document, self.heading, self.text, score, question=self.question
        )


class Shelf:
    """The pieces as they were at one moment; it never changes, so any thread may search it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        vectors = [entry.vector for entry in self.entries]
        self._dense = DenseIndex(np.stack(vectors) if vectors else np.empty((0, 0), np.float32))
        self._words = WordIndex([entry.words for entry in self.entries])

    def search(self, question: str, vector: np.ndarray, n: int) -> Sequence[Passage]:
        """The *n* pieces that fit best, by their (D,) *vector* and by their words; best first."""
        wide = max(n, N_CANDIDATES)
        near = [place for place, _ in self._dense.best(vector, wide)]
        named = self._words.best(words_of(question), wide)
        return [self.entries[place].passage(score) for place, score in fuse([near, named])[:n]]
