"""What waits for a person's judgement, and what becomes of it once it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, or_, select

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.errors import RequestError
from tailorbird.serving.access import Person, note_action
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow, DecisionRow, DraftRow

REVIEWED = "review answer"
"""The action that takes an answer out of the queue; its target is the id of the decision."""
N_READ = 2000
N_SHOWN = 200

Kind = Literal["drafts", "disliked", "unsure"]
KINDS: tuple[Kind, ...] = ("drafts", "disliked", "unsure")


@dataclass(frozen=True, slots=True)
class Item:
    """One question with what was or should be answered."""

    kind: Kind
    ids: tuple[str, ...]
    """Of the draft, or of all decisions about this text, the newest first."""
    time: datetime
    question: str
    given: str
    """What was answered; empty for drafts."""
    wanted: str
    """What should be answered, as far as somebody has said it."""
    intent: str
    confidence: float = 0.0
    author: str = ""
    """Whose draft it is."""
    conversation: str | None = None


Queue = dict[Kind, list[Item]]


def read_queue(workspace: Workspace) -> Queue:
    """Everything that nobody has judged yet; drafts oldest first, answers by how often asked."""
    with workspace.sessions() as session:
        new = select(DraftRow).where(DraftRow.status == "new").order_by(DraftRow.created)
        drafts = [_of_draft(row) for row in session.scalars(new.limit(N_SHOWN))]
        disliked = or_(DecisionRow.feedback < 0, DecisionRow.correction.is_not(None))
        is_unsure = DecisionRow.why["is_unsure"].as_boolean()
        is_given_up = DecisionRow.why["cause"].as_string() == "unsure"  # and handed over for it
        unsure = or_(DecisionRow.kind == "refusal", is_unsure.is_(True), is_given_up)

        def decisions(where: ColumnElement[bool]) -> Sequence[DecisionRow]:
            judged = select(AdminActionRow.target).where(AdminActionRow.action == REVIEWED)
            wanted = select(DecisionRow).where(
                where, DecisionRow.meant.is_(None), DecisionRow.id.not_in(judged)
            )
            return session.scalars(wanted.order_by(DecisionRow.time.desc()).limit(N_READ)).all()

        bad = decisions(disliked)
        known = {row.id for row in bad}
        refused = [row for row in decisions(unsure) if row.id not in known]
    return {
        "drafts": drafts,
        "disliked": _of_decisions(bad, "disliked"),
        "unsure": _of_decisions(refused, "unsure"),
    }


class Reviewing:
    """Judges items of the queue in the name of *person*."""

    def __init__(self, service_desk: ServiceDesk, person: Person) -> None:
        self._workspace = service_desk.books.workspace
        self._drafts = service_desk.drafts
        self._audit = service_desk.audit
        self._person = person

    async def accept(self, item: Item, *, question: str, answer: str, intent: str) -> None:
        """Let the assistant learn it.

        With an answer it becomes knowledge and a training pair of question, answer and intent;
        with an intent alone, a pair of question and intent. RequestError where there is neither.
        """
        if not question.strip() or not (answer.strip() or intent):
            raise RequestError(
                "nothing to learn", where="review", cure="write an answer or choose an intent"
            )
        if item.kind == "drafts":
            (draft_id,) = item.ids
            await self._learn(draft_id, question, answer, intent)
            return
        if answer.strip():
            draft = await self._drafts.propose(
                question, answer, author=self._person.name, conversation_id=item.conversation
            )
            if draft.status == "new":  # else it was accepted before: the same was said elsewhere
                await self._learn(draft.id, question, answer, intent)
        else:
            await self._audit.feedback(item.ids[0], intent=intent)
        await self._settle(item, "accepted", intent)

    async def reject(self, item: Item) -> None:
        """Learn nothing from it."""
        if item.kind == "drafts":
            await self._drafts.reject(item.ids[0], self._person.name)
        else:
            await self._settle(item, "rejected")

    async def _learn(self, draft_id: str, question: str, answer: str, intent: str) -> None:
        if not answer.strip():
            raise RequestError("a draft has an answer", where="review", cure="write one")
        await self._drafts.edit(draft_id, question=question, answer=answer, intent=intent)
        await self._drafts.accept(draft_id, self._person.name)

    async def _settle(self, item: Item, verdict: str, intent: str = "") -> None:
        def note() -> None:
            for one in item.ids:
                note_action(
                    self._workspace, self._person, REVIEWED, one, verdict=verdict, intent=intent
                )

        await asyncio.to_thread(note)


def _of_draft(row: DraftRow) -> Item:
    return Item(
        "drafts",
        (row.id,),
        row.created,
        row.question,
        "",
        row.answer,
        row.intent,
        author=row.author,
        conversation=row.conversation_id,
    )


def _of_decisions(rows: Iterable[DecisionRow], kind: Kind) -> list[Item]:
    """One item a text, asked most first."""
    same: dict[str, list[DecisionRow]] = {}
    for row in rows:
        same.setdefault(row.text.strip().casefold(), []).append(row)
    groups = sorted(same.values(), key=lambda group: -len(group))[:N_SHOWN]
    return [
        Item(
            kind,
            tuple(row.id for row in group),
            group[0].time,
            group[0].text,
            group[0].answer,
            next((row.correction for row in group if row.correction), ""),
            group[0].intent,
            group[0].confidence,
            conversation=group[0].conversation_id,
        )
        for group in groups
    ]
