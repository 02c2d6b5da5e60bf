"""The database as the service desk uses it: read aside, written in turn, and told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from tailorbird.assistants.service_desk.conversing.events import DeskEvent, Events
from tailorbird.store import Workspace
from tailorbird.store.writing import Writer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Books:
    """One workspace, its writer and its events; what all parts of the service desk share."""

    workspace: Workspace
    writer: Writer
    events: Events

    async def read(self, look: Callable[[Connection], Result]) -> Result:
        """What *look* finds, in a snapshot of its own, beside whoever writes."""

        def in_thread() -> Result:
            with self.workspace.engine.connect() as connection:
                return look(connection)

        return await asyncio.to_thread(in_thread)

    async def change(
        self,
        change: Callable[[Connection], tuple[Result, Sequence[DeskEvent]]],
        *,
        seen: Callable[[Result], None] | None = None,
    ) -> Result:
        """The result of *change* once it is on disk; its events are told then, never before.

        *seen* is called in the event loop with what is about to be written (`Writer.write`).
        """
        loop = asyncio.get_running_loop()

        def tell(outcome: tuple[Result, Sequence[DeskEvent]]) -> None:
            if seen is not None:
                loop.call_soon_threadsafe(seen, outcome[0])

        result, events = await self.writer.write(change, seen=None if seen is None else tell)
        self.events.publish(events)
        return result
