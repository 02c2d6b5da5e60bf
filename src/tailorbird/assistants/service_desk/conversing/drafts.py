"""Drafts: what a person answered, kept until somebody has looked at it, then learned from.

An accepted draft becomes a document of the knowledge base, of one question with its answer, and a
training pair (`pairs`). Nothing is learned that nobody accepted.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection, select, update

from tailorbird.assistants.service_desk.conversing import audit, ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.assistants.service_desk.conversing.exchange import answer_name
from tailorbird.data import mask_pii
from tailorbird.errors import ConflictError, NotFoundError
from tailorbird.store.tables import DecisionRow, DraftRow, DraftStatus, TurnRow, drafted_document

Learn = Callable[[str, bytes], object]
"""Takes the name and the content of a document in, as `KnowledgeBase.add` does."""

DRAFTS = ledger.table_of(DraftRow)
N_LISTED = 200
N_DECISIONS = 20
"""How far back wishes for a person are looked for."""


class Drafts:
    """Makes drafts, and lets people judge them; *learn* is told what was accepted."""

    def __init__(self, books: Books, learn: Learn | None = None) -> None:
        self.books = books
        self.learn = learn
        self._judging = asyncio.Lock()

    async def make(self, conversation_id: str, agent: str, turn: int) -> DraftRow:
        """A draft of what an agent said in turn number *turn*, and what it answers.

        Personal data is masked. Made twice, it is the same one. NotFoundError where that turn is
        no answer of an agent to a question.
        """

        def change(connection: Connection) -> tuple[DraftRow, Sequence[DeskEvent]]:
            ledger.conversation(connection, conversation_id)
            said = ledger.turns(connection, conversation_id)
            wishes = _wishes(said, audit.latest(connection, conversation_id, N_DECISIONS))
            question, answer = _asked_and_answered(said, turn, wishes)
            draft = DraftRow(
                conversation_id=conversation_id,
                question=mask_pii(question),
                answer=mask_pii(answer),
                author=agent,
                intent=next((d.intent for d in audit.latest(connection, conversation_id, 1)), ""),
            )
            known = _same(connection, draft)
            if known is not None:
                return known, ()
            ledger.add(connection, draft)
            return draft, [DeskEvent("draft", conversation=conversation_id, agent=agent)]

        return await self.books.change(change)

    async def propose(
        self, question: str, answer: str, *, author: str, conversation_id: str | None = None
    ) -> DraftRow:
        """A draft of what a visitor says should have been answered."""
        draft = DraftRow(
            conversation_id=conversation_id,
            question=mask_pii(question),
            answer=mask_pii(answer),
            author=author,
        )

        def change(connection: Connection) -> tuple[DraftRow, Sequence[DeskEvent]]:
            known = _same(connection, draft)
            if known is not None:
                return known, ()
            ledger.add(connection, draft)
            return draft, [DeskEvent("draft", conversation=conversation_id or "", agent=author)]

        return await self.books.change(change)

    async def list(self, status: DraftStatus | None = "new") -> list[DraftRow]:
        """Drafts of one *status*, or all, the newest first."""
        wanted = select(DRAFTS).order_by(DRAFTS.c.created.desc()).limit(N_LISTED)
        if status is not None:
            wanted = wanted.where(DRAFTS.c.status == status)
        return await self.books.read(lambda c: ledger.rows(c, DraftRow, wanted))

    async def edit(
        self,
        draft_id: str,
        *,
        question: str | None = None,
        answer: str | None = None,
        intent: str | None = None,
    ) -> DraftRow:
        """Change a draft that nobody has judged yet; what is None stays."""
        given = {
            "question": None if question is None else mask_pii(question),
            "answer": None if answer is None else mask_pii(answer),
            "intent": intent,
        }
        values = {key: one for key, one in given.items() if one is not None}
        async with self._judging:
            return await self._update(draft_id, **values)

    async def accept(self, draft_id: str, reviewer: str) -> DraftRow:
        """Let the assistant learn it; ConflictError where somebody has judged it already.

        The document is taken in first: where that fails the draft stays new, and accepting it
        again changes nothing that is there already.
        """
        async with self._judging:
            draft = await self.books.read(lambda connection: _unjudged(connection, draft_id))
            if self.learn is not None:
                await asyncio.to_thread(self.learn, *as_document(draft))
            return await self._update(draft_id, status="accepted", reviewer=reviewer)

    async def reject(self, draft_id: str, reviewer: str) -> DraftRow:
        """Learn nothing from it; ConflictError where somebody has judged it already."""
        async with self._judging:
            return await self._update(draft_id, status="rejected", reviewer=reviewer)

    async def _update(self, draft_id: str, **values: str) -> DraftRow:
        def change(connection: Connection) -> tuple[DraftRow, Sequence[DeskEvent]]:
            draft = _unjudged(connection, draft_id)
            if values:
                connection.execute(update(DRAFTS).where(DRAFTS.c.id == draft_id).values(**values))
            for key, value in values.items():
                setattr(draft, key, value)
            return draft, [DeskEvent("draft", conversation=draft.conversation_id or "")]

        return await self.books.change(change)


def as_document(draft: DraftRow) -> tuple[str, bytes]:
    """Name and content of the document an accepted *draft* becomes: CSV of one question.

    >>> as_document(DraftRow(id="7", question="How long?", answer="5 days"))
    ('draft-7.csv', b'question,answer\\r\\nHow long?,5 days\\r\\n')
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("question", "answer"), (draft.question, draft.answer)])
    return drafted_document(draft.id), text.getvalue().encode()


def _wishes(turns: Sequence[TurnRow], decisions: Sequence[DecisionRow]) -> set[str]:
    """The ids of messages that ask for a person and hardly say anything else."""
    wished = {row.id: str(row.why.get("wish", "")) for row in decisions if row.kind == "hand_over"}
    by_name = {turn.client_id: wished.get(turn.decision_id or "", "") for turn in turns}
    found = set()
    for turn in turns:
        wish = max((by_name.get(answer_name(turn, k), "") for k in (0, 1)), key=len)
        if 2 * len(wish) > len(turn.text.strip()):
            found.add(turn.id)
    return found


def _asked_and_answered(
    turns: Sequence[TurnRow], number: int, wishes: Collection[str] = ()
) -> tuple[str, str]:
    """What turn *number* answers, and what it says: an agent's lines in a row are one answer.

    The question is what the visitor said last, before the *wishes* for a person where there is
    anything before them.
    """
    said = {turn.number: turn for turn in turns}
    turn = said.get(number)
    if turn is None or turn.author != "agent":
        raise NotFoundError(
            f"turn {number} is no answer of an agent",
            where="turn",
            cure="name the number of an agent's turn",
        )
    first = number
    while first - 1 in said and said[first - 1].author == "agent":
        first -= 1
    questions: list[str] = []
    wished: list[str] = []
    for before in reversed(turns[:first]):
        if before.author == "visitor" and before.id in wishes and not questions:
            wished.append(before.text)
        elif before.author == "visitor":
            questions.append(before.text)
        elif questions and before.author != "system":
            break
    if not questions and not wished:
        raise NotFoundError("no question stands before this answer", where="turn")
    answer = "\n".join(said[k].text for k in range(first, number + 1))
    return [*questions, *wished][0], answer


def _same(connection: Connection, draft: DraftRow) -> DraftRow | None:
    """The unjudged or accepted draft of the same conversation that says the same."""
    wanted = select(DRAFTS).where(
        DRAFTS.c.conversation_id == draft.conversation_id,
        DRAFTS.c.question == draft.question,
        DRAFTS.c.answer == draft.answer,
        DRAFTS.c.status != "rejected",
    )
    return next(iter(ledger.rows(connection, DraftRow, wanted)), None)


def _unjudged(connection: Connection, draft_id: str) -> DraftRow:
    wanted = select(DRAFTS).where(DRAFTS.c.id == draft_id)
    found = ledger.rows(connection, DraftRow, wanted)
    if not found:
        raise NotFoundError(f"there is no draft {draft_id[:40]!r}", where="draft")
    if found[0].status != "new":
        raise ConflictError(
            f"this draft is {found[0].status} by {found[0].reviewer} already", where="draft"
        )
    return found[0]
