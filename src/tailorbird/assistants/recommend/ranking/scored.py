"""A candidate as the ranker leaves it, and why it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ReasonKind = Literal["liked", "feature", "popular"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is recommended."""

    kind: ReasonKind
    """liked: for the *item*, which the user liked; feature: for the *feature* alone; popular."""
    item: str = ""
    feature: str = ""
    """What lifted it most, by the trees' own account; empty where no tree was asked."""


POPULAR = Reason("popular", feature="popularity_recent")
UNEXPLAINED = Reason("popular")
"""Of a candidate that nobody has asked about."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A candidate with its score; higher is better, and comparable within one list."""

    item: str
    score: float
    sources: tuple[str, ...]
    """Who named it: match, together, popular."""
    features: Mapping[str, float]
    vector: NDArray[np.float32]
    """(D,) where the item is; near ones are alike."""
    reason: Reason
    """Of what is only popular from the start; of others once `RecommendModel.explain` was asked."""
    tags: tuple[str, ...] = ()
    """Its categories, for caps."""
