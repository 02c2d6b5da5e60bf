"""Which replies people accepted, and which not: read from decisions, corrections and drafts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select

from tailorbird.store import Workspace
from tailorbird.store.tables import DecisionRow, DraftRow

MAX_ROWS = 20_000
"""Newest decisions, and as many drafts, that count."""
ANSWERS = ("template", "knowledge", "generated", "rule")
"""Kinds of decisions that answer something."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, a reply, and what somebody thought of it; personal data is masked."""

    question: str
    reply: str
    is_accepted: bool
    time: datetime
    intent: str = ""
    variant: str = ""
    """The key of the template; only such a row is a vote among variants."""


def judged_replies(workspace: Workspace) -> list[Judged]:
    """All that is known, the oldest first.

    A thumb judges the reply. A correction is accepted, and what it corrects is not. An accepted
    draft is accepted, a rejected one not. A question for a slot is no reply.
    """
    found = [*_of_decisions(workspace), *_of_drafts(workspace)]
    return sorted(found, key=lambda one: one.time)


def _of_decisions(workspace: Workspace) -> Iterator[Judged]:
    row = DecisionRow
    wanted = (
        select(row)
        .where(row.kind.in_(ANSWERS), or_(row.feedback.is_not(None), row.correction.is_not(None)))
        .order_by(row.time.desc())
        .limit(MAX_ROWS)
    )
    with workspace.sessions() as session:
        for one in session.scalars(wanted):
            why = one.why or {}
            if why.get("slot") or not one.text.strip():
                continue
            correction = (one.correction or "").strip()
            if correction:
                yield Judged(one.text, correction, True, one.time, one.intent)
            feedback = one.feedback or (-1.0 if correction else 0.0)
            if feedback and one.answer.strip() and one.answer.strip() != correction:
                variant = str((why.get("template") or {}).get("variant") or "")
                yield Judged(one.text, one.answer, feedback > 0, one.time, one.intent, variant)


def _of_drafts(workspace: Workspace) -> Iterator[Judged]:
    wanted = (
        select(DraftRow)
        .where(DraftRow.status.in_(("accepted", "rejected")))
        .order_by(DraftRow.created.desc())
        .limit(MAX_ROWS)
    )
    with workspace.sessions() as session:
        for one in session.scalars(wanted):
            if one.question.strip() and one.answer.strip():
                is_accepted = one.status == "accepted"
                yield Judged(one.question, one.answer, is_accepted, one.created, one.intent)
