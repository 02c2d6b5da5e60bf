"""What a user left at the service desk: conversations, decisions, drafts, and what came of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from tailorbird.personalise.traces import Traces, names_of
from tailorbird.store.tables import (
    ChunkRow,
    ConversationRow,
    DecisionRow,
    DocumentRow,
    DraftRow,
    TurnRow,
    drafted_document,
)


def note_desk(session: Session, traces: Traces) -> None:
    """Tell *traces* what visitors wrote, whoever they are; answers are nobody's words."""
    said = (
        select(ConversationRow.user, TurnRow.text)
        .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
        .where(TurnRow.author == "visitor")
    )
    for user, text in session.execute(said):
        traces.note({"user": user, "text": text})
    decided = select(func.coalesce(DecisionRow.user, ConversationRow.user), DecisionRow.text)
    decided = decided.outerjoin(ConversationRow, ConversationRow.id == DecisionRow.conversation_id)
    for user, text in session.execute(decided):
        traces.note({"user": user, "text": text})


def forget_desk(session: Session, user: str) -> int:
    """Delete conversations of *user* with all that hangs on them; how many rows that were.

    A draft of theirs that was accepted has become a document; that goes, too.
    """
    names = names_of(user)
    own = select(ConversationRow.id).where(ConversationRow.user.in_(names))
    asked = select(DecisionRow.text).where(DecisionRow.user.in_(names))
    of_them = DraftRow.conversation_id.in_(own)
    # Chat without a conversation leaves a draft that only the question ties to the user.
    of_chat = DraftRow.conversation_id.is_(None) & DraftRow.question.in_(asked)
    drafts = list(session.scalars(select(DraftRow.id).where(or_(of_them, of_chat))))
    documents = [drafted_document(draft) for draft in drafts]
    wanted: list[tuple[Any, ColumnElement[bool]]] = [
        (ChunkRow, ChunkRow.document.in_(documents)),
        (DocumentRow, DocumentRow.name.in_(documents)),
        (DraftRow, DraftRow.id.in_(drafts)),
        (DecisionRow, or_(DecisionRow.user.in_(names), DecisionRow.conversation_id.in_(own))),
        (TurnRow, TurnRow.conversation_id.in_(own)),
        (ConversationRow, ConversationRow.user.in_(names)),
    ]
    n_rows = 0
    for kind, where in wanted:
        done = session.execute(delete(kind).where(where))
        n_rows += int(done.rowcount)  # type: ignore[attr-defined]
    return n_rows
