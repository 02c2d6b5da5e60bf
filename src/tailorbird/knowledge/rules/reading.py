"""Rules as an admin writes them: ``[[rule]]`` tables of TOML, checked whole."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.graph import Graph
from tailorbird.knowledge.rules.answers import check_answer
from tailorbird.knowledge.rules.expressions import Condition, read_condition

KEYS = ("name", "when", "answer", "action", "note")
LANGUAGES = ("zh", "en")
ANSWER, HAND_OVER, INTENT = "answer", "hand_over", "intent:"
MAX_RULES = 500
MAX_NAME_CHARS = 100
MAX_ANSWER_CHARS = 4_000
MAX_RULES_CHARS = 1_000_000
_HEADER = re.compile(r"^[ \t]*\[\[\s*rule\s*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rule:
    """When something is so, this is said or done."""

    name: str
    when: str
    answer: Mapping[str, str] = field(default_factory=dict)
    """``{"zh": …, "en": …}``, with ``{order}`` for a slot and ``{X200 | warranty}`` for a fact."""
    action: str = ANSWER
    """``answer``, ``hand_over``, or ``intent:NAME``: go on as if that were the intent."""
    note: str = ""
    """Why there is this rule, for people."""
    condition: Condition | None = field(default=None, repr=False, compare=False)

    @property
    def intent(self) -> str:
        """The intent of an ``intent:NAME``; empty for other actions."""
        return self.action.removeprefix(INTENT) if self.action.startswith(INTENT) else ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {key: getattr(self, key) for key in KEYS if key != "answer"} | {
            "answer": dict(self.answer)
        }


def read_rules(
    text: str, facts: Graph, *, source: str = "rules", intents: Sequence[str] = ()
) -> tuple[Rule, ...]:
    """The rules of a TOML text, in their order; the first that fits wins.

    ::

        [[rule]]
        name = "angry visitors get a person"
        when = 'anger > 0.7 and n_turns > 1'
        answer.zh = "非常抱歉，马上为您转接同事。"
        answer.en = "I am sorry. A colleague will be with you in a moment."
        action = "hand_over"

    Args:
        text: the TOML.
        facts: what conditions and answers may look up.
        source: its name in errors.
        intents: those that ``intent:NAME`` may name; empty: any.

    Raises KnowledgeError that names the rule and its line.
    """
    if len(text) > MAX_RULES_CHARS:
        raise KnowledgeError(
            f"holds {len(text):,} characters and {MAX_RULES_CHARS:,} are allowed", where=source
        )
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise KnowledgeError(f"is not TOML: {error}", where=source) from error
    tables = table.pop("rule", [])
    if table or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise KnowledgeError(
            f"holds {next(iter(table), 'rule')!r} and not [[rule]] tables alone",
            where=source,
            cure='write [[rule]], name = "…", when = \'…\', answer.en = "…"',
        )
    if len(tables) > MAX_RULES:
        raise KnowledgeError(
            f"holds {len(tables):,} rules and {MAX_RULES} are allowed", where=source
        )
    headers = [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]
    lines = headers if len(headers) == len(tables) else [0] * len(tables)
    rules: dict[str, Rule] = {}
    places: dict[str, str] = {}
    for number, (values, line) in enumerate(zip(tables, lines, strict=True), start=1):
        place = f"{source}:{line}" if line else f"{source}, rule {number}"
        rule = _rule(values, facts, place, intents)
        if rule.name in rules:
            raise KnowledgeError(
                f"there is a rule {rule.name!r} already, at {places[rule.name]}",
                where=place,
                cure="give each rule a name of its own: explanations name it",
            )
        rules[rule.name], places[rule.name] = rule, place
    return tuple(rules.values())


def _rule(values: dict[str, Any], facts: Graph, place: str, intents: Sequence[str]) -> Rule:
    for key in values:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            raise KnowledgeError(
                f"{key!r} is no key of a rule",
                where=place,
                cure=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KEYS)}",
            )
    texts = {key: _text(values, key, place) for key in ("name", "when", "action", "note")}
    for key in ("name", "when"):
        if not texts[key]:
            raise KnowledgeError(f"has no {key}", where=place, cure=f'{key} = "…"')
    where = f"{place} ({texts['name']})"
    if len(texts["name"]) > MAX_NAME_CHARS:
        raise KnowledgeError(f"name is longer than {MAX_NAME_CHARS} characters", where=place)
    answer = _answer(values.get("answer", {}), facts, where)
    action = texts["action"] or ANSWER
    _check_action(action, answer, where, intents)
    condition = read_condition(texts["when"], facts, where=f"{where}, when")
    return Rule(texts["name"], texts["when"], answer, action, texts["note"], condition)


def _text(values: Mapping[str, Any], key: str, place: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise KnowledgeError(
            f"{key} is {value!r} and not a text", where=place, cure="put it in quotation marks"
        )
    return value.strip()


def _answer(value: Any, facts: Graph, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise KnowledgeError(
            f"answer is {value!r} and not a text for each language",
            where=where,
            cure='write answer.zh = "…" and answer.en = "…"',
        )
    for language, text in value.items():
        if language not in LANGUAGES:
            raise KnowledgeError(
                f"answer.{language} is none of answer.zh and answer.en", where=where
            )
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_ANSWER_CHARS:
            raise KnowledgeError(
                f"answer.{language} is not a text of 1 to {MAX_ANSWER_CHARS:,} characters",
                where=where,
            )
        check_answer(text, facts, where=f"{where}, answer.{language}")
    return {language: value[language].strip() for language in LANGUAGES if language in value}


def _check_action(
    action: str, answer: Mapping[str, str], where: str, intents: Sequence[str]
) -> None:
    if action == ANSWER and not answer:
        raise KnowledgeError(
            "answers nothing", where=where, cure='write answer.zh = "…" and answer.en = "…"'
        )
    if action.startswith(INTENT):
        intent = action.removeprefix(INTENT)
        if not intent or (intents and intent not in intents):
            near = difflib.get_close_matches(intent, intents, n=1, cutoff=0.5)
            raise KnowledgeError(
                f"{intent!r} is no intent of the assistant",
                where=where,
                cure=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(intents)}",
            )
        if answer:
            raise KnowledgeError(
                "has an answer, which is never given: the intent's is",
                where=where,
                cure='take the answer away, or write action = "answer"',
            )
    elif action not in (ANSWER, HAND_OVER):
        raise KnowledgeError(
            f"action is {action!r}, not answer, hand_over or intent:NAME", where=where
        )
