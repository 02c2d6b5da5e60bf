"""The desk: conversations that want a person, and the one agent who has each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from tailorbird.assistants.service_desk.conversing import audit, ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.conversations import check_same
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.assistants.service_desk.conversing.neighbours import Neighbours
from tailorbird.assistants.service_desk.conversing.presence import Presence
from tailorbird.assistants.service_desk.conversing.words import notice
from tailorbird.errors import ConflictError
from tailorbird.store.tables import ConversationRow, DecisionRow, TurnRow

N_LISTED = 100
"""How many conversations one list shows."""
N_DECISIONS = 3
"""How far back suggestions and sources are looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence the assistant found, and the document it stands in."""

    text: str
    source: str
    passage: str


@dataclass(frozen=True, slots=True)
class Card:
    """One conversation as an agent sees it."""

    conversation: ConversationRow
    turns: tuple[TurnRow, ...]
    intent: str
    """What the assistant took the last message for; empty: it never said."""
    confidence: float
    suggestions: tuple[str, ...]
    """Replies to choose from."""
    sources: tuple[Source, ...]
    decision: str = ""
    """The id of the last decision; empty: there is none."""


Changed = tuple[ConversationRow, Sequence[DeskEvent]]


class Desk:
    """Agents take conversations, answer, give them back to the assistant, and close them."""

    def __init__(
        self, books: Books, presence: Presence, neighbours: Neighbours | None = None
    ) -> None:
        self.books = books
        self.presence = presence
        self.neighbours = neighbours or Neighbours(books, presence)

    async def heartbeat(self, agent: str) -> list[str]:
        """*agent* is at the desk for the next half a minute; everybody who is."""
        if self.presence.beat(agent):
            self.books.events.publish([DeskEvent("presence", agent=agent)])
        self.neighbours.beat(agent)
        return self.presence.agents

    def leave(self, agent: str) -> None:
        """*agent* goes."""
        self.presence.leave(agent)
        self.neighbours.leave(agent)

    async def request(self, conversation_id: str, reason: str = "asked for") -> ConversationRow:
        """Ask for a person: ``waiting`` where somebody is at the desk, else ``ticket``.

        The visitor is told which. Asked again, it stays as it is; ConflictError once it is closed.
        """
        is_anybody = self.presence.is_anybody

        def change(connection: Connection) -> Changed:
            row = ledger.conversation(connection, conversation_id)
            ledger.check_open(row)
            if row.status == "agent" or row.status == ("waiting" if is_anybody else "ticket"):
                return row, ()
            said = ledger.turns(connection, conversation_id, limit=10)
            _, events = ledger.hand_over(
                connection,
                row,
                row.reason or reason,
                is_anybody_there=is_anybody,
                language=ledger.language(row, said),
            )
            return row, events

        return await self.books.change(change)

    async def take(
        self, conversation_id: str, agent: str, *, force: bool = False
    ) -> ConversationRow:
        """The conversation is *agent*'s from now on; taken twice by the same, it stays theirs.

        ConflictError names whoever was first, unless it is taken by *force*: somebody went home.
        """
        await self.heartbeat(agent)

        def change(connection: Connection) -> Changed:
            row = ledger.conversation(connection, conversation_id)
            ledger.check_open(row)
            if row.status == "agent" and (row.agent == agent or not force):
                _check_theirs(row, agent)
                return row, ()
            ledger.change(connection, row, status="agent", agent=agent)
            return row, [ledger.told(row, kind="taken")]

        return await self.books.change(change)

    async def answer(
        self, conversation_id: str, agent: str, text: str, *, client_id: str | None = None
    ) -> TurnRow:
        """Say *text* to the visitor; ConflictError where it is not *agent*'s conversation."""
        await self.heartbeat(agent)

        def change(connection: Connection) -> tuple[TurnRow, Sequence[DeskEvent]]:
            row = ledger.conversation(connection, conversation_id)
            known = ledger.said_before(connection, conversation_id, "agent", client_id)
            if known is not None:
                return check_same(known, text), ()
            _check_theirs(row, agent)
            turn = ledger.say(
                connection, ledger.turn_of(row.id, "agent", text, ledger.Names(client_id))
            )
            ledger.change(connection, row)
            return turn, [ledger.told(row, turn)]

        return await self.books.change(change)

    async def give_back(self, conversation_id: str, agent: str) -> ConversationRow:
        """The assistant goes on; ConflictError where it is not *agent*'s conversation."""

        def change(connection: Connection) -> Changed:
            row = ledger.conversation(connection, conversation_id)
            _check_theirs(row, agent)
            ledger.change(connection, row, status="assistant", agent=None, n_unsure=0, reason="")
            return row, _say_so(connection, row, "given_back")

        return await self.books.change(change)

    async def close(self, conversation_id: str, agent: str) -> ConversationRow:
        """Nothing is said in it any more; ConflictError where another agent has it."""

        def change(connection: Connection) -> Changed:
            row = ledger.conversation(connection, conversation_id)
            if row.status == "closed":
                return row, ()
            if row.status == "agent":
                _check_theirs(row, agent)
            ledger.change(connection, row, status="closed", agent=row.agent or agent)
            return row, _say_so(connection, row, "closed")

        return await self.books.change(change)

    async def waiting(self) -> list[Card]:
        """Conversations that want a person, whoever has waited longest first; then tickets."""
        cards = await self._cards(ledger.CONVERSATIONS.c.status.in_(("waiting", "ticket")))
        return sorted(cards, key=lambda card: card.conversation.status != "waiting")

    async def mine(self, agent: str) -> list[Card]:
        """Conversations that *agent* has taken."""
        table = ledger.CONVERSATIONS.c
        return await self._cards((table.status == "agent") & (table.agent == agent))

    async def everything(self) -> list[Card]:
        """The conversations of late that are not closed."""
        return await self._cards(ledger.CONVERSATIONS.c.status != "closed", newest_first=True)

    async def card(self, conversation_id: str) -> Card:
        """One conversation with its history, and what may help to answer."""
        return await self.books.read(lambda c: _card(c, ledger.conversation(c, conversation_id)))

    async def sweep(self) -> int:
        """Make tickets of what waits while nobody is at the desk, and say so; how many."""
        if not self.presence.is_nobody_for_long:
            return 0
        table = ledger.CONVERSATIONS

        def change(connection: Connection) -> tuple[int, Sequence[DeskEvent]]:
            wanted = select(table).where(table.c.status == "waiting")
            events: list[DeskEvent] = []
            found = ledger.rows(connection, ConversationRow, wanted)
            for row in found:
                said = ledger.turns(connection, row.id, limit=10)
                language = ledger.language(row, said)
                _, more = ledger.hand_over(
                    connection, row, row.reason, is_anybody_there=False, language=language
                )
                events += more
            return len(found), events

        return await self.books.change(change)

    async def _cards(self, where: ColumnElement[bool], *, newest_first: bool = False) -> list[Card]:
        moment = ledger.CONVERSATIONS.c.updated
        wanted = (
            select(ledger.CONVERSATIONS)
            .where(where)
            .order_by(moment.desc() if newest_first else moment)
            .limit(N_LISTED)
        )

        def look(connection: Connection) -> list[Card]:
            found = ledger.rows(connection, ConversationRow, wanted)
            return [_card(connection, row, limit=4) for row in found]

        return await self.books.read(look)


def _card(connection: Connection, row: ConversationRow, *, limit: int = ledger.ALL) -> Card:
    decisions = audit.latest(connection, row.id, N_DECISIONS)
    last = decisions[0] if decisions else None
    return Card(
        row,
        tuple(ledger.turns(connection, row.id, limit=limit)),
        intent=last.intent if last else "",
        confidence=last.confidence if last else 0.0,
        suggestions=_suggestions(decisions),
        sources=_sources(decisions),
        decision=last.id if last else "",
    )


def _suggestions(decisions: Sequence[DecisionRow]) -> tuple[str, ...]:
    """Replies that the last decisions held ready, each once, the newest first."""
    texts = [str(text) for row in decisions for text in row.why.get("suggestions") or ()]
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def _sources(decisions: Sequence[DecisionRow]) -> tuple[Source, ...]:
    """Sentences of documents that the last decisions found, each once, the newest first."""
    found: dict[Source, None] = {}
    for row in decisions:
        for one in row.why.get("sentences") or ():
            values: dict[str, Any] = one if isinstance(one, dict) else {}
            if values.get("source"):
                keys = ("text", "source", "passage")
                found[Source(*(str(values.get(key, "")) for key in keys))] = None
    return tuple(found)


def _check_theirs(row: ConversationRow, agent: str) -> None:
    """ConflictError where *agent* has not taken the conversation, or another one has."""
    if row.status == "agent" and row.agent == agent:
        return
    ledger.check_open(row)
    who = f"{row.agent} has taken this conversation" if row.status == "agent" else ""
    raise ConflictError(
        who or "nobody has taken this conversation",
        where="conversation",
        cure="choose another" if who else "take it first",
    )


def _say_so(connection: Connection, row: ConversationRow, kind: Any) -> list[DeskEvent]:
    """Tell the visitor what became of the conversation, and everybody else."""
    said = ledger.turns(connection, row.id, limit=10)
    text = notice(kind, ledger.language(row, said))
    turn = ledger.say(connection, ledger.turn_of(row.id, "system", text))
    return [ledger.told(row, turn), ledger.told(row, kind=kind)]
