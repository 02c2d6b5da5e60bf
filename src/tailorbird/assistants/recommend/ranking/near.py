"""Which known items an item reads like: what was done with them says something of a new one.

Shape letters: M items, W width of text vectors, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

N_NEAR = 10
TEMPERATURE = 0.05
"""Of the softmax over cosines: a part of the same series weighs much more than a like subject."""
MIN_EVENTS = 3
"""Of an item that lends its figures to others."""
N_TOGETHER = 1_024
"""Rows of one product: memory is M times this."""


@dataclass(frozen=True, slots=True)
class Near:
    """The K items with events whose words are nearest to each item's, itself left out."""

    item: NDArray[np.int64]
    """(M, K) places."""
    weight: Floats
    """(M, K) of each row 1 together; zeros for an item without words."""
    cosine: Floats
    """(M,) of the nearest one; 0 without."""

    def mean(self, values: NDArray[np.floating], chosen: NDArray[np.int64]) -> Floats:
        """(C,) for the *chosen* (C,): what the nearest have of (M,) *values*, by weight.

        >>> near = Near(np.array([[1, 2]]), np.array([[0.75, 0.25]], np.float32), np.ones(1))
        >>> near.mean(np.array([9.0, 4.0, 8.0]), np.array([0])).tolist()
        [5.0]
        """
        found: Floats = (self.weight[chosen] * values[self.item[chosen]]).sum(axis=1)
        return found

    def with_items(self, other: Near) -> Near:
        """The same and the rows of *other*, at the end."""
        return Near(
            np.concatenate([self.item, other.item]),
            np.concatenate([self.weight, other.weight]),
            np.concatenate([self.cosine, other.cosine]),
        )


def nearest(texts: Floats, lends: NDArray[np.bool_], *, since: int = 0) -> Near:
    """Of each item from place *since* on the nearest of those that lend.

    Args:
        texts: (M, W) vectors of what items say; zeros where they say nothing.
        lends: (M,) items whose figures say something.
        since: rows before it are left out.
    """
    unit = texts / np.maximum(np.linalg.norm(texts, axis=1, keepdims=True), 1e-9)
    places = np.flatnonzero(lends)
    n = len(texts) - since
    k = min(N_NEAR, max(len(places) - 1, 0))
    item, weight = np.zeros((n, N_NEAR), np.int64), np.zeros((n, N_NEAR), np.float32)
    cosine = np.zeros(n, np.float32)
    if not k:
        return Near(item, weight, cosine)
    column_of = np.full(len(texts), -1)
    column_of[places] = np.arange(len(places))
    for first in range(0, n, N_TOGETHER):
        rows = np.arange(first, min(first + N_TOGETHER, n))
        cosines = unit[since + rows] @ unit[places].T  # (rows, lenders)
        own = column_of[since + rows]
        cosines[np.flatnonzero(own >= 0), own[own >= 0]] = -1.0  # nobody lends to themselves
        best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(cosines, best, axis=1)  # (rows, k)
        shares = np.exp((found - found.max(axis=1, keepdims=True)) / TEMPERATURE)
        shares /= shares.sum(axis=1, keepdims=True)
        shares[~texts[since + rows].any(axis=1)] = 0.0
        item[rows, :k], weight[rows, :k] = places[best], shares
        cosine[rows] = np.maximum(found.max(axis=1), 0.0)
    return Near(item, weight, cosine)
