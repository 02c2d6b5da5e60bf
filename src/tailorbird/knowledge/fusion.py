"""Several orders of the same things, as one."""

from __future__ import annotations

from collections.abc import Sequence

DAMPING = 60
"""Of the first places: as measured by Cormack et al. 2009, table 1."""


def fuse(orders: Sequence[Sequence[int]], *, damping: int = DAMPING) -> list[tuple[int, float]]:
    """Reciprocal-rank fusion: what stands high in several orders stands higher.

    Formula: score(x) = Σ over orders of 1 / (damping + place of x, from 1). Scores of different
    searches mean nothing to each other and are never compared; places are.

    Returns: (thing, score), best first; equal scores in the order of the first list.

    Source: Cormack, Clarke & Büttcher 2009, section 2.

    >>> [(thing, round(score, 4)) for thing, score in fuse([[7, 8], [8, 9]])]
    [(8, 0.0325), (7, 0.0164), (9, 0.0161)]
    """
    scores: dict[int, float] = {}
    for order in orders:
        for place, thing in enumerate(order, 1):
            scores[thing] = scores.get(thing, 0.0) + 1 / (damping + place)
    return sorted(scores.items(), key=lambda one: -one[1])
