"""Which rows make up each optimizer step of an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def epoch_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int, mega_batches: int = 32
) -> list[list[int]]:
    """Row indices of each batch of one epoch; the same arguments give the same batches.

    Rows are shuffled, cut into stretches of *mega_batches* batches, and sorted by length within
    each stretch, so that a batch holds texts of like length while every epoch differs. The
    batches themselves come in random order.

    >>> sorted(len(batch) for batch in epoch_batches([1] * 10, 4, seed=0, epoch=0))
    [3, 3, 4]
    """
    n_rows = len(lengths)
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(n_rows)
    length_of = np.asarray(lengths)
    n_batches = -(-n_rows // batch_size)
    stretches = np.array_split(order, -(-n_batches // mega_batches))
    batches: list[list[int]] = []
    for stretch in stretches:
        ordered = stretch[np.argsort(length_of[stretch], kind="stable")]
        # Even parts: a last batch of one row would get as loud a say as a full one.
        parts = np.array_split(ordered, -(-len(ordered) // batch_size))
        batches.extend(part.tolist() for part in parts)
    return [batches[i] for i in generator.permutation(len(batches))]


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
