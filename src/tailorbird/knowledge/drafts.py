"""Answers that agents gave, on their way to becoming knowledge."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.knowledge.documents import Document, hash_of
from tailorbird.knowledge.parsing.parsed import Section, cleaned
from tailorbird.store import Workspace
from tailorbird.store.tables import DraftRow, DraftStatus
from tailorbird.text import shorten

MAX_CHARS = 20_000
"""Of a question and its answer."""


def listed(workspace: Workspace, status: DraftStatus) -> list[DraftRow]:
    """Drafts of one status, oldest first."""
    query = select(DraftRow).where(DraftRow.status == status).order_by(DraftRow.created)
    with workspace.sessions() as session:
        return list(session.scalars(query))


def one(workspace: Workspace, draft_id: str) -> DraftRow:
    """The draft that nobody has judged yet; raises what `settle` does."""
    with workspace.sessions() as session:
        return _open(session, draft_id)


def as_document(draft: DraftRow, *, question: str = "", answer: str = "") -> Document:
    """One question with its answer; what is given replaces the draft's own."""
    question = " ".join(cleaned(question or draft.question).split())
    answer = cleaned(answer or draft.answer)
    if not question or not answer or len(question) + len(answer) > MAX_CHARS:
        raise RequestError(
            "a draft needs a question and an answer, "
            f"and has {MAX_CHARS:,} characters at most together",
            where=f"draft {draft.id}",
            cure="correct it",
        )
    content = f"{question}\n{answer}".encode()
    section = Section(answer, "", question)
    name = f"draft-{draft.id[:12]}"
    title = shorten(question)
    return Document(name, "draft", title, (section,), hash_of(content), len(content))


def settle(session: Session, draft_id: str, status: DraftStatus, reviewer: str) -> None:
    """Say what became of a draft.

    Raises NotFoundError where there is none of that id, ConflictError where it was judged before.
    """
    draft = _open(session, draft_id)
    draft.status = status
    draft.reviewer = reviewer


def _open(session: Session, draft_id: str) -> DraftRow:
    draft = session.get(DraftRow, draft_id)
    if draft is None:
        raise NotFoundError(
            f"there is no draft {draft_id[:40]!r}", cure="list the drafts that there are"
        )
    if draft.status != "new":
        raise ConflictError(f"draft {draft_id} was {draft.status} by {draft.reviewer} already")
    return draft
