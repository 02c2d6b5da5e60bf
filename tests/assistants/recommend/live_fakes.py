"""A model that ranks by shared tags, a shelf of tea and wool, and what serving needs of others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.intake import Posted
from tailorbird.assistants.recommend.live import Recommender
from tailorbird.assistants.recommend.seam import Event, Item, Reason, Scored, best_first
from tailorbird.store import Workspace

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ITEMS = (
    *(Item(f"tea-{n}", f"Green tea {n}", tags=("tea",), features={"price": 4.5}) for n in range(9)),
    *(Item(f"wool-{n}", f"羊毛线 {n}", tags=("wool",)) for n in range(9)),
)


class TagModel:
    """Scores an item by how many of the latest events share a tag with it; else by its place."""

    def __init__(self, name: str = "tags-1", items: Sequence[Item] = ()) -> None:
        self.id = name
        self.items = {item.id: item for item in items}
        self.asked: list[tuple[str | None, tuple[Event, ...]]] = []

    def add_items(self, items: Sequence[Item]) -> None:
        self.items = self.items | {item.id: item for item in items}

    def scores(
        self,
        user: str | None,
        history: Sequence[Event],
        *,
        now: datetime,
        exclude: Collection[str] = (),
        n: int = 200,
    ) -> list[Scored]:
        self.asked.append((user, tuple(history)))
        history = [one for one in history if one.time <= now]
        found = []
        for place, item in enumerate(self.items.values()):
            if item.id in exclude:
                continue
            alike = [one.item for one in history if self._share(one.item, item)]
            lead = [one for one in alike if one != item.id]
            reason = Reason("liked", item=lead[-1]) if lead else Reason("popular")
            score = len(alike) + 1 / (place + 2)
            source = ("match",) if alike else ("popular",)
            found.append(Scored(item.id, score, source, {}, np.zeros(2), reason))
        return best_first(found, n=n, dial=0.0, caps={})

    def explain(
        self, history: Sequence[Event], shown: Sequence[Scored], *, now: datetime
    ) -> list[Scored]:
        del history, now
        return list(shown)

    def _share(self, other: str, item: Item) -> bool:
        known = self.items.get(other)
        return known is not None and bool(set(known.tags) & set(item.tags))


def event(user: str, item: str, kind: str = "click", *, minute: int = 0, **more: Any) -> Event:
    """Something that *user* did on the day of the tests."""
    return Event(user, item, kind, more.get("value"), NOON + timedelta(minutes=minute))


def posted(user: str, item: str, kind: str = "click", **more: Any) -> Posted:
    """The same as a sender posts it."""
    names = {"id": more.pop("id", ""), "impression": more.pop("impression", None)}
    return Posted(event(user, item, kind, **more), **names)


@contextmanager
def recommender_in(
    folder: Path, *, model: TagModel | None = None, **settings: Any
) -> Iterator[Recommender]:
    """A recommender with a full shelf and a clock that stands at `NOON` plus an hour."""
    chosen = ListSettings(**{"explore_positions": 0, **settings})
    with Workspace.open(folder) as workspace:
        made = Recommender(
            workspace,
            model or TagModel(),
            chosen,
            diversify=best_first,
            seed=7,
            clock=lambda: NOON + timedelta(hours=1),
        )
        made.put_items(ITEMS)
        try:
            yield made
        finally:
            made.close()
