"""What the ranker knows about a candidate, computed from what was known before, and nothing later.

Shape letters: C candidates, M items, G tags, J features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Past
from tailorbird.assistants.recommend.ranking.candidates import Candidates
from tailorbird.assistants.recommend.ranking.parts import Parts
from tailorbird.assistants.recommend.ranking.popularity import DAY_S

Floats = NDArray[np.float32]

MATCH = (
    "match",
    "match_rank",
    "match_taste",
    "match_latest",
    "match_nearest",
    "text_affinity",
    "text_nearest",
    "near_popularity",
    "near_liking",
    "near_together",
    "near_neighbours",
    "near_done",
    "near_cosine",
)
"""The features that only the interest match gives."""
FIXED = (
    *MATCH,
    "together",
    "together_rank",
    "neighbours",
    "neighbours_rank",
    "popularity",
    "popularity_recent",
    "liking",
    "age_days",
    "tag_affinity",
    "tag_liking",
    "mainstream_gap",
    "past_events",
    "past_mainstream",
    "idle_days",
)
"""Features that every catalogue has; each number of its items adds two."""
N_LATEST = 3
N_LIKED = 100
"""The latest liked items that a candidate may be near to."""
_DEEPEST_RANK = 1000.0


def feature_names(numbers: tuple[str, ...]) -> list[str]:
    """J names.

    >>> feature_names(("price",))[-2:]
    ['price', 'price_gap']
    """
    return [*FIXED, *(f"{name}{end}" for name in numbers for end in ("", "_gap"))]


def compute_features(parts: Parts, past: Past, found: Candidates, *, now_s: float) -> Floats:
    """(C, J) in the order of `feature_names`; NaN where something is not known.

    Args:
        parts: fitted to events before *now_s*.
        past: of the user, before *now_s*.
        found: the candidates.
        now_s: when the list is made, seconds since 1970.
    """
    item, n = found.item, len(found.item)
    columns: dict[str, NDArray[np.floating]] = {}
    for name, score in (("match", "match"), ("together", "als"), ("neighbours", "knn")):
        columns |= _scored(name, found.scores.get(score), item)
    p = parts.popularity
    columns["popularity"] = p.log_total[item]
    columns["popularity_recent"] = p.log_recent[item]
    columns["liking"] = p.liking[item]
    columns["age_days"] = np.log1p(np.maximum(now_s - p.first[item], 0) / DAY_S)
    columns |= _of_tags(parts, past, item) | _of_user(parts, past, item, now_s)
    columns |= _of_match(parts, past, item, columns.get("match")) | _of_near(parts, past, found)
    missing = np.full(n, np.nan)
    fixed = [columns.get(name, missing) for name in FIXED]
    return np.stack([*fixed, *_of_numbers(parts, past, item)], axis=1).astype(np.float32)


def _scored(name: str, scores: Floats | None, item: NDArray[np.int64]) -> dict[str, Floats]:
    """The score of each candidate and the logarithm of its rank among all items."""
    if scores is None:
        return {}
    own = scores[item]
    # Deeper ranks are all alike, so only the first are sorted.
    depth = min(int(_DEEPEST_RANK), len(scores))
    first = np.sort(np.partition(scores, len(scores) - depth)[len(scores) - depth :])
    ranks = depth - np.searchsorted(first, own, side="right")
    if name == "neighbours":  # sums grow with the past; shares do not
        own = own / max(float(scores.max()), 1e-9)
    return {name: own, f"{name}_rank": np.log1p(ranks)}


def _of_match(
    parts: Parts, past: Past, item: NDArray[np.int64], match: Floats | None
) -> dict[str, Floats]:
    """Match without how popular items are, and how near items are to the latest and the liked."""
    if parts.interest is None or not len(past) or match is None:
        return {}
    vectors = parts.vectors[:, :-1]
    texts = parts.catalogue.texts
    liked = past.item[past.is_liked]
    latest = vectors[past.latest(N_LATEST).item].mean(axis=0)
    found = {
        "match_taste": match - parts.vectors[item, -1],
        "match_latest": _cosines(vectors[item], latest, parts.lengths[item]),
    }
    if len(liked):
        own, lengths = texts[item], parts.catalogue.text_lengths
        found["text_affinity"] = _cosines(own, texts[liked].mean(axis=0), lengths[item])
        last = liked[-N_LIKED:]
        found["text_nearest"] = _nearest(own, texts[last], lengths[item], lengths[last])
        lengths = parts.lengths
        found["match_nearest"] = _nearest(
            vectors[item], vectors[last], lengths[item], lengths[last]
        )
    return found


def _of_near(parts: Parts, past: Past, found: Candidates) -> dict[str, Floats]:
    """What is known of the items that each candidate reads like."""
    near, item, p = parts.near, found.item, parts.popularity
    if near is None:
        return {}
    columns: dict[str, Floats] = {
        "near_popularity": near.mean(p.log_recent, item),
        "near_liking": near.mean(p.liking, item),
        "near_cosine": near.cosine[item],
    }
    if len(past):
        columns["near_together"] = near.mean(found.scores["als"], item)
        knn = found.scores["knn"]
        columns["near_neighbours"] = near.mean(knn / max(float(knn.max()), 1e-9), item)
        done = np.zeros(len(near.cosine), np.float32)
        done[past.item] = np.where(past.is_liked, np.float32(1), np.float32(-1))
        columns["near_done"] = near.mean(done, item)
    return columns


def _nearest(own: Floats, others: Floats, lengths: Floats, other_lengths: Floats) -> Floats:
    """(C,) the largest cosine of each row of (C, D), of these lengths, with any of (n, D)."""
    cosines = own @ (others / np.maximum(other_lengths, 1e-9)[:, None]).T  # (C, n)
    found: Floats = cosines.max(axis=1) / np.maximum(lengths, 1e-9)
    return found


def _cosines(own: Floats, other: Floats, lengths: Floats) -> Floats:
    """(C,) of each row of (C, D), of these (C,) lengths, with (D,)."""
    scale = np.maximum(lengths * np.float32(np.linalg.norm(other)), 1e-9)
    found: Floats = own @ other / scale
    return found


def _of_tags(parts: Parts, past: Past, item: NDArray[np.int64]) -> dict[str, Floats]:
    tags = parts.catalogue.tags
    if not len(past) or not tags.shape[1]:
        return {}
    own, of_past = tags[item], tags[past.item]  # (C, G), (n, G)
    liked = past.is_liked * past.strength
    profile = liked @ of_past
    affinity = own @ (profile / max(float(np.linalg.norm(profile)), 1e-9))
    # The mean of what was given to items with the same tags, shrunk to 0.
    liking = own @ (past.relative @ of_past) / (own @ of_past.sum(axis=0) + 3.0)
    return {"tag_affinity": affinity, "tag_liking": liking}


def _of_user(
    parts: Parts, past: Past, item: NDArray[np.int64], now_s: float
) -> dict[str, NDArray[np.floating]]:
    popularity, n = parts.popularity.log_total, len(item)
    columns: dict[str, NDArray[np.floating]] = {"past_events": np.full(n, np.log1p(len(past)))}
    if len(past):
        usual = float(popularity[past.item].mean())
        columns["past_mainstream"] = np.full(n, usual)
        columns["mainstream_gap"] = popularity[item] - usual
        idle_s = max(now_s - float(past.time[-1]), 0.0)
        columns["idle_days"] = np.full(n, np.log1p(idle_s / DAY_S))
    return columns


def _of_numbers(parts: Parts, past: Past, item: NDArray[np.int64]) -> list[NDArray[np.floating]]:
    """Each number, and how far it is from the mean of what the user liked."""
    columns: list[NDArray[np.floating]] = []
    for values in parts.catalogue.numbers.T:
        own = values[item].astype(np.float64)
        liked = values[past.item[past.is_liked]]
        liked = liked[~np.isnan(liked)]
        usual = float(liked.mean()) if len(liked) else float("nan")
        columns += [own, own - usual]
    return columns
