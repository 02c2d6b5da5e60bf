"""The words behind a decision: what was read then, explained by what is served now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection

from tailorbird.assistants.service_desk.answering.context import asked_before, referred_to
from tailorbird.assistants.service_desk.conversing import audit, ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.explaining import scored
from tailorbird.data import mask_pii
from tailorbird.errors import ConfigError, UnavailableError
from tailorbird.store.tables import DecisionRow, TurnRow

if TYPE_CHECKING:
    from tailorbird.serving.explainer import Reasons


class Explains(Protocol):
    """What gives reasons; `tailorbird.serving.explainer.Explainer` does."""

    async def explain(self, text: str, /, *, intent: str = "") -> Reasons:
        """Why *text* is of *intent*, else of the likeliest."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """What was understood for a decision, personal data masked."""

    text: str
    is_with_earlier: bool
    """Whether an earlier message was read together with the visitor's last one."""
    is_whole: bool
    """False where that earlier message is not kept here."""


@dataclass(frozen=True, slots=True)
class Attributed:
    """A decision, and the words that made it that intent."""

    decision: DecisionRow
    read: Read
    reasons: Reasons

    @property
    def is_same_bundle(self) -> bool:
        """Whether the bundle that decided is the one that was asked for reasons."""
        return self.decision.bundle_id == self.reasons.bundle


class Attributions:
    """Explains decisions that were written down."""

    def __init__(self, books: Books, explainer: Explains | None) -> None:
        self._books = books
        self._explainer = explainer

    async def of(self, decision_id: str, *, intent: str = "") -> Attributed:
        """Why it was *intent*; empty: the one that was decided for.

        Raises NotFoundError where there is no such decision, UnavailableError where nothing can
        explain it now, and ConfigError for an intent that nobody knows.
        """
        row = await self._books.read(lambda connection: audit.find(connection, decision_id))
        if self._explainer is None:
            raise UnavailableError("this service gives no reasons", where="attribution")
        read = await self._books.read(lambda connection: read_for(connection, row))
        try:
            reasons = await self._explainer.explain(read.text, intent=intent or intent_of(row))
        except ConfigError:
            if intent:
                raise
            reasons = await self._explainer.explain(read.text)  # another bundle, other intents
        return Attributed(row, read, reasons)


def intent_of(row: DecisionRow) -> str:
    """What the model took it for; a rule may have named another intent.

    >>> intent_of(DecisionRow(text="", kind="rule", intent="vip", confidence=0.5,
    ...     why={"candidates": [["refund", 0.5]], "rule": "vip"}))
    'refund'
    """
    candidates = scored((row.why or {}).get("candidates"))
    return next((name for name, _ in candidates), row.intent)


def read_for(connection: Connection, row: DecisionRow) -> Read:
    """What was understood: the message, or an earlier one with it or in its place."""
    reading = str((row.why or {}).get("reading") or "alone")
    if reading == "alone":
        return Read(row.text, is_with_earlier=False, is_whole=True)
    turns = _turns_of(connection, row) if row.conversation_id else []
    if reading == "origin":  # the message that needed the value given now
        text = asked_before(turns)[1] if turns else ""
    else:
        earlier = referred_to(turns) if turns else ""
        text = f"{earlier} {turns[-1].text}" if earlier else ""
    return Read(mask_pii(text) or row.text, is_with_earlier=True, is_whole=bool(text))


def _turns_of(connection: Connection, row: DecisionRow) -> list[TurnRow]:
    """The turns up to the visitor's that was decided on; none where it is not there."""
    said = ledger.turns(connection, str(row.conversation_id))
    answer = next((turn for turn in said if turn.decision_id == row.id), None)
    parts = (answer.client_id or "").split(":") if answer is not None else []
    if len(parts) != 3:
        return []
    return next((said[: k + 1] for k, turn in enumerate(said) if turn.id == parts[1]), [])


def facts_of(found: Attributed) -> Mapping[str, Any]:
    """JSON-ready: what ``GET /v1/decisions/ID/attribution`` and ``tailorbird why --json`` say."""
    reasons, words = found.reasons, found.reasons.words
    return {
        "decision": found.decision.id,
        "text": found.read.text,
        "is_with_earlier": found.read.is_with_earlier,
        "is_whole": found.read.is_whole,
        "bundle": reasons.bundle,
        "is_same_bundle": found.is_same_bundle,
        "is_by_adapter": bool(found.decision.adapter),
        "intent": words.label if words else "",
        "probability": words.probability if words else None,
        "words": [
            {"text": one.text, "start": one.start, "end": one.end, "weight": one.weight}
            for one in (words.words if words else ())
        ],
        "rest": words.rest if words else 0.0,
        "gap": words.gap if words else 0.0,
        "nearest": [
            {"text": one.text, "intent": one.label, "similarity": one.similarity}
            for one in reasons.nearest
        ],
        "problem": reasons.sentence,
    }
