"""Items and events as a workspace has them: what the next model learns from."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.histories import event_of
from tailorbird.assistants.recommend.shelf import item_of
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow, ItemRow

N_TOGETHER = 10_000
"""So many rows are held at once."""


def kept_items(workspace: Workspace) -> list[Item]:
    """All items that were not withdrawn."""
    with workspace.sessions() as session:
        rows = session.scalars(select(ItemRow).where(~ItemRow.is_withdrawn).order_by(ItemRow.id))
        return [item_of(row) for row in rows]


def kept_events(workspace: Workspace) -> Iterator[Event]:
    """All events, in order of time, one after another."""
    events = select(EventRow).order_by(EventRow.time, EventRow.id)
    with workspace.sessions() as session:
        for row in session.scalars(events.execution_options(yield_per=N_TOGETHER)):
            yield event_of(row)
