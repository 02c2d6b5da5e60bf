"""What people did together: ALS and item-kNN, fitted by `implicit`, asked without it.

Shape letters: U users, M items, D factors, K neighbours, n events of one user.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailorbird.assistants.recommend.catalogue.log import Log, Past
from tailorbird.errors import missing_extra

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlsSettings:
    """Of implicit's ALS."""

    n_factors: int = 32
    regularization: float = 10.0
    alpha: float = 2.0
    """Confidence of an event of strength 1; of none it is 1."""
    n_iterations: int = 15


@dataclass(frozen=True, slots=True)
class KnnSettings:
    """Of implicit's item-kNN by BM25 weights."""

    n_neighbours: int = 100
    k1: float = 1.2
    b: float = 0.4


@dataclass(frozen=True)
class Als:
    """Factors of items; whoever has a past gets factors by solving for it (folding in)."""

    items: Floats
    """(M, D); zeros where nobody did anything."""
    settings: AlsSettings

    def scores(self, past: Past) -> Floats:
        """(M,) the preference of whoever has this past.

        Hu et al. 2008, "Collaborative Filtering for Implicit Feedback Datasets", equation 4.
        """
        factors = self.items[past.item].astype(np.float64)  # (n, D)
        confidence = np.maximum(self.settings.alpha * past.strength, 1.0)  # (n,)
        left = self._gram + (factors * (confidence - 1.0)[:, None]).T @ factors
        user = np.linalg.solve(left, factors.T @ confidence)
        found: Floats = self.items @ user.astype(np.float32)
        return found

    @cached_property
    def _gram(self) -> NDArray[np.float64]:
        """(D, D) of all items, with the regularization."""
        items = self.items.astype(np.float64)
        gram: NDArray[np.float64] = items.T @ items
        return gram + self.settings.regularization * np.eye(items.shape[1])


@dataclass(frozen=True, slots=True)
class Knn:
    """The K most similar items of each item."""

    neighbours: sparse.csr_matrix
    """(M, M)"""

    def scores(self, past: Past) -> Floats:
        """(M,) similarity to what was done, summed by strength."""
        weights = np.zeros(self.neighbours.shape[0], np.float32)
        np.add.at(weights, past.item, past.strength.astype(np.float32))
        seen = np.flatnonzero(weights)
        found: Floats = (self.neighbours[seen].T @ weights[seen]).astype(np.float32)
        return found


def matrix_of(log: Log) -> sparse.csr_matrix:
    """(U, M) summed strengths."""
    shape = (len(log.users), log.n_items)
    return sparse.csr_matrix(
        (log.past.strength.astype(np.float32), (log.user, log.past.item)), shape=shape
    )


def fit_als(log: Log, settings: AlsSettings, *, n_threads: int = 2, seed: int = 0) -> Als:
    """Factors by alternating least squares."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares  # type: ignore[import-untyped]
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise missing_extra("implicit", extra="recommend") from error
    matrix = matrix_of(log)
    confidence = matrix.copy()
    confidence.data = np.maximum(settings.alpha * confidence.data, 1.0)
    # implicit's own threads and those of BLAS would wait for each other; it warns of that.
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=min(settings.n_factors, max(1, min(matrix.shape) - 1)),
            regularization=settings.regularization,
            iterations=settings.n_iterations,
            num_threads=n_threads,
            random_state=seed,
        )
        model.fit(confidence, show_progress=False)
    factors = np.array(model.item_factors, dtype=np.float32)
    factors[np.bincount(log.past.item, minlength=log.n_items) == 0] = 0.0
    return Als(factors, settings)


def fit_knn(log: Log, settings: KnnSettings, *, n_threads: int = 2) -> Knn:
    """Neighbours by the inner product of BM25-weighted columns."""
    try:
        from implicit.nearest_neighbours import (  # type: ignore[import-untyped]
            all_pairs_knn,
            bm25_weight,
        )
    except ImportError as error:
        raise missing_extra("implicit", extra="recommend") from error
    # What its BM25Recommender does, which warns of a conversion of its own.
    weighted = bm25_weight(matrix_of(log).T, settings.k1, settings.b).T.tocsr()
    similar = all_pairs_knn(
        weighted, settings.n_neighbours + 1, show_progress=False, num_threads=n_threads
    )
    return Knn(sparse.csr_matrix(similar, dtype=np.float32))
