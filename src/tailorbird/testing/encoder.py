"""An encoder of words that needs no weights, and counts what it was given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from tailorbird.text import cut_words


class WordEncoder:
    """Texts that share words are near: each word has a random direction of its own."""

    def __init__(self, *, width: int = 64, name: str = "words") -> None:
        self.width = width
        self.hash = f"{name}-{width}"
        self.passages: list[str] = []
        """All passages that were embedded, in order."""

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) fp32, rows of length 1."""
        if not is_query:
            self.passages += texts
        rows = [self._one(text) for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.width), np.float32)

    def _one(self, text: str) -> np.ndarray:
        words = [text[start:end].lower() for start, end in cut_words(text)]
        total = np.full(self.width, 1e-6, np.float32)
        for word in words:
            seed = zlib.crc32(word.encode())
            total += np.random.default_rng(seed).standard_normal(self.width, np.float32)
        return total / np.linalg.norm(total)
