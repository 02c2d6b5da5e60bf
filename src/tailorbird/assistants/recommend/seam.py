"""What serving needs of a model that ranks; `ranking` has the real one, tests a small one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np

from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.ranking.scored import Reason, Scored

__all__ = ["NOWHERE", "Diversify", "Event", "Item", "Ranks", "Reason", "Scored", "best_first"]


class Ranks(Protocol):
    """A model that can be served."""

    id: str

    def scores(
        self,
        user: str | None,
        history: Sequence[Event],
        *,
        now: datetime,
        exclude: Collection[str] = (),
        n: int = 200,
    ) -> list[Scored]:
        """At most *n* candidates for whoever did *history*, best first; `explain` says why."""
        ...

    def explain(
        self, history: Sequence[Event], shown: Sequence[Scored], *, now: datetime
    ) -> list[Scored]:
        """*shown*, which `scores` gave for the same history, with the reason of each."""
        ...

    def add_items(self, items: Sequence[Item]) -> None:
        """Know *items*, too, from now on, by their text alone.

        It is called on a `copy.copy` that nobody asks yet: attributes are set anew, none changed
        within.
        """
        ...


Diversify = Callable[..., list[Scored]]
"""``diversify(scored, n=…, dial=…, caps=…)``: the *n* that are shown, in their order."""


def best_first(
    scored: Sequence[Scored], *, n: int, dial: float, caps: Mapping[str, int]
) -> list[Scored]:
    """No diversity at all: the *n* best."""
    del dial, caps
    return sorted(scored, key=lambda one: -one.score)[:n]


NOWHERE = np.zeros(0, dtype=np.float32)
