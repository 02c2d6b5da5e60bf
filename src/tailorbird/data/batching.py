"""Which rows make up each optimizer step of an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MEGA_BATCHES = 32
"""Batches of a stretch of rows that is sorted by length."""


def epoch_batches(
    lengths: Sequence[int],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    batch_tokens: int = 0,
    mega_batches: int = MEGA_BATCHES,
) -> list[list[int]]:
    """Row indices of each batch of one epoch; the same arguments give the same batches.

    Rows are shuffled, cut into stretches of *mega_batches* batches, and sorted by length within
    each stretch, so that a batch holds texts of like length while every epoch differs. The
    batches themselves come in random order. Every epoch has as many.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch, or a little fewer.
        seed: of the shuffle.
        epoch: from 0.
        batch_tokens: tokens of a batch, about, in place of *batch_size*: many short rows in one,
            few long ones in another; 0: by rows.
        mega_batches: batches of a stretch; 1: texts of any length share a batch.

    >>> sorted(len(batch) for batch in epoch_batches([1] * 10, 4, seed=0, epoch=0))
    [3, 3, 4]
    >>> batches = epoch_batches([1] * 6 + [6] * 2, 0, seed=0, epoch=0, batch_tokens=6)
    >>> sorted(len(batch) for batch in batches)
    [1, 1, 6]
    """
    n_rows = len(lengths)
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(n_rows)
    length_of = np.asarray(lengths)
    n_batches = -(-n_rows // batch_size) if not batch_tokens else 0
    if batch_tokens:
        n_batches = min(n_rows, -(-int(length_of.sum()) // batch_tokens))
    n_stretches = max(1, -(-n_batches // mega_batches))
    batches: list[list[int]] = []
    for k, stretch in enumerate(np.array_split(order, n_stretches)):
        ordered = stretch[np.argsort(length_of[stretch], kind="stable")]
        if batch_tokens:
            n_here = n_batches // n_stretches + (k < n_batches % n_stretches)
            parts = _even_tokens(ordered, length_of, n_here)
        else:
            # Even parts: a last batch of one row would get as loud a say as a full one.
            parts = np.array_split(ordered, -(-len(ordered) // batch_size))
        batches.extend(part.tolist() for part in parts)
    return [batches[i] for i in generator.permutation(len(batches))]


def _even_tokens(
    rows: NDArray[np.int64], length_of: NDArray[np.int64], n_parts: int
) -> list[NDArray[np.int64]]:
    """*rows* in their order, cut into *n_parts* of about as many tokens, none of them empty."""
    ends = np.cumsum(length_of[rows])
    wanted = ends[-1] * np.arange(1, n_parts) / n_parts
    cuts = np.searchsorted(ends, wanted, side="left") + 1
    first = np.arange(1, n_parts)  # at least a row before each cut, and one left for each after
    cuts = np.clip(np.maximum.accumulate(cuts - first) + first, first, len(rows) - n_parts + first)
    return np.split(rows, cuts)


def micro_batches(
    rows: Sequence[int], lengths: Sequence[int], budget_tokens: int
) -> list[list[int]]:
    """*rows* cut, in their order, into parts of at most *budget_tokens*; 0: one part.

    A row that is longer by itself is a part of its own.

    >>> micro_batches([7, 3, 5, 9], [4, 4, 2, 9], budget_tokens=8)
    [[7, 3], [5], [9]]
    """
    parts: list[list[int]] = []
    n_tokens = 0
    for row, length in zip(rows, lengths, strict=True):
        if not parts or (budget_tokens and n_tokens + length > budget_tokens):
            parts.append([])
            n_tokens = 0
        parts[-1].append(row)
        n_tokens += length
    return parts
