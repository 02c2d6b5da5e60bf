"""What is read and written of a conversation within one transaction.

Plain statements instead of mapped objects: each message of each visitor goes through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Select, Table, func, insert, select, update

from tailorbird.assistants.service_desk.events import DeskEvent, Kind
from tailorbird.assistants.service_desk.words import notice
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


def table_of(kind: type[Base]) -> Table:
    """The table of a mapped class."""
    table = kind.__table__
    assert isinstance(table, Table)
    return table


CONVERSATIONS = table_of(ConversationRow)
TURNS = table_of(TurnRow)
DECISIONS = table_of(DecisionRow)


def rows(connection: Connection, kind: type[Row], wanted: Select[Any]) -> list[Row]:
    """All rows of *wanted*, which selects every column of one table."""
    return [kind(**row._mapping) for row in connection.execute(wanted)]


def add(connection: Connection, row: Base) -> None:
    """Write a new *row*."""
    table = table_of(type(row))
    connection.execute(insert(table), {one.key: getattr(row, one.key) for one in table.c})


def conversation(
    connection: Connection, conversation_id: str, *, opened_by: str | None = None
) -> ConversationRow:
    """The conversation.

    NotFoundError where there is none, or where somebody else than *opened_by* opened it: who
    guesses ids is not told which of them exist.
    """
    wanted = select(CONVERSATIONS).where(CONVERSATIONS.c.id == conversation_id)
    found = rows(connection, ConversationRow, wanted)
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


def turns(
    connection: Connection, conversation_id: str, *, after: int = -1, limit: int | None = None
) -> list[TurnRow]:
    """Turns with a number above *after*, oldest first; the last *limit* of them."""
    wanted = select(TURNS).where(TURNS.c.conversation_id == conversation_id, TURNS.c.number > after)
    if limit is None:
        return rows(connection, TurnRow, wanted.order_by(TURNS.c.number))
    return rows(connection, TurnRow, wanted.order_by(TURNS.c.number.desc()).limit(limit))[::-1]


def said_before(
    connection: Connection, conversation_id: str, author: Author, client_id: str | None
) -> TurnRow | None:
    """The turn that *author* has already said under this name of theirs."""
    if client_id is None:
        return None
    wanted = select(TURNS).where(
        TURNS.c.conversation_id == conversation_id,
        TURNS.c.client_id == client_id,
        TURNS.c.author == author,
    )
    return next(iter(rows(connection, TurnRow, wanted)), None)


def say(
    connection: Connection,
    conversation_id: str,
    author: Author,
    text: str,
    *,
    client_id: str | None = None,
    decision_id: str | None = None,
) -> TurnRow:
    """Write the next turn of the conversation."""
    last = select(func.max(TURNS.c.number)).where(TURNS.c.conversation_id == conversation_id)
    number = connection.execute(last).scalar()
    turn = TurnRow(
        conversation_id=conversation_id,
        number=0 if number is None else number + 1,
        author=author,
        text=text,
        client_id=client_id,
        decision_id=decision_id,
    )
    add(connection, turn)
    return turn


def change(connection: Connection, row: ConversationRow, **values: Any) -> ConversationRow:
    """Write new *values* of a conversation, and the moment; returns it as it is now."""
    values["updated"] = utc_now()
    where = CONVERSATIONS.c.id == row.id
    connection.execute(update(CONVERSATIONS).where(where).values(**values))
    for key, value in values.items():
        setattr(row, key, value)
    return row


def language(row: ConversationRow, said: Sequence[TurnRow]) -> str:
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
    client_id: str | None = None,
    decision_id: str | None = None,
) -> tuple[TurnRow, list[DeskEvent]]:
    """Ask for a person, and tell the visitor what to expect; the turn that tells them."""
    kind: Literal["waiting", "ticket"] = "waiting" if is_anybody_there else "ticket"
    change(connection, row, status=kind, reason=reason)
    text = notice(kind, language)
    turn = say(connection, row.id, "system", text, client_id=client_id, decision_id=decision_id)
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
