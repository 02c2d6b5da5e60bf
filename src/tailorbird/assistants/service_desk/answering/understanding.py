"""What a visitor means, with all that earlier turns say about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tailorbird.assistants.service_desk.answering.anger import Anger, anger_in
from tailorbird.assistants.service_desk.answering.context import (
    asked_before,
    follow_up,
    n_unsure,
    referred_to,
    visitor_texts,
    was_asked,
)
from tailorbird.assistants.service_desk.answering.decision import Turn
from tailorbird.assistants.service_desk.answering.slots import (
    FindsSlots,
    Slots,
    find_slots,
    read_slots,
)
from tailorbird.errors import RequestError
from tailorbird.records import Prediction
from tailorbird.serving import Answer
from tailorbird.text import language_of

log = logging.getLogger(__name__)

MAX_TURNS = 40
"""Latest turns of a conversation that are looked at."""


class Predicts(Protocol):
    """What understands texts; `tailorbird.serving.Service` does."""

    async def predict(self, texts: Sequence[str], /, *, user: str | None = None) -> Answer:
        """One prediction a text, by the user's adapter where there is one."""
        ...


@dataclass(frozen=True)
class Asked:
    """A visitor's message, understood."""

    turns: Sequence[Turn]
    n_turns: int
    """What the visitor has said so far, counted."""
    conversation: str
    """A text that stays the same over a conversation, and differs between conversations."""
    user: str | None
    text: str
    earlier: str
    """The message that it may refer to; empty where it does not."""
    meaning: str
    """What was predicted and will be searched for: the text, alone or with an earlier one."""
    language: str
    prediction: Prediction
    bundle: str
    adapter: str
    slots: dict[str, str]
    slot_asked: str
    """What the assistant had asked for, and did not get; else empty."""
    anger: Anger
    n_unsure: int
    """How often in a row there was no answer before."""
    min_confidence: float
    marks: tuple[dict[str, Any], ...] = ()
    """What a model of slots marked in the text, without the values."""
    rule: str = ""
    """The name of a rule that gave the intent."""

    @property
    def uses_context(self) -> bool:
        """Whether it was understood by an earlier message."""
        return self.meaning != self.text

    @property
    def reading(self) -> Literal["alone", "together", "origin"]:
        """What was understood: the message, with an earlier one, or the one it gives a value for.

        It says how to find that text again without keeping the text.
        """
        if not self.uses_context:
            return "alone"
        return "together" if self.meaning.endswith(f" {self.text}") else "origin"

    @property
    def is_sure(self) -> bool:
        """Whether the intent may be answered by its template."""
        found = self.prediction
        return bool(self.rule) or (found.in_scope and found.confidence >= self.min_confidence)

    @property
    def said(self) -> list[str]:
        """What the assistant said before."""
        return [turn.text for turn in self.turns if turn.author == "assistant"]

    @property
    def candidates(self) -> list[tuple[str, float]]:
        """Intents with their probabilities, best first."""
        found = self.prediction
        return [(found.intent, found.confidence), *found.alternatives]


async def understand(
    service: Predicts,
    turns: Sequence[Turn],
    *,
    user: str | None,
    conversation: str = "",
    min_confidence: float = 0.0,
    finder: FindsSlots | None = None,
) -> Asked:
    """The last of *turns*, the visitor's, read with those before it.

    A message that refers to an earlier one ("and how long does that take?") is read together with
    it first. A short one is read alone first, and together only where it may answer a question of
    the assistant: else whatever somebody adds to a clear message would be as clear as that. The
    first reading that is in scope counts. A value that the
    assistant had asked for is read as the message that needed it.

    Raises RequestError where the last turn is not the visitor's, and what *service* raises.
    """
    if not turns or turns[-1].author != "visitor":
        raise RequestError(
            "must end with the visitor's turn", where="turns", cure="add what the visitor said"
        )
    n_turns = len(visitor_texts(turns))
    # The first turn stays: it is what conversations without a name are told apart by.
    turns = [*turns[:1], *turns[1:][-MAX_TURNS:]]
    text, texts = turns[-1].text, visitor_texts(turns)
    slot, origin = asked_before(turns)
    slots = await _slots(texts, slot, finder)
    is_given = bool(slot) and (slot in find_slots(text, asked=slot) or slot in slots.given)
    earlier = referred_to(turns)
    readings = _readings(text, earlier, origin if is_given else "", may_answer=was_asked(turns))
    answer = await service.predict(readings, user=user)
    best = _first_sure(answer.predictions, min_confidence)
    return Asked(
        turns=turns,
        n_turns=n_turns,
        conversation=conversation or f"{user or ''}\n{texts[0]}",
        user=user,
        text=text,
        earlier=earlier if follow_up(text) else "",
        meaning=readings[best],
        language=_language(texts),
        prediction=answer.predictions[best],
        bundle=answer.bundle,
        adapter=answer.adapters[best] if answer.adapters else "",
        slots=slots.values,
        marks=slots.marks,
        slot_asked="" if is_given else slot,
        anger=anger_in(text, texts[:-1]),
        n_unsure=n_unsure(turns),
        min_confidence=min_confidence,
    )


async def _slots(texts: Sequence[str], asked: str, finder: FindsSlots | None) -> Slots:
    """Rules at once; a model in a worker thread, and where it fails by rules alone."""
    if finder is not None:
        try:
            return await asyncio.to_thread(read_slots, texts, asked=asked, finder=finder)
        except Exception:
            log.exception("the model of slots failed: found by rules alone")
    return read_slots(texts, asked=asked)


def _readings(text: str, earlier: str, origin: str, *, may_answer: bool) -> list[str]:
    """What *text* may mean, the likeliest first."""
    kind = follow_up(text)
    if origin:
        return [origin] if kind else [text, origin]
    together = f"{earlier} {text}"
    if earlier and kind == "refers":
        return [together, text]
    return [text, together] if earlier and kind == "short" and may_answer else [text]


def _first_sure(predictions: Sequence[Prediction], min_confidence: float) -> int:
    for number, found in enumerate(predictions):
        if found.in_scope and found.confidence >= min_confidence:
            return number
    return 0


def _language(texts: Sequence[str]) -> str:
    """Of the latest text that has letters: a number alone has no language."""
    spoken = (text for text in reversed(texts) if any(letter.isalpha() for letter in text))
    return language_of(next(spoken, ""))
