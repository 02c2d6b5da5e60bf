"""What is read and written of a conversation within one transaction.

Plain statements instead of mapped objects: each message of each visitor goes through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Select, Table, bindparam, func, insert, select, update

from tailorbird.assistants.service_desk.conversing.events import DeskEvent, Kind
from tailorbird.assistants.service_desk.conversing.words import notice
from tailorbird.errors import ConflictError, NotFoundError
from tailorbird.store.tables import (
    Author,
    Base,
    ConversationRow,
    DecisionRow,
    DraftRow,
    TurnRow,
    utc_now,
)
from tailorbird.text import language_of

Row = TypeVar("Row", ConversationRow, DecisionRow, DraftRow, TurnRow)


@dataclass(frozen=True, slots=True)
class Names:
    """What else a turn is known by."""

    client_id: str | None = None
    decision_id: str | None = None


NAMELESS = Names()


def turn_of(conversation_id: str, author: Author, text: str, names: Names = NAMELESS) -> TurnRow:
    """A turn that has no number yet: `say` gives it one."""
    return TurnRow(
        conversation_id=conversation_id,
        number=-1,
        author=author,
        text=text,
        client_id=names.client_id,
        decision_id=names.decision_id,
    )


def table_of(kind: type[Base]) -> Table:
    """The table of a mapped class."""
    table = kind.__table__
    assert isinstance(table, Table)
    return table


CONVERSATIONS = table_of(ConversationRow)
TURNS = table_of(TurnRow)
DECISIONS = table_of(DecisionRow)

# Statements that every message needs are built once: building costs more than running them.
ONE_CONVERSATION = select(CONVERSATIONS).where(CONVERSATIONS.c.id == bindparam("wanted"))
LAST_TURNS = (
    select(TURNS)
    .where(TURNS.c.conversation_id == bindparam("wanted"), TURNS.c.number > bindparam("after"))
    .order_by(TURNS.c.number.desc())
    .limit(bindparam("n_turns"))
)
SAID_BEFORE = select(TURNS).where(
    TURNS.c.conversation_id == bindparam("wanted"),
    TURNS.c.client_id == bindparam("name"),
    TURNS.c.author == bindparam("who"),
)
LAST_NUMBER = select(func.max(TURNS.c.number)).where(TURNS.c.conversation_id == bindparam("wanted"))
CHANGE = update(CONVERSATIONS).where(CONVERSATIONS.c.id == bindparam("wanted"))
INSERTS = {
    kind: insert(table_of(kind)) for kind in (ConversationRow, TurnRow, DecisionRow, DraftRow)
}
ALL = 2**31 - 1


def rows(connection: Connection, kind: type[Row], query: Select[Any], **values: Any) -> list[Row]:
    """All rows of *query*, which selects every column of one table."""
    return [kind(**row._mapping) for row in connection.execute(query, values)]


def add(connection: Connection, row: ConversationRow | TurnRow | DecisionRow | DraftRow) -> None:
    """Write a new *row*."""
    columns = table_of(type(row)).c
    connection.execute(INSERTS[type(row)], {one.key: getattr(row, one.key) for one in columns})


def conversation(
    connection: Connection, conversation_id: str, *, opened_by: str | None = None
) -> ConversationRow:
    """The conversation.

    NotFoundError where there is none, or where somebody else than *opened_by* opened it: who
    guesses ids is not told which of them exist.
    """
    found = rows(connection, ConversationRow, ONE_CONVERSATION, wanted=conversation_id)
    if not found or opened_by not in (None, found[0].opened_by):
        raise NotFoundError(
            f"there is no conversation {conversation_id[:40]!r}",
            where="conversation",
            cure="open one with POST /v1/conversations",
        )
    return found[0]


def check_open(row: ConversationRow) -> None:
    """ConflictError where it is closed."""
    if row.status == "closed":
        raise ConflictError(
            "this conversation is closed",
            where="conversation",
            cure="open another with POST /v1/conversations",
        )


def lately(
    connection: Connection, conversation_id: str, *, after: int = -1, limit: int = ALL
) -> list[Any]:
    """Turns as the database gives them, light, oldest first; see `turns`."""
    values = {"wanted": conversation_id, "after": after, "n_turns": limit}
    return connection.execute(LAST_TURNS, values).all()[::-1]  # type: ignore[return-value]


def turns(
    connection: Connection, conversation_id: str, *, after: int = -1, limit: int = ALL
) -> list[TurnRow]:
    """Turns with a number above *after*, oldest first; the last *limit* of them."""
    found = lately(connection, conversation_id, after=after, limit=limit)
    return [TurnRow(**row._mapping) for row in found]


def said_before(
    connection: Connection, conversation_id: str, author: Author, client_id: str | None
) -> TurnRow | None:
    """The turn that *author* has already said under this name of theirs."""
    if client_id is None:
        return None
    values = {"wanted": conversation_id, "name": client_id, "who": author}
    return next(iter(rows(connection, TurnRow, SAID_BEFORE, **values)), None)


def say(connection: Connection, turn: TurnRow, *, after: int | None = None) -> TurnRow:
    """Write *turn* as the next of its conversation, and give it its number.

    *after* is the last number there, where that is known already.
    """
    if after is None:
        last = connection.execute(LAST_NUMBER, {"wanted": turn.conversation_id}).scalar()
        after = -1 if last is None else last
    turn.number = after + 1
    add(connection, turn)
    return turn


def change(connection: Connection, row: ConversationRow, **values: Any) -> ConversationRow:
    """Write new *values* of a conversation, and the moment; returns it as it is now."""
    values["updated"] = utc_now()
    connection.execute(CHANGE, {"wanted": row.id, **values})
    for key, value in values.items():
        setattr(row, key, value)
    return row


def language(row: ConversationRow, said: Sequence[Any]) -> str:
    """Of what the visitor wrote last; before that, of the conversation."""
    last = next((turn.text for turn in reversed(said) if turn.author == "visitor"), "")
    return language_of(last) if last.strip() else row.language or "en"


def hand_over(
    connection: Connection,
    row: ConversationRow,
    reason: str,
    *,
    is_anybody_there: bool,
    language: str,
    names: Names = NAMELESS,
) -> tuple[TurnRow, list[DeskEvent]]:
    """Ask for a person, and tell the visitor what to expect; the turn that tells them."""
    kind: Literal["waiting", "ticket"] = "waiting" if is_anybody_there else "ticket"
    change(connection, row, status=kind, reason=reason)
    turn = say(connection, turn_of(row.id, "system", notice(kind, language), names))
    return turn, [told(row, turn), told(row, kind=kind)]


def told(row: ConversationRow, turn: TurnRow | None = None, *, kind: Kind = "turn") -> DeskEvent:
    """The event that says what became of the conversation, or that something was said in it."""
    return DeskEvent(
        kind,
        conversation=row.id,
        status=row.status,
        agent=row.agent or "",
        reason=row.reason,
        turn=turn,
    )
