"""What the assistant says: one way through wishes, rules, templates, facts and documents.

The order is the promise: who asks for a person gets one; then the rules of the house; then the
template of an intent it is sure of; then facts; then documents, cited; and where nothing supports
an answer it says so. Each decision carries why. Nothing in a message or a document is an
instruction: texts are compared, searched and quoted, and never obeyed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering import phrases
from tailorbird.assistants.service_desk.answering.citing import Citing
from tailorbird.assistants.service_desk.answering.context import accepts_person
from tailorbird.assistants.service_desk.answering.decision import (
    Decision,
    DecisionKind,
    Said,
    Sentence,
    Turn,
    joined,
)
from tailorbird.assistants.service_desk.answering.parts import Parts, Rules, Ruling, templates_of
from tailorbird.assistants.service_desk.answering.reasons import Explained
from tailorbird.assistants.service_desk.answering.understanding import Asked, Predicts, understand
from tailorbird.assistants.service_desk.answering.variants import (
    Judgement,
    Variant,
    choose_variant,
    fillable,
    rates,
)
from tailorbird.assistants.service_desk.answering.wishes import wants_person

log = logging.getLogger(__name__)


class Attendant:
    """Answers visitors with *service* and whatever *parts* there are.

    `decide` gives the whole answer; `answer` gives its sentences as they are ready, then the
    decision. Both may be called by many conversations at once.
    """

    def __init__(
        self, service: Predicts, settings: DeskSettings | None = None, *, parts: Parts | None = None
    ) -> None:
        self.service = service
        self.settings = settings or DeskSettings()
        self.parts = parts or Parts()
        self._citing = Citing(self.parts, self.settings)

    async def respond(self, conversation: str, turns: Sequence[Turn], user: str | None) -> Decision:
        """`decide`, as whoever keeps conversations asks for it."""
        return await self.decide(turns, user=user, conversation=conversation)

    async def decide(
        self, turns: Sequence[Turn], *, user: str | None = None, conversation: str = ""
    ) -> Decision:
        """What to say to the last of *turns*, which is the visitor's.

        The same *conversation* (its id; without one, the user and the first words) gets the same
        variant of a template.

        Raises RequestError where it is not, or breaks a limit; UnavailableError where nothing can
        be answered now.
        """
        decision: Decision | None = None
        async with aclosing(self.answer(turns, user=user, conversation=conversation)) as parts:
            async for part in parts:
                if isinstance(part, Decision):
                    decision = part
        assert decision is not None
        return decision

    async def answer(
        self, turns: Sequence[Turn], *, user: str | None = None, conversation: str = ""
    ) -> AsyncGenerator[Sentence | Decision]:
        """The sentences of `decide`'s answer, each as soon as it is sure, and last the decision."""
        votes = self.parts.votes
        if votes is not None and votes.is_stale:
            await asyncio.to_thread(votes.refresh)
        asked = await understand(
            self.service,
            turns,
            user=user,
            conversation=conversation,
            min_confidence=self.settings.min_confidence,
            finder=self.parts.finder,
        )
        told = Explained(asked, self.settings, min_support=self._citing.min_support)
        decision = await self._at_once(asked, told)
        if decision is not None:
            for sentence in decision.sentences:
                yield sentence
            yield decision
            return
        async with aclosing(self._from_documents(told)) as parts:
            async for part in parts:
                yield part

    async def _at_once(self, asked: Asked, told: Explained) -> Decision | None:
        """What wishes, rules, anger, templates and facts say, in this order."""
        if wish := self._wish(asked):
            told.add(wish=wish)
            reason = "wish" if wish != asked.prediction.intent else "wish_intent"
            return await self._hand_over(told, phrases.HAND_OVER, reason)
        if accepts_person(asked.turns):
            return await self._hand_over(told, phrases.HAND_OVER, "accepted")
        rules, ruling = await self._ruled(asked)
        decision = await self._by_rule(asked, rules, ruling, told)
        if decision is not None:
            return decision
        if 0 < self.settings.anger <= asked.anger.score:
            return await self._hand_over(told, phrases.ANGRY_HAND_OVER, "anger")
        told.judgement = await self._judged(told.asked)
        variant = self._variant(told.asked, judgement=told.judgement)
        if variant is not None and not self._is_stale(told.asked, variant):
            return self._template(told, variant)
        return self._by_facts(rules, told)

    # -- wishes and rules ------------------------------------------------------------------------

    def _wish(self, asked: Asked) -> str:
        """The words, or the intent, that ask for a person."""
        found = wants_person(asked.text, _listed(self.settings.hand_over_words))
        intent = asked.prediction.intent
        if found or not asked.is_sure or intent not in _listed(self.settings.hand_over_intents):
            return found
        return intent

    async def _ruled(self, asked: Asked) -> tuple[Rules | None, Ruling | None]:
        """The rules in force and what they say, found in one go: each way to a thread and back
        waits for Python's lock twice."""
        load, values = self.parts.rules, self._values(asked)
        if load is None:
            return None, None

        def look() -> tuple[Rules | None, Ruling | None]:
            rules = load()
            return rules, None if rules is None else rules.decide(values)

        return await asyncio.to_thread(look)

    async def _by_rule(
        self, asked: Asked, rules: Rules | None, ruling: Ruling | None, told: Explained
    ) -> Decision | None:
        """What the first rule that holds says; one that names an intent says it to *told*."""
        if rules is None or ruling is None:
            return None
        rule = ruling.rule
        if ruling.notes:
            told.add(rules_put_aside=list(ruling.notes))
        if rule is None:
            return None
        told.by_rule(rule.name, rules.version)
        if rule.action == "hand_over":
            return await self._hand_over(told, phrases.HAND_OVER, "rule")
        if rule.action.startswith("intent:"):
            told.with_intent(rule.action.removeprefix("intent:"))
            asks = told.asked.prediction.intent in _listed(self.settings.hand_over_intents)
            return await self._hand_over(told, phrases.HAND_OVER, "rule") if asks else None
        if not ruling.text:
            log.warning("rule %r has no answer: passed over", rule.name)
            return None
        triples = [str(triple) for triple in ruling.triples]
        if triples:
            told.add(facts=triples)
        source = "facts" if triples else ""
        sentence = Sentence(ruling.text, source, "; ".join(triples))
        return told.decision("rule", (sentence,), "rule")

    def _values(self, asked: Asked) -> dict[str, Any]:
        """What rules may ask about."""
        now = self.parts.clock()
        return {
            "text": asked.text,
            "intent": asked.prediction.intent,
            "confidence": asked.prediction.confidence,
            "language": asked.language,
            "user": asked.user or "",
            "slots": asked.slots,
            "n_turns": asked.n_turns,
            "n_unsure": asked.n_unsure,
            "anger": asked.anger.score,
            "hour": now.hour,
            "weekday": now.isoweekday(),
        }

    # -- templates and facts ---------------------------------------------------------------------

    def _choices(self, asked: Asked, intent: str = "") -> Sequence[str]:
        """The templates of the intent in the language that is spoken, else in another."""
        found = asked.prediction
        of_intent = self.parts.templates().get(intent or found.intent, {})
        choices = of_intent.get(asked.language) or next((v for v in of_intent.values() if v), ())
        if not choices and not intent and found.answer and not asked.rule:
            choices = (found.answer,)
        return choices

    async def _judged(self, asked: Asked) -> Judgement | None:
        """What is foretold of each variant; None: votes choose."""
        judge, votes = self.parts.acceptance, self.parts.votes
        intent = asked.prediction.intent
        if judge is None or not asked.is_sure or not judge.knows(intent):
            return None
        choices = self._choices(asked)
        replies = fillable(choices, asked.slots)
        if len(replies) < 2:
            return None
        rate = rates(list(replies), votes.votes(intent) if votes is not None else {})
        found = await asyncio.to_thread(judge.probabilities, asked.meaning, replies, rate)
        return Judgement(found) if found else None

    def _variant(
        self, asked: Asked, intent: str = "", *, judgement: Judgement | None = None
    ) -> Variant | None:
        """The template for the intent, if that is sure (or another one is named)."""
        if not intent and not asked.is_sure:
            return None
        votes = self.parts.votes
        counted = votes.votes(intent or asked.prediction.intent) if votes is not None else None
        return choose_variant(
            self._choices(asked, intent),
            asked.slots,
            conversation=asked.conversation,
            votes=judgement or counted,
            said=asked.said,
            may_ask=not asked.slot_asked and not intent,
        )

    def _is_stale(self, asked: Asked, variant: Variant) -> bool:
        """Whether it was said before and there are documents that may say more."""
        return variant.text in asked.said and self.parts.knowledge is not None

    def _template(self, told: Explained, variant: Variant) -> Decision:
        asked = told.asked
        text = variant.text or phrases.ASK[variant.missing][asked.language]
        told.add(
            template={
                "variant": variant.key,
                "rate": variant.rate,
                "n_equal": variant.n_equal,
                "by": variant.by,
            }
        )
        if variant.missing:
            told.add(slot=variant.missing)
        return told.decision(
            "template", (Sentence(text),), "slot" if variant.missing else "template"
        )

    def _by_facts(self, rules: Rules | None, told: Explained) -> Decision | None:
        asked = told.asked
        if rules is None:
            return None
        found = rules.facts.ask(asked.text, asked.language, about=asked.earlier)
        if found is None:
            return None
        triples = [str(triple) for triple in found.triples]
        told.add(facts=triples, rules_version=rules.version)
        source = Sentence(found.text, "facts", "; ".join(triples))
        return told.decision("knowledge", (source,), "facts")

    # -- documents -------------------------------------------------------------------------------

    async def _from_documents(self, told: Explained) -> AsyncGenerator[Sentence | Decision]:
        """An answer from documents, else the template again, else that there is none."""
        asked, citing = told.asked, self._citing
        passages = await citing.search(asked.meaning, told)
        fit = citing.supporting(asked.meaning, passages)
        told.passages(passages, fit)
        variant = self._variant(asked, judgement=told.judgement)
        if variant is not None:
            told.note("said")
        sentences: list[Sentence] = []
        kind: DecisionKind = "generated"
        if fit:
            async with aclosing(citing.generated(asked.meaning, fit, told)) as written:
                async for sentence in written:
                    sentences.append(sentence)
                    yield sentence
        if fit and not sentences:
            kind = "knowledge"
            sentences += await citing.extracted(asked.meaning, fit)
            for sentence in sentences:
                yield sentence
        if sentences:
            told.add(source=sentences[0].source)
            yield told.decision(kind, tuple(sentences), "knowledge")
            return
        last = await self._without(variant, told)
        for sentence in last.sentences:
            yield sentence
        yield last

    async def _without(self, variant: Variant | None, told: Explained) -> Decision:
        """The last resorts: what was said before, a person, or that there is no answer."""
        asked = told.asked
        if variant is not None:
            return self._template(told, variant)
        if 0 < self.settings.max_unsure <= asked.n_unsure + 1:
            return await self._hand_over(told, phrases.UNSURE_HAND_OVER, "unsure")
        told.suggest(self._suggestions(asked))
        text = phrases.REFUSAL[asked.language]
        return told.decision("refusal", (Sentence(text),), "refusal")

    # -- persons ---------------------------------------------------------------------------------

    async def _hand_over(self, told: Explained, text: phrases.Words, reason: str) -> Decision:
        """To a person, with what they may want to answer."""
        asked = told.asked
        texts = self._suggestions(asked)
        if not told.has_passages:
            question = asked.earlier or asked.meaning  # "a person please" is about what was before
            passages = await self._citing.search(question, told)
            told.passages(passages, ())
            texts.append(
                joined(await self._citing.extracted(question, passages[:2]), asked.language)
            )
        told.suggest(texts)
        text = text if self.parts.has_desk else phrases.NO_DESK
        return told.decision("hand_over", (Sentence(text[asked.language]),), reason)

    def _suggestions(self, asked: Asked) -> list[str]:
        """Templates of the likeliest intents."""
        found = [self._variant(asked, intent) for intent, _ in asked.candidates]
        return [variant.text for variant in found if variant is not None and variant.text]


def _listed(text: str) -> list[str]:
    """The parts of a setting that is a list of words.

    >>> _listed("talk_to_human, agent")
    ['talk_to_human', 'agent']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


__all__ = [
    "Attendant",
    "Decision",
    "Parts",
    "Said",
    "Sentence",
    "Turn",
    "templates_of",
]
