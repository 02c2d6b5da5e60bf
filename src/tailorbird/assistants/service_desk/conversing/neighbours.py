"""What other processes do at the desk of the same workspace, told to those who subscribed here.

The database is the truth: each process looks into it every second for turns that were said, for
conversations whose status changed, and for agents whose heartbeat another process heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.events import STATUS_KINDS, DeskEvent
from tailorbird.assistants.service_desk.conversing.presence import Presence
from tailorbird.errors import UnavailableError
from tailorbird.store.tables import PresenceRow, TurnRow, new_id, utc_now

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""So much later than in its own process something is told, at most."""
OVERLAP_S = 10.0
"""A change is dated before it is on disk; one that took longer is told with the next one."""
MAX_TURNS = 1000
"""Of one look; of more the last."""
FORGOTTEN_S = 3600.0
"""Agents who were heard longer ago leave the table."""

PRESENCE = ledger.table_of(PresenceRow)
_ROWID: ColumnElement[int] = literal_column("turns.rowid")
"""Given in the order of commits, as one writes at a time."""
_CONVERSATION = ledger.CONVERSATIONS.c
LAST_ROW: Select[Any] = select(func.max(_ROWID)).select_from(ledger.TURNS)
NEW_TURNS = (
    select(
        _ROWID.label("row"), ledger.TURNS, _CONVERSATION.status, _CONVERSATION.agent,
        _CONVERSATION.reason,
    )
    .join(ledger.CONVERSATIONS, _CONVERSATION.id == ledger.TURNS.c.conversation_id)
    .where(bindparam("last") < _ROWID)
    .order_by(_ROWID.desc())
    .limit(MAX_TURNS)
)  # fmt: skip
CHANGED = select(
    _CONVERSATION.id,
    _CONVERSATION.updated,
    _CONVERSATION.status,
    _CONVERSATION.agent,
    _CONVERSATION.reason,
).where(_CONVERSATION.updated >= bindparam("since"))
OTHERS = select(PRESENCE.c.agent, PRESENCE.c.heard).where(
    PRESENCE.c.process != bindparam("mine"), PRESENCE.c.heard > bindparam("since")
)


@dataclass(frozen=True, slots=True)
class _Found:
    """One look into the database."""

    last_row: int
    turns: tuple[Any, ...]
    changed: tuple[Any, ...]
    others: tuple[Any, ...]


class Neighbours:
    """Tells the events of *books* what others wrote, and *presence* whom others heard."""

    def __init__(self, books: Books, presence: Presence) -> None:
        self.process = new_id()
        self._books = books
        self._presence = presence
        self._last_row = -1
        self._since = utc_now()
        self._seen: dict[str, datetime] = {}
        """Conversations of late, as they were looked at."""

    async def follow(self, *, look_s: float = LOOK_S) -> None:
        """Look every *look_s* seconds, until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("could not look for what other processes did; will try again")
            await asyncio.sleep(look_s)

    async def look(self) -> None:
        """Tell what is new in the database."""
        now, as_of = utc_now(), self._books.events.n_told
        since = self._since - timedelta(seconds=OVERLAP_S)
        found = await self._books.read(lambda connection: self._look(connection, since, now))
        is_first = self._last_row < 0
        self._last_row, self._since = found.last_row, now
        agents = self._presence.agents
        self._presence.heard_elsewhere(
            {row.agent: max(0.0, (now - row.heard).total_seconds()) for row in found.others}
        )
        fresh = [row for row in found.changed if self._seen.get(row.id) != row.updated]
        self._seen = {row.id: row.updated for row in found.changed}
        self._books.events.has_neighbours = True
        if is_first:
            return  # whoever subscribes from here on reads the rest
        events = [_of_turn(row) for row in reversed(found.turns)]
        events += [_of_status(row) for row in fresh]
        if self._presence.agents != agents:
            events.append(DeskEvent("presence"))
        self._books.events.publish(events, as_of=as_of)

    def beat(self, agent: str) -> None:
        """Let other processes know that *agent* was heard; it does not wait for the disk."""
        if self._presence.is_to_be_written(agent):
            self._submit(lambda connection: _write_beat(connection, agent, self.process))

    def leave(self, agent: str = "") -> None:
        """*agent* is not at this process any more; nobody is where none is named."""
        gone = delete(PRESENCE).where(PRESENCE.c.process == self.process)
        self._submit(
            lambda connection: connection.execute(
                gone.where(PRESENCE.c.agent == agent) if agent else gone
            )
        )

    def _submit(self, change: Callable[[Connection], object]) -> None:
        try:
            future = self._books.writer.submit(change)
        except UnavailableError as error:
            log.warning("other processes are not told who is at the desk: %s", error)
            return
        future.add_done_callback(_complain)

    def _look(self, connection: Connection, since: datetime, now: datetime) -> _Found:
        last_row = int(connection.execute(LAST_ROW).scalar() or 0)
        turns: tuple[Any, ...] = ()
        if 0 <= self._last_row < last_row:
            turns = tuple(connection.execute(NEW_TURNS, {"last": self._last_row}))
        changed = tuple(connection.execute(CHANGED, {"since": since}))
        heard_since = now - timedelta(seconds=self._presence.away_after_s)
        mine = {"mine": self.process, "since": heard_since}
        return _Found(last_row, turns, changed, tuple(connection.execute(OTHERS, mine)))


def _of_turn(row: Any) -> DeskEvent:
    values = {column.key: getattr(row, column.key) for column in ledger.TURNS.c}
    return DeskEvent(
        "turn",
        conversation=row.conversation_id,
        status=row.status,
        agent=row.agent or "",
        reason=row.reason,
        turn=TurnRow(**values),
    )


def _of_status(row: Any) -> DeskEvent:
    return DeskEvent(
        STATUS_KINDS[row.status],
        conversation=row.id,
        status=row.status,
        agent=row.agent or "",
        reason=row.reason,
    )


def _write_beat(connection: Connection, agent: str, process: str) -> None:
    now = utc_now()
    theirs = (PRESENCE.c.agent == agent) & (PRESENCE.c.process == process)
    long_ago = PRESENCE.c.heard < now - timedelta(seconds=FORGOTTEN_S)
    connection.execute(delete(PRESENCE).where(theirs | long_ago))
    connection.execute(PRESENCE.insert().values(agent=agent, process=process, heard=now))


def _complain(future: Any) -> None:
    if not future.cancelled() and future.exception() is not None:
        log.warning("other processes are not told who is at the desk: %s", future.exception())
