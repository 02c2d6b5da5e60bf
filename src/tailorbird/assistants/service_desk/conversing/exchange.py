"""One exchange: a visitor's message is kept, answered once, and handed over where it should be.

The assistant thinks about a message while the disk is waited for; decision and answer follow in one
transaction, and nobody is told of anything before it is on disk. Sent again under its name, a
message gets the answer it got. Killed in between, the service answers when it is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection

from tailorbird.assistants.service_desk.conversing import audit, ledger
from tailorbird.assistants.service_desk.conversing.audit import Decided
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.conversations import check_same
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.assistants.service_desk.conversing.presence import Presence
from tailorbird.store.tables import ConversationRow, DecisionRow, TurnRow

N_TURNS = 20
"""How many turns before a message the assistant is told."""
MAX_UNSURE = 2
"""After so many answers in a row that it was not sure of, a person is asked for; 0: never."""


class Said(Protocol):
    """One turn as the assistant is told it."""

    @property
    def author(self) -> str:
        """Who said it."""

    @property
    def text(self) -> str:
        """What they said."""


Respond = Callable[[str, Sequence[Said], "str | None"], Awaitable[Decided]]
"""(conversation id, turns with the visitor's last, user) → what to say."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A message and what was said to it."""

    turn: TurnRow
    answers: tuple[TurnRow, ...]
    """Of the assistant, and of the service itself; none while a person is to answer."""
    conversation: ConversationRow
    decision: DecisionRow | None


Outcome = tuple[Exchanged, Sequence[DeskEvent]]
Heard = tuple[tuple[Exchanged, list[Any]], Sequence[DeskEvent]]


class Exchange:
    """Lets *respond* answer what visitors say."""

    def __init__(
        self,
        books: Books,
        respond: Respond,
        presence: Presence,
        *,
        max_unsure: int = MAX_UNSURE,
    ) -> None:
        self.max_unsure = max_unsure
        self.books = books
        self.respond = respond
        self.presence = presence

    async def __call__(
        self,
        conversation_id: str,
        text: str,
        *,
        client_id: str | None = None,
        opened_by: str | None = None,
    ) -> Exchanged:
        """Keep *text*, answer it, and return both once they are on disk.

        Raises NotFoundError and ConflictError as `Conversations.say` does, UnavailableError where
        nothing could be kept or answered.
        """

        def hear(connection: Connection) -> Heard:
            row = ledger.conversation(connection, conversation_id, opened_by=opened_by)
            return _hear(connection, row, text, client_id)

        thinking: asyncio.Task[tuple[Decided, float]] | None = None
        is_over = False

        def think(seen: tuple[Exchanged, list[Any]]) -> None:
            nonlocal thinking
            if thinking is None and not is_over and _is_for_assistant(seen[0]):
                thinking = asyncio.create_task(self._think(*seen))
                thinking.add_done_callback(_heard_of)

        try:
            heard, history = await self.books.change(hear, seen=think)
            if not _is_for_assistant(heard):
                return await self._without_assistant(heard)
            think((heard, history))  # where what was seen was not what was kept
            assert thinking is not None
            decision, latency_ms = await thinking
        finally:
            is_over = True
            if thinking is not None:
                thinking.cancel()
        row = audit.row_of(
            decision,
            text=text,
            conversation_id=conversation_id,
            user=heard.conversation.user,
            latency_ms=latency_ms,
        )
        is_anybody = self.presence.is_anybody

        def reply(connection: Connection) -> Outcome:
            return _reply(
                connection,
                heard,
                decision,
                row,
                is_anybody=is_anybody,
                max_unsure=self.max_unsure,
            )

        return await self.books.change(reply)

    async def _think(self, heard: Exchanged, history: list[Any]) -> tuple[Decided, float]:
        """What to say to the last of *history*, and the milliseconds that it took."""
        row, started_s = heard.conversation, time.perf_counter()
        decision = await self.respond(row.id, history, row.user)
        return decision, 1000 * (time.perf_counter() - started_s)

    async def _without_assistant(self, heard: Exchanged) -> Exchanged:
        """A ticket whose visitor writes on is one to look at now, where somebody is there."""
        row = heard.conversation
        if heard.answers or row.status != "ticket" or not self.presence.is_anybody:
            return heard

        def change(connection: Connection) -> Outcome:
            now = ledger.conversation(connection, row.id)
            if now.status != "ticket":
                return replace(heard, conversation=now), ()
            ledger.change(connection, now, status="waiting")
            return replace(heard, conversation=now), [ledger.told(now, kind="waiting")]

        return await self.books.change(change)


def _is_for_assistant(heard: Exchanged) -> bool:
    """Whether it has no answer yet, and no person is to give one."""
    return not heard.answers and heard.conversation.status == "assistant"


def _heard_of(task: asyncio.Task[Any]) -> None:
    """What went wrong in thinking of what could not be kept is of no interest."""
    if not task.cancelled():
        task.exception()


def _hear(connection: Connection, row: ConversationRow, text: str, client_id: str | None) -> Heard:
    """Keep a message, unless it is kept already; what it was, and what was said before."""
    known = ledger.said_before(connection, row.id, "visitor", client_id)
    if known is not None:
        check_same(known, text)
        later = ledger.turns(connection, row.id, after=known.number)
        answers = _answers_to(known, later)
        decision = _decision_of(connection, answers)
        before = ledger.lately(connection, row.id, limit=N_TURNS + len(later) + 1)
        history = [turn for turn in before if turn.number <= known.number]
        return (Exchanged(known, answers, row, decision), history), ()
    ledger.check_open(row)
    history = ledger.lately(connection, row.id, limit=N_TURNS)
    after = history[-1].number if history else -1
    message = ledger.turn_of(row.id, "visitor", text, ledger.Names(client_id))
    turn = ledger.say(connection, message, after=after)
    history.append(turn)
    ledger.change(connection, row, language=ledger.language(row, history))
    return (Exchanged(turn, (), row, None), history), [ledger.told(row, turn)]


def _reply(
    connection: Connection,
    heard: Exchanged,
    decision: Decided,
    decided: DecisionRow,
    *,
    is_anybody: bool,
    max_unsure: int,
) -> Outcome:
    """Say what was decided, unless that was done already or a person has taken over."""
    row = ledger.conversation(connection, heard.conversation.id)
    later = ledger.turns(connection, row.id, after=heard.turn.number)
    answers = _answers_to(heard.turn, later)
    if answers or row.status != "assistant":
        return Exchanged(heard.turn, answers, row, _decision_of(connection, answers)), ()
    last = later[-1].number if later else heard.turn.number
    n_unsure = row.n_unsure + 1 if is_unsure(decision) else 0
    is_wanted = decision.kind == "hand_over"
    is_handed = is_wanted or 0 < max_unsure <= n_unsure
    said: list[TurnRow] = []
    events: list[DeskEvent] = []
    # "I am putting you through" would be a lie where nobody is there.
    if decision.text and (is_anybody or not is_wanted):
        names = ledger.Names(answer_name(heard.turn, 0), decided.id)
        answer = ledger.turn_of(row.id, "assistant", decision.text, names)
        said.append(ledger.say(connection, answer, after=last))
    if n_unsure != row.n_unsure:
        ledger.change(connection, row, n_unsure=n_unsure)
    if is_handed and is_wanted and said:  # which has told the visitor already
        ledger.change(connection, row, status="waiting", reason=_reason(decision, n_unsure))
        events.append(ledger.told(row, kind="waiting"))
    elif is_handed:
        notice, handed = ledger.hand_over(
            connection,
            row,
            _reason(decision, n_unsure),
            is_anybody_there=is_anybody,
            language=decision.language or row.language,
            names=ledger.Names(answer_name(heard.turn, 1), decided.id),
        )
        said.append(notice)
        events += handed[1:]  # what was said is told below, in its place
    if not decision.text or (is_wanted and not is_anybody):
        decided.answer = "\n".join(turn.text for turn in said)  # what was said, not what was meant
    ledger.add(connection, decided)
    events = [*(ledger.told(row, turn) for turn in said), *events]
    return Exchanged(heard.turn, tuple(said), row, decided), events


def is_unsure(decision: Decided) -> bool:
    """Whether the assistant did not know what to answer."""
    return bool(decision.why.get("is_unsure", decision.kind == "refusal"))


def _reason(decision: Decided, n_unsure: int) -> str:
    """Why a person is asked for, for that person."""
    if decision.kind != "hand_over":
        return f"unsure {n_unsure} times in a row"
    given = str(decision.why.get("reason", ""))
    return given or (f"rule {decision.rule}" if decision.rule else "asked for")


def answer_name(turn: TurnRow, number: int) -> str:
    """The name of an answer to *turn*, so that it is said once: ``re:ID:0``."""
    return f"re:{turn.id}:{number}"


def _answers_to(turn: TurnRow, later: Sequence[TurnRow]) -> tuple[TurnRow, ...]:
    """What was said to *turn*, among what was said after it."""
    names = (answer_name(turn, 0), answer_name(turn, 1))
    return tuple(
        one for one in later if one.client_id in names and one.author in ("assistant", "system")
    )


def _decision_of(connection: Connection, answers: Sequence[TurnRow]) -> DecisionRow | None:
    """The decision behind *answers*."""
    decision_id = next((one.decision_id for one in answers if one.decision_id), None)
    return audit.find(connection, decision_id) if decision_id else None
