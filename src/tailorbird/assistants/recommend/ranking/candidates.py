"""Who is looked at closely: the best by match, by what was done together, and by popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Past
from tailorbird.assistants.recommend.ranking.parts import Parts

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

SOURCES = ("match", "together", "popular")


@dataclass(frozen=True, slots=True)
class Candidates:
    """C of M items, and how each source scores all of them."""

    item: NDArray[np.int64]
    """(C,) places, rising."""
    named_by: Flags
    """(C, 3) which of `SOURCES` named each."""
    scores: dict[str, Floats]
    """(M,) of ``match``, ``als``, ``knn`` and ``recent``; what nothing is known of is missing."""


def find_candidates(parts: Parts, past: Past, *, n: int, is_excluded: Flags) -> Candidates:
    """The *n* best of each source; of two ways of being done together, half each.

    Args:
        parts: what is known.
        past: of whoever asks; without events popularity alone names candidates.
        n: of each source.
        is_excluded: (M,) items that must not be named.
    """
    scores: dict[str, Floats] = {"recent": _recent(parts)}
    named = np.zeros((len(parts.catalogue), len(SOURCES)), dtype=bool)
    allowed = ~is_excluded
    named[_best(scores["recent"], n, allowed), 2] = True
    if len(past):
        scores["als"], scores["knn"] = parts.als.scores(past), parts.knn.scores(past)
        for name in ("als", "knn"):
            named[_best(scores[name], n // 2, allowed & (scores[name] > 0)), 1] = True
        match = parts.match(past)
        if match is not None:
            scores["match"] = match
            named[_best(match, n, allowed), 0] = True
    item = np.flatnonzero(named.any(axis=1))
    return Candidates(item, named[item], scores)


def _recent(parts: Parts) -> Floats:
    """(M,) popularity lately; over all time where that says nothing."""
    p = parts.popularity
    top = max(float(p.total.max(initial=0.0)), 1.0)
    found: Floats = p.recent + 1e-3 * p.total / top
    return found


def _best(scores: Floats, n: int, allowed: Flags) -> NDArray[np.int64]:
    """Places of the *n* highest among the allowed ones, in no order."""
    places = np.flatnonzero(allowed)
    if len(places) <= n:
        return places
    return places[np.argpartition(-scores[places], n)[:n]]
