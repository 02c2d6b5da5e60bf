"""Why the assistant said what it said: one row a decision, personal data masked, never changed.

Only what people say of a decision afterwards is added to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, select, update

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.data import mask_pii
from tailorbird.errors import NotFoundError
from tailorbird.store.tables import DecisionRow


class Cited(Protocol):
    """A sentence of an answer, and what it stands on."""

    @property
    def text(self) -> str:
        """What is said."""

    @property
    def source(self) -> str:
        """Document › heading; empty: a template."""

    @property
    def passage(self) -> str:
        """The id of the passage."""


class Decided(Protocol):
    """What the assistant decided to say, as `deciding.Decision` has it."""

    @property
    def kind(self) -> str:
        """One of the kinds of `DecisionRow.kind`."""

    @property
    def text(self) -> str:
        """What to say to the visitor."""

    @property
    def sentences(self) -> Sequence[Cited]:
        """The answer, sentence by sentence."""

    @property
    def language(self) -> str:
        """``zh`` or ``en``."""

    @property
    def intent(self) -> str:
        """What was understood."""

    @property
    def confidence(self) -> float:
        """Of the intent, in [0, 1]."""

    @property
    def rule(self) -> str:
        """The name of the rule that decided; empty: none."""

    @property
    def bundle(self) -> str:
        """The id of the bundle."""

    @property
    def adapter(self) -> str:
        """The hash of the user's adapter; empty: none."""

    @property
    def why(self) -> Mapping[str, Any]:
        """Candidates, scores, and whatever else led here."""

    @property
    def suggestions(self) -> Sequence[str]:
        """Replies for a person to choose from."""


class Audit:
    """Writes decisions down, and finds them again."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def write(
        self,
        decision: Decided,
        *,
        text: str,
        conversation_id: str | None = None,
        user: str | None = None,
        latency_ms: float = 0.0,
    ) -> str:
        """Keep what was decided about *text*; the id under which it is found."""
        row = row_of(
            decision,
            text=text,
            conversation_id=conversation_id,
            user=user,
            latency_ms=latency_ms,
        )

        def change(connection: Connection) -> tuple[str, Sequence[DeskEvent]]:
            ledger.add(connection, row)
            return row.id, ()

        return await self.books.change(change)

    async def find(self, decision_id: str) -> DecisionRow:
        """The decision; NotFoundError where there is none of that id."""
        return await self.books.read(lambda connection: find(connection, decision_id))

    async def feedback(
        self,
        decision_id: str,
        *,
        value: float | None = None,
        correction: str | None = None,
        intent: str | None = None,
    ) -> DecisionRow:
        """Add what somebody thinks of a decision; what is None stays as it was.

        *value* is from -1 (bad) to 1 (good), *correction* what should have been answered,
        *intent* the one that was meant.
        """
        given: dict[str, Any] = {
            "feedback": value,
            "correction": None if correction is None else mask_pii(correction),
            "meant": intent,
        }
        values = {key: one for key, one in given.items() if one is not None}

        def change(connection: Connection) -> tuple[DecisionRow, Sequence[DeskEvent]]:
            row = find(connection, decision_id)
            if values:
                where = ledger.DECISIONS.c.id == decision_id
                connection.execute(update(ledger.DECISIONS).where(where).values(**values))
            for key, one in values.items():
                setattr(row, key, one)
            return row, ()

        return await self.books.change(change)


def find(connection: Connection, decision_id: str) -> DecisionRow:
    """The decision; NotFoundError where there is none of that id."""
    wanted = select(ledger.DECISIONS).where(ledger.DECISIONS.c.id == decision_id)
    found = ledger.rows(connection, DecisionRow, wanted)
    if not found:
        raise NotFoundError(
            f"there is no decision {decision_id[:40]!r}",
            where="decision",
            cure="every answer of the assistant carries the id of its decision",
        )
    return found[0]


def find_or_latest(connection: Connection, some_id: str) -> DecisionRow:
    """The decision of that id, or the last one of the conversation of that id."""
    return next(iter(latest(connection, some_id, 1)), None) or find(connection, some_id)


def latest(connection: Connection, conversation_id: str, limit: int = 3) -> list[DecisionRow]:
    """The last decisions of a conversation, the newest first."""
    wanted = (
        select(ledger.DECISIONS)
        .where(ledger.DECISIONS.c.conversation_id == conversation_id)
        .order_by(ledger.DECISIONS.c.time.desc())
        .limit(limit)
    )
    return ledger.rows(connection, DecisionRow, wanted)


def row_of(
    decision: Decided,
    *,
    text: str,
    conversation_id: str | None = None,
    user: str | None = None,
    latency_ms: float = 0.0,
) -> DecisionRow:
    """The row that keeps *decision*, everything in it masked."""
    why = {
        **decision.why,
        "language": decision.language,
        "rule": decision.rule,
        "sentences": [
            {"text": one.text, "source": one.source, "passage": one.passage}
            for one in decision.sentences
        ],
        "suggestions": list(decision.suggestions),
    }
    return DecisionRow(
        conversation_id=conversation_id,
        user=user,
        text=mask_pii(text),
        answer=mask_pii(decision.text),
        kind=decision.kind,
        intent=decision.intent,
        confidence=float(decision.confidence),
        bundle_id=decision.bundle,
        adapter=decision.adapter,
        latency_ms=latency_ms,
        why={str(key): masked(value) for key, value in why.items()},
    )


def masked(value: Any) -> Any:
    """The same as JSON can hold it, with no personal data in any text of it.

    >>> masked({"seen": ("mail li.lei@example.com", 0.5, float("nan"))})
    {'seen': ['mail [EMAIL]', 0.5, None]}
    """
    if isinstance(value, str):
        return mask_pii(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {mask_pii(str(key)): masked(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(one) for one in value]
    item = getattr(value, "item", None)  # a number of NumPy's
    return masked(item()) if callable(item) else mask_pii(str(value))
