"""What happens at the desk, told at once to whoever watches; the database stays the truth.

Streams of visitors, the WebSocket of agents and the console subscribe. One that reads too slowly
loses what it did not read, is told so by an event ``missed``, and reads the database again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

from tailorbird.store.tables import TurnRow

Kind = Literal[
    "turn", "waiting", "ticket", "taken", "given_back", "closed", "draft", "presence", "missed"
]

STATUS_KINDS: dict[str, Kind] = {
    "assistant": "given_back",
    "waiting": "waiting",
    "ticket": "ticket",
    "agent": "taken",
    "closed": "closed",
}
"""The event that says of a conversation that it is in a status."""
MAX_TOLD = 10_000
"""Conversations of which it is remembered what was told."""


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


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told of a conversation last."""

    turn: int = -1
    status: str = "assistant"
    agent: str = ""
    number: int = 0


class Events:
    """Hands every event to all who subscribed; belongs to one event loop.

    What another process did is told by whoever looks into the database, which finds what was done
    here as well: a turn, and a conversation's change of status, are told once.
    """

    def __init__(self, *, max_unread: int = 256) -> None:
        self.max_unread = max_unread
        self._of_all: set[Subscription] = set()
        self._of_one: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self.n_told = 0
        """Events that were told because they happened here."""
        self.has_neighbours = False
        """Whether somebody looks into the database for what other processes said."""

    @property
    def n_subscribers(self) -> int:
        """How many listen now."""
        return len(self._of_all) + sum(map(len, self._of_one.values()))

    def publish(self, events: Iterable[DeskEvent], *, as_of: int | None = None) -> None:
        """Tell everybody whom it concerns; never waits.

        *as_of*: they were read from the database when `n_told` was so; of a conversation that
        something was told of since, its status may be another by now.
        """
        for event in events:
            if not self._is_news(event, as_of):
                continue
            for subscription in (*self._of_all, *self._of_one.get(event.conversation, ())):
                subscription.put(event)

    def _is_news(self, event: DeskEvent, as_of: int | None) -> bool:
        """Whether it was not told before; from here on it was."""
        if event.turn is None and event.kind not in STATUS_KINDS.values():
            return True
        told = self._told.get(event.conversation, _Told())
        if event.turn is not None:
            if as_of is None and self.has_neighbours and event.turn.number > told.turn + 1:
                return False  # another process spoke in between: the next look tells both, in order
            now = replace(told, turn=max(told.turn, event.turn.number))
        elif as_of is not None and told.number > as_of:
            return False
        else:
            now = replace(told, status=event.status, agent=event.agent)
        is_news = now != told
        if as_of is None:
            self.n_told += 1
            now = replace(now, number=self.n_told)
        self._told[event.conversation] = now
        self._told.move_to_end(event.conversation)
        while len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return is_news

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
