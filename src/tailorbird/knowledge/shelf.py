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
N_BACKGROUND = 2000
"""Pieces, evenly spread, that a question's cosines are compared with."""


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

    def passage(
        self, score: float = 0.0, cosine: float = 0.0, background: tuple[float, float] = (0.0, 0.0)
    ) -> Passage:
        """What is found."""
        return Passage(
            self.id,
            self.document,
            self.heading,
            self.text,
            score,
            question=self.question,
            cosine=cosine,
            background=background,
        )


class Shelf:
    """The pieces as they were at one moment; it never changes, so any thread may search it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self._places = {entry.id: place for place, entry in enumerate(self.entries)}
        vectors = [entry.vector for entry in self.entries]
        self._dense = DenseIndex(np.stack(vectors) if vectors else np.empty((0, 0), np.float32))
        some = vectors[:: -(-len(vectors) // N_BACKGROUND) or 1]
        self._some = np.stack(some) if some else np.empty((0, 0), np.float32)  # (S, D)
        self._words = WordIndex([entry.words for entry in self.entries])
        self.words = frozenset(word for entry in self.entries for word in entry.words)
        """Those that any piece has."""

    def vector(self, piece: str) -> np.ndarray:
        """(D,) of the piece with this id."""
        return self.entries[self._places[piece]].vector

    def search(self, question: str, vector: np.ndarray, n: int) -> Sequence[Passage]:
        """The *n* pieces that fit best, by their (D,) *vector* and by their words; best first."""
        wide = max(n, N_CANDIDATES)
        near = [place for place, _ in self._dense.best(vector, wide)]
        named = self._words.best(words_of(question), wide)
        if not self.entries:
            return []
        others = self._some @ vector  # (S,)
        background = (float(others.mean()), float(others.std()))
        return [
            self.entries[place].passage(
                score, float(self.entries[place].vector @ vector), background
            )
            for place, score in fuse([near, named])[:n]
        ]
