"""Search by meaning: vectors whose inner product with the question's is large."""

from __future__ import annotations

import numpy as np

from tailorbird.errors import missing_extra


class DenseIndex:
    """(N, D) vectors of length 1, compared exactly; it never changes."""

    def __init__(self, vectors: np.ndarray) -> None:
        try:
            import faiss
        except ImportError as error:
            raise missing_extra("faiss-cpu", extra="knowledge") from error
        self._index = None
        if len(vectors):
            self._index = faiss.IndexFlatIP(vectors.shape[1])
            self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def best(self, vector: np.ndarray, n: int) -> list[tuple[int, float]]:
        """Places and cosines of the *n* nearest to a (D,) *vector*, nearest first."""
        if self._index is None:
            return []
        query = np.ascontiguousarray(vector[None], dtype=np.float32)  # (1, D)
        cosines, places = self._index.search(query, min(n, self._index.ntotal))
        return [(int(i), float(c)) for i, c in zip(places[0], cosines[0], strict=True) if i >= 0]
