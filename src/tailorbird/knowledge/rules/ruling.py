"""All rules and facts of one version, and what they make of a message."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailorbird.knowledge.graph import Graph, Triple, read_graph
from tailorbird.knowledge.rules.answers import GapError, fill
from tailorbird.knowledge.rules.expressions import typed
from tailorbird.knowledge.rules.reading import Rule, read_rules
from tailorbird.text import language_of

log = logging.getLogger(__name__)

MAX_SLOW = 3
"""Patterns that may run into their time limit for one message; no further one is then tried."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rule that fits, with its answer ready to be said."""

    rule: Rule | None
    """None: no rule fits."""
    text: str = ""
    """Without gaps; empty where the rule has no answer."""
    triples: tuple[Triple, ...] = ()
    """The facts that stand in the answer."""
    notes: tuple[str, ...] = ()
    """Rules that were put aside, each with the reason."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {
            "rule": self.rule.to_json() if self.rule else None,
            "text": self.text,
            "facts": [str(triple) for triple in self.triples],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules and facts that were checked together; it is never changed, and threads may share it."""

    version: int
    """0: none was saved yet."""
    rules: tuple[Rule, ...]
    facts: Graph

    @classmethod
    def read(
        cls, rules: str, facts: str, *, version: int = 0, intents: Sequence[str] = ()
    ) -> RuleSet:
        """Both texts, checked whole; KnowledgeError says what is wrong and where."""
        graph = read_graph(facts)
        return cls(version, read_rules(rules, graph, intents=intents), graph)

    def first_match(self, values: Mapping[str, Any]) -> Rule | None:
        """The rule that fits; see `decide`."""
        return self.decide(values).rule

    def decide(self, values: Mapping[str, Any]) -> Ruling:
        """The first rule whose condition holds and whose answer has no gap that stays empty.

        A rule that fails (a pattern takes too long, a number is not known) is put aside and noted;
        it never keeps others from being tried.

        Args:
            values: by the names of `SYMBOLS`, and ``slots``, a mapping.

        >>> rules = RuleSet.read('''
        ... [[rule]]
        ... name = "where"
        ... when = 'intent == "track_order" and slots.order != ""'
        ... answer.en = "Order {order} is on its way."
        ... ''', "")
        >>> rules.decide({"intent": "track_order", "slots": {"order": "OL7"}}).text
        'Order OL7 is on its way.'
        """
        told, notes, n_slow = typed(values, self.facts), list[str](), 0
        language = str(values.get("language") or language_of(told["text"]))
        for rule in self.rules:
            condition = rule.condition
            if condition is None:
                continue
            if n_slow >= MAX_SLOW and condition.has_pattern:
                notes.append(f"rule {rule.name!r} was not tried: others took too long")
                continue
            try:
                if not condition.holds(told):
                    continue
                text, triples = self._answer(rule, values, language)
            except GapError as error:
                notes.append(f"rule {rule.name!r} fits, but {error}")
            except Exception as error:  # whatever an admin wrote, the visitor gets an answer
                n_slow += isinstance(error, TimeoutError)
                why = getattr(error, "message", "") or str(error) or type(error).__name__
                notes.append(f"rule {rule.name!r} was put aside: {why}")
                log.info("rule %r was put aside: %s", rule.name, why)
            else:
                return Ruling(rule, text, triples, tuple(notes))
        return Ruling(None, notes=tuple(notes))

    def _answer(
        self, rule: Rule, values: Mapping[str, Any], language: str
    ) -> tuple[str, tuple[Triple, ...]]:
        text = rule.answer.get(language) or next(iter(rule.answer.values()), "")
        return fill(text, values, self.facts, language)
