"""Why the assistant said it: collected on the way, written down with the decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.decision import (
    Decision,
    DecisionKind,
    Sentence,
    joined,
)
from tailorbird.assistants.service_desk.answering.grounding import source_of
from tailorbird.assistants.service_desk.answering.phrases import NOTES, REASONS, both
from tailorbird.assistants.service_desk.answering.understanding import Asked
from tailorbird.assistants.service_desk.answering.variants import Judgement
from tailorbird.records import Passage

N_SUGGESTIONS = 3
DIGITS = 4


class Explained:
    """What is known of one decision so far; `decision` closes it.

    Nothing in it is the visitor's own: the question is kept, masked, beside it.
    """

    def __init__(self, asked: Asked, settings: DeskSettings, *, min_support: float) -> None:
        self.asked = asked
        self.has_passages = False
        self.judgement: Judgement | None = None
        """What is foretold of each variant of the template."""
        self._suggestions: tuple[str, ...] = ()
        self._notes: list[dict[str, str]] = []
        self._rule = ""
        self._why: dict[str, Any] = {
            "candidates": [
                {"intent": intent, "confidence": round(confidence, DIGITS)}
                for intent, confidence in asked.candidates
            ],
            "in_scope": asked.prediction.in_scope,
            "thresholds": {
                "confidence": settings.min_confidence,
                "support": min_support,
                "overlap": settings.min_overlap,
                "anger": settings.anger,
                "unsure": settings.max_unsure,
            },
            "anger": {"score": asked.anger.score, "signs": list(asked.anger.signs)},
            "n_unsure": asked.n_unsure,
            "slots": sorted(asked.slots),
            "reading": asked.reading,
        }
        self._values: dict[str, Any] = {"limit": settings.anger}
        if asked.marks:
            self.add(slot_marks=list(asked.marks))
        if asked.uses_context:
            self.note("context")

    def add(self, **facts: Any) -> None:
        """JSON-ready facts, by name."""
        self._why |= facts

    def note(self, name: str, **values: object) -> None:
        """One more sentence of `NOTES`."""
        self._notes.append(both(NOTES[name], **values))

    def by_rule(self, name: str, version: int) -> None:
        """A rule has a say."""
        self._rule = name
        self.add(rule=name, rules_version=version)

    def with_intent(self, intent: str) -> None:
        """A rule says what is meant; the model's candidates stay in the explanation."""
        found = replace(self.asked.prediction, intent=intent, answer=None)
        self.asked = replace(self.asked, prediction=found, rule=self._rule)

    def passages(self, found: Sequence[Passage], fit: Sequence[Passage]) -> None:
        """What was searched, and which of it supports an answer."""
        self.has_passages = True
        ids = {passage.id for passage in fit}
        self.add(
            passages=[
                {
                    "id": passage.id,
                    "source": source_of(passage),
                    "score": round(passage.score, DIGITS),
                    "support": round(passage.support, DIGITS),
                    "supports": passage.id in ids,
                }
                for passage in found
            ]
        )

    def suggest(self, texts: Iterable[str]) -> None:
        """Replies for whoever takes over."""
        given = dict.fromkeys(text for text in texts if text)
        self._suggestions = tuple(given)[:N_SUGGESTIONS]

    def decision(
        self, kind: DecisionKind, sentences: tuple[Sentence, ...], reason: str
    ) -> Decision:
        """The decision, for the *reason* of `REASONS`."""
        asked, found = self.asked, self.asked.prediction
        values = {
            "intent": found.intent,
            "confidence": found.confidence,
            "rule": self._rule,
            "anger": asked.anger.score,
            "n_unsure": asked.n_unsure + 1,
            "slot": self._why.get("slot", ""),
            "source": sentences[0].source,
            **self._values,
        }
        parts = [both(REASONS[reason], **values), *self._notes]
        sentence = {
            "en": " ".join(part["en"] for part in parts),
            "zh": "".join(part["zh"] for part in parts),
        }
        return Decision(
            kind=kind,
            text=joined(sentences, asked.language),
            sentences=sentences,
            language=asked.language,
            intent=found.intent,
            confidence=found.confidence,
            rule=self._rule,
            bundle=asked.bundle,
            adapter=asked.adapter,
            why={
                **self._why,
                "cause": reason,
                "reason": sentence[asked.language],
                "sentence": sentence,
            },
            suggestions=self._suggestions,
        )
