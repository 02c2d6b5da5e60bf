"""What rules and facts make of one sentence, for whoever writes them."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui

from tailorbird.console.drawing import text
from tailorbird.knowledge.graph import FactAnswer
from tailorbird.knowledge.rules import RuleSet, Ruling
from tailorbird.text import language_of


@dataclass(frozen=True, slots=True)
class Tried:
    """The rule that fits, and what facts alone would say."""

    ruling: Ruling
    answer: FactAnswer | None


def try_rules(rules: RuleSet, sentence: str) -> Tried:
    """What *rules* make of a *sentence* of which nothing else is known.

    >>> try_rules(RuleSet.read("", "kettle | warranty | 1 year"), "kettle warranty?").ruling.rule
    """
    language = language_of(sentence)
    values = {"text": sentence, "language": language}
    return Tried(rules.decide(values), rules.facts.ask(sentence, language))


def show_tried(tried: Tried, words: dict[str, str]) -> None:
    """A card that names the rule, its answer, and the facts behind it."""
    ruling, answer = tried.ruling, tried.answer
    with ui.element("article").classes("tb-card tb-ruled").props('data-testid="ruled"'):
        if ruling.rule is None:
            text(words["rules_no_rule"], "tb-soft", tag="p")
        else:
            action = _action(ruling.rule.action, words)
            text(words["rules_fits"].format(name=ruling.rule.name, action=action), tag="p")
            if ruling.text:
                text(ruling.text, "tb-bubble", tag="blockquote")
            _show_facts([str(fact) for fact in ruling.triples])
        for note in ruling.notes:
            text(note, "tb-note", tag="p")
        if ruling.rule is None and answer is not None:
            text(words["rules_from_facts"], tag="p")
            text(answer.text, "tb-bubble", tag="blockquote")
            _show_facts(answer.sources)


def _show_facts(facts: list[str] | tuple[str, ...]) -> None:
    for fact in facts:
        text(fact, "tb-id tb-soft")


def _action(action: str, words: dict[str, str]) -> str:
    if action.startswith("intent:"):
        return words["rules_does_intent"].format(name=action.removeprefix("intent:"))
    return words[f"rules_does_{action}"]
