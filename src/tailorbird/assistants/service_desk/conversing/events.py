"""What happens at the desk, told at once to whoever watches; the database stays the truth.

Streams of visitors, the WebSocket of agents and the console subscribe. One that reads too slowly
loses what it did not read, is told so by an event ``missed``, and reads the database again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tailorbird.store.tables import TurnRow

Kind = Literal[
    "turn", "waiting", "ticket", "taken", "given_back", "closed", "draft", "presence", "missed"
]


@dataclass(frozen=True, slots=True)
class DeskEvent:
    """One thing that happened; it is on disk already."""

    kind: Kind
    conversation: str = ""
    status: str = ""
    """Of the conversation, from here on."""
    agent: str = ""
    reason: str = ""
    """Why it was handed over."""
    turn: TurnRow | None = None


class Events:
    """Hands every event to all who subscribed; belongs to one event loop."""

    def __init__(self, *, max_unread: int = 256) -> None:
        self.max_unread = max_unread
        self._of_all: set[Subscription] = set()
        self._of_one: defaultdict[str, set[Subscription]] = defaultdict(set)

    @property
    def n_subscribers(self) -> int:
        """How many listen now."""
        return len(self._of_all) + sum(map(len, self._of_one.values()))

    def publish(self, events: Iterable[DeskEvent]) -> None:
        """Tell everybody whom it concerns; never waits."""
        for event in events:
            for subscription in (*self._of_all, *self._of_one.get(event.conversation, ())):
                subscription.put(event)

    def subscribe(self, conversation: str = "") -> Subscription:
        """Everything from now on, or only what concerns one *conversation*; leave it to end it."""
        subscription = Subscription(self, conversation)
        (self._of_one[conversation] if conversation else self._of_all).add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Tell it nothing any more."""
        self._of_all.discard(subscription)
        listeners = self._of_one.get(subscription.conversation)
        if listeners is not None:
            listeners.discard(subscription)
            if not listeners:
                del self._of_one[subscription.conversation]

    def close(self) -> None:
        """End all subscriptions, and with them every stream that hangs on one."""
        for subscription in (*self._of_all, *(s for many in self._of_one.values() for s in many)):
            subscription.close()


class Subscription:
    """An asynchronous iterator of events, to be used in a ``with``."""

    def __init__(self, events: Events, conversation: str) -> None:
        self.conversation = conversation
        self.is_closed = False
        self._events = events
        self._unread: deque[DeskEvent] = deque()
        self._news = asyncio.Event()

    def put(self, event: DeskEvent) -> None:
        """Keep *event* until it is read."""
        if len(self._unread) >= self._events.max_unread:
            self._unread.clear()
            event = DeskEvent("missed", conversation=self.conversation)
        self._unread.append(event)
        self._news.set()

    async def get(self, timeout_s: float | None = None) -> DeskEvent | None:
        """The next event; None after *timeout_s* without one, and once it is closed."""
        if not self._unread and not self.is_closed:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), timeout_s)
            except TimeoutError:
                return None
        return self._unread.popleft() if self._unread else None

    def close(self) -> None:
        """Leave, and wake whoever waits."""
        self._events.leave(self)
        self.is_closed = True
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DeskEvent:
        event = await self.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
