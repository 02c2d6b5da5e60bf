"""Vectors that were asked for lately, without computing them again.

The sentences of a passage are compared with each question that it fits, and a question is looked
for before its answer is cut out: most vectors of a service are wanted more than once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from tailorbird.knowledge.encoding import Embeds

MAX_TEXTS = 64
"""Of one call that are remembered; more are a document that is being added."""


class Remembered:
    """*encoder*, with the vectors of the last *n_kept* texts; an `Embeds`. Threads may share it.

    4,096 vectors of E5 take 6 MB.
    """

    def __init__(self, encoder: Embeds, *, n_kept: int = 4096) -> None:
        self.encoder = encoder
        self.n_kept = n_kept
        self._kept: OrderedDict[tuple[bool, str], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def hash(self) -> str:
        """The encoder's."""
        return self.encoder.hash

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) fp32, rows of length 1."""
        if not 0 < len(texts) <= MAX_TEXTS:
            return self.encoder.embed(texts, is_query=is_query)
        found = self._found(texts, is_query)
        fresh = [text for text in dict.fromkeys(texts) if text not in found]
        if fresh:
            vectors = self.encoder.embed(fresh, is_query=is_query)  # (N fresh, D)
            found |= zip(fresh, vectors, strict=True)
            self._keep(fresh, vectors, is_query)
        return np.stack([found[text] for text in texts])

    def _found(self, texts: Sequence[str], is_query: bool) -> dict[str, np.ndarray]:
        found = {}
        with self._lock:
            for text in texts:
                vector = self._kept.get((is_query, text))
                if vector is not None:
                    self._kept.move_to_end((is_query, text))
                    found[text] = vector
        return found

    def _keep(self, texts: Sequence[str], vectors: np.ndarray, is_query: bool) -> None:
        with self._lock:
            for text, vector in zip(texts, vectors, strict=True):
                self._kept[is_query, text] = vector.copy()  # a view would keep all of them
            while len(self._kept) > self.n_kept:
                self._kept.popitem(last=False)
