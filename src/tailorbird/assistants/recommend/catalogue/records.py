"""An item, and what somebody did with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

EVENT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "browse": 0.25,
        "click": 0.5,
        "comment": 1.0,
        "share": 1.0,
        "rating": 1.0,
        "purchase": 2.0,
    }
)
"""How much an event of a kind says that its item is liked; of a rating, one at the user's mean."""


@dataclass(frozen=True, slots=True)
class Item:
    """What may be recommended.

    >>> Item("7", "Red shoes", tags=("shoes",), features={"brand": "Sol"}).text
    'Red shoes. shoes'
    """

    id: str
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    features: Mapping[str, float | str] = field(default_factory=dict)
    """Price, year, brand: numbers and words."""
    created: datetime | None = None

    @property
    def text(self) -> str:
        """What a text model reads of it; empty where it has no words at all."""
        parts = (self.title.strip(), ", ".join(self.tags), self.description.strip())
        return ". ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Event:
    """What one user did with one item, and when."""

    user: str
    item: str
    kind: str
    value: float | None
    """Of a rating: how many stars, on any scale."""
    time: datetime
