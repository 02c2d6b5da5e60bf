"""Events as they come in: each is kept once, however often it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import Connection, insert, select

from tailorbird.assistants.recommend.seam import Event
from tailorbird.store.tables import EventRow
from tailorbird.store.tables.base import new_id

N_TOGETHER = 500
"""So many keys are asked for in one query."""


@dataclass(frozen=True, slots=True)
class Posted:
    """An event as its sender gives it."""

    event: Event
    id: str = ""
    """The sender's own name for it; empty: it is told by all that it says."""
    impression: str | None = None
    """The list that it answers."""

    @property
    def key(self) -> str:
        """What is sent again has the same."""
        return event_key(self.event, self.id)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of posted events."""

    n_new: int
    n_known: int
    """They were here before, and count once."""
    unknown_items: tuple[str, ...]
    """Items that are not on the shelf; events of theirs are kept all the same."""


def event_key(event: Event, name: str = "") -> str:
    """What tells an event from others: the sender's *name* for it, or all that it says.

    >>> from datetime import UTC, datetime
    >>> event_key(Event("u", "a", "click", None, datetime(2026, 1, 2, tzinfo=UTC)))[:12]
    '8177c8113dc7'
    """
    value = "" if event.value is None else repr(float(event.value))
    moment = event.time.astimezone(UTC).isoformat()
    parts = (
        ("id", event.user, name)
        if name
        else ("event", event.user, event.item, event.kind, value, moment)
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def keep_events(connection: Connection, posted: Sequence[Posted]) -> list[Posted]:
    """Insert what is not there yet; what that was, each once."""
    wanted = {one.key: one for one in reversed(posted)}  # of two alike the first counts
    keys = list(wanted)
    for start in range(0, len(keys), N_TOGETHER):
        part = keys[start : start + N_TOGETHER]
        for key in connection.scalars(select(EventRow.key).where(EventRow.key.in_(part))):
            del wanted[key]
    rows = [
        {
            "id": new_id(),
            "key": key,
            "user": one.event.user,
            "item": one.event.item,
            "kind": one.event.kind,
            "value": one.event.value,
            "time": one.event.time,
            "impression": one.impression,
        }
        for key, one in wanted.items()
    ]
    if rows:
        connection.execute(insert(EventRow), rows)
    return list(wanted.values())
