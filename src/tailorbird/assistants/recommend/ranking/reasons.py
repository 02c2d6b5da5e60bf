"""Why each item of a list is there: the liked item it is most like, and what lifted it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Past
from tailorbird.assistants.recommend.ranking.parts import Parts
from tailorbird.assistants.recommend.ranking.scored import Reason

ABOUT_THE_USER = frozenset({"past_events", "past_mainstream", "idle_days"})
"""Equal for all candidates, so no reason for one of them."""
OF_POPULARITY = frozenset({"popularity", "popularity_recent", "liking", "age_days"})
MIN_COSINE = 0.35
"""An item less alike is no reason that anybody would believe."""
N_LIKED = 100


def reasons_of(
    parts: Parts,
    past: Past,
    item: NDArray[np.int64],
    contributions: NDArray[np.float64],
    names: Sequence[str],
    ids: Sequence[str],
) -> list[Reason]:
    """One for each of C items.

    Args:
        parts: what is known.
        past: of the user.
        item: (C,) their places.
        contributions: (C, J) what each feature adds to the score.
        names: (J,) of the features.
        ids: (M,) of the items.
    """
    is_said = np.array([name not in ABOUT_THE_USER for name in names])
    lifted = np.where(is_said & (contributions > 0), contributions, -np.inf)  # (C, J)
    found = []
    for row, (place, cosine) in zip(lifted, _nearest_liked(parts, past, item), strict=True):
        k = int(np.argmax(row))
        feature = names[k] if np.isfinite(row[k]) else ""
        if cosine >= MIN_COSINE:
            found.append(Reason("liked", ids[place], feature))
        elif feature in OF_POPULARITY or not feature:
            found.append(Reason("popular", feature=feature))
        else:
            found.append(Reason("feature", feature=feature))
    return found


def _nearest_liked(parts: Parts, past: Past, item: NDArray[np.int64]) -> list[tuple[int, float]]:
    """Of each of C items the place of the liked item nearest to it, and how near that is."""
    liked = past.item[past.is_liked][-N_LIKED:]
    if not len(liked):
        return [(-1, -1.0)] * len(item)
    vectors = places_in_space(parts)
    one, other = vectors[item], vectors[liked]
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    cosines = one @ other.T / np.maximum(lengths, 1e-9)  # (C, n)
    cosines[item[:, None] == liked] = -1.0  # itself is no reason
    best = cosines.argmax(axis=1)
    return [(int(liked[k]), float(row[k])) for k, row in zip(best, cosines, strict=True)]


def places_in_space(parts: Parts) -> NDArray[np.float32]:
    """(M, D) where items are: the vectors of the match, else content."""
    return parts.vectors[:, :-1] if parts.interest is not None else parts.catalogue.features
