"""What each user did lately, in memory: read when somebody asks, changed when they do something."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.assistants.recommend.seam import Event
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow

DONE_KINDS = frozenset({"purchase", "rating"})
"""Whoever bought or judged a thing is not shown it again."""
FRESH_S = 30.0
"""After so long a history is read anew: another process may have written, or forgotten, some."""


@dataclass(frozen=True, slots=True)
class History:
    """The latest events of one user, oldest first, and all items that they are done with."""

    events: tuple[Event, ...] = ()
    done: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Held:
    history: History
    read_s: float


class Histories:
    """Histories of at most *n_users* users, *n_events* long; who asked longest ago goes first.

    May be used by several threads.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        n_events: int = 200,
        n_users: int = 20_000,
        fresh_s: float = FRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._n_events = n_events
        self._n_users = n_users
        self._fresh_s = fresh_s
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, user: str) -> History:
        """The history of *user*; empty for one whom nobody knows."""
        # Reading under the lock takes a millisecond, and no event can slip in between reading a
        # history and keeping it.
        with self._lock:
            held = self._held.get(user)
            if held is None or self._clock() - held.read_s > self._fresh_s:
                with self._workspace.sessions() as session:
                    history = read_history(session, user, n=self._n_events)
                held = self._held[user] = _Held(history, self._clock())
                while len(self._held) > self._n_users:
                    self._held.popitem(last=False)
            self._held.move_to_end(user)
            return held.history

    def add(self, events: Iterable[Event]) -> None:
        """Events that are on disk by now; of users who are not held nothing needs to be done."""
        with self._lock:
            for event in events:
                held = self._held.get(event.user)
                if held is not None:
                    held.history = with_events(held.history, (event,), n=self._n_events)

    def drop_stale(self) -> int:
        """Let go of what would be read anew anyway, and of who was forgotten with it; how many.

        Nothing is lost: the tables have all of it, but for what was deleted from them.
        """
        with self._lock:
            oldest_s = self._clock() - self._fresh_s
            stale = [user for user, held in self._held.items() if held.read_s < oldest_s]
            for user in stale:
                del self._held[user]
        return len(stale)

    def __len__(self) -> int:
        """How many users are held."""
        return len(self._held)


def with_events(history: History, events: Iterable[Event], *, n: int) -> History:
    """*history* and *events*, each once, the latest *n* of them.

    >>> from datetime import UTC, datetime
    >>> days = [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 1)]
    >>> late, early = (Event("u", "a", "click", None, day) for day in days)
    >>> [one.time.day for one in with_events(History((late,)), [early, late], n=9).events]
    [1, 2]
    """
    kept, done = list(history.events), set(history.done)
    for event in events:
        if event not in kept:
            insort(kept, event, key=lambda one: one.time)
        if event.kind in DONE_KINDS:
            done.add(event.item)
    return History(tuple(kept[-n:]), frozenset(done))


def read_history(session: Session, user: str, *, n: int, before: datetime | None = None) -> History:
    """The latest *n* events of *user*, those *before* a moment where one is given."""
    rows = select(EventRow).where(EventRow.user == user)
    done = select(EventRow.item).where(EventRow.user == user, EventRow.kind.in_(DONE_KINDS))
    if before is not None:
        rows, done = rows.where(EventRow.time < before), done.where(EventRow.time < before)
    latest = session.scalars(rows.order_by(EventRow.time.desc(), EventRow.id).limit(n)).all()
    events = tuple(event_of(row) for row in reversed(latest))
    return History(events, frozenset(session.scalars(done.distinct())))


def event_of(row: EventRow) -> Event:
    """The event that *row* keeps."""
    return Event(row.user, row.item, row.kind, row.value, row.time)
