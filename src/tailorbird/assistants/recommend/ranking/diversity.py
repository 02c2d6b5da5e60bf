"""From the best candidates to a list that is good and varied, with caps per category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.ranking.scored import Scored
from tailorbird.errors import ConfigError

ANY = "*"
"""The cap of every category without one of its own."""
_EPSILON = 1e-10


def diversify(
    scored: Sequence[Scored], *, n: int, dial: float = 0.2, caps: Mapping[str, int] | None = None
) -> list[Scored]:
    """At most *n* of *scored*, in the order in which they are shown.

    A determinantal point process: the list that is greedily built has a large
    ``(1 - dial) * sum of scores + dial * log det of cosines`` (Chen et al. 2018, "Fast Greedy MAP
    Inference for Determinantal Point Process", algorithm 1 and section 5). Scores are scaled to
    [0, 1] first.

    Args:
        scored: candidates.
        n: how many are wanted.
        dial: 0 keeps the order of the scores, 1 looks at nothing but how different items are.
        caps: category → how many of it at most; ``"*"`` is for every other one.

    Raises ConfigError where the dial is not in [0, 1] or a cap is below 0.
    """
    _check(dial, caps or {})
    scored = sorted(scored, key=lambda one: -one.score)
    if not scored or n <= 0:
        return []
    quality = (1 - dial) * _scaled(np.array([one.score for one in scored]))
    order = _greedy(quality, dial, _unit([one.vector for one in scored]), scored, n, caps or {})
    return [scored[k] for k in order]


def mmr(
    scored: Sequence[Scored], *, n: int, dial: float = 0.2, caps: Mapping[str, int] | None = None
) -> list[Scored]:
    """The same by maximal marginal relevance (Carbonell and Goldstein 1998).

    Each next item has the largest ``(1 - dial) * score - dial * cosine`` to the nearest chosen one.
    """
    _check(dial, caps or {})
    scored = sorted(scored, key=lambda one: -one.score)
    if not scored or n <= 0:
        return []
    quality = (1 - dial) * _scaled(np.array([one.score for one in scored]))
    vectors = _unit([one.vector for one in scored])
    nearest = np.zeros(len(scored))
    room, chosen = _Room(caps or {}), list[int]()
    is_open = np.ones(len(scored), dtype=bool)
    while len(chosen) < n and is_open.any():
        k = int(np.argmax(np.where(is_open, quality - dial * nearest, -np.inf)))
        is_open[k] = False
        if room.takes(scored[k].tags):
            chosen.append(k)
            nearest = np.maximum(nearest, vectors @ vectors[k])
    return [scored[k] for k in chosen]


def _greedy(
    quality: NDArray[np.float64],
    dial: float,
    vectors: NDArray[np.float64],
    scored: Sequence[Scored],
    n: int,
    caps: Mapping[str, int],
) -> list[int]:
    """Places in the order chosen; each step adds a row to the Cholesky factor of the chosen."""
    rows = np.zeros((n, len(scored)))  # c_i of the paper, one step a row
    left = np.ones(len(scored))  # d_i^2: what of each item no chosen one explains
    is_open = np.ones(len(scored), dtype=bool)
    room, chosen = _Room(caps), list[int]()
    while len(chosen) < n and is_open.any():
        gain = quality + dial * np.log(np.maximum(left, _EPSILON))
        k = int(np.argmax(np.where(is_open, gain, -np.inf)))
        is_open[k] = False
        if not room.takes(scored[k].tags):
            continue
        step = len(chosen)
        if left[k] > _EPSILON:
            explained = rows[:step, k] @ rows[:step]
            rows[step] = (vectors @ vectors[k] - explained) / np.sqrt(left[k])
            left = np.maximum(left - rows[step] ** 2, 0.0)
        chosen.append(k)
    return chosen


class _Room:
    """What is left of the caps."""

    def __init__(self, caps: Mapping[str, int]) -> None:
        self._caps = caps
        self._used: Counter[str] = Counter()

    def takes(self, tags: Sequence[str]) -> bool:
        """Whether there is room in all of the categories; takes it where there is."""
        for tag in tags:
            cap = self._caps.get(tag, self._caps.get(ANY))
            if cap is not None and self._used[tag] >= cap:
                return False
        self._used.update(tags)
        return True


def _check(dial: float, caps: Mapping[str, int]) -> None:
    if not 0 <= dial <= 1:
        raise ConfigError(
            f"the dial of diversity is {dial:g}", cure="0 is none, 1 is nothing but diversity"
        )
    for tag, cap in caps.items():
        if cap < 0:
            raise ConfigError(f"the cap of {tag!r} is {cap}", cure="use 0 for none at all")


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    span = float(scores.max() - scores.min())
    return (scores - scores.min()) / span if span else np.zeros_like(scores)


def _unit(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    stacked = np.stack(vectors).astype(np.float64)
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    unit: NDArray[np.float64] = stacked / np.maximum(lengths, 1e-12)
    return unit
