"""The conditions of rules: what may stand in them, and how long they may take.

The library `rule_engine` reads them, knows the type of each symbol, and evaluates constant parts
already while it reads. It promises no bounds: ``1 << 9999999999`` or ``$range(1e9)`` fill the
memory, and its regular expressions are `re`'s, which may backtrack for years. So its tree is
looked at before anything in it is evaluated, only the few `_ALLOWED` kinds of nodes pass, all of
them linear in text and condition, and patterns are matched by `regex`, which has a time limit.
"""

from __future__ import annotations

import difflib
import importlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tailorbird.errors import KnowledgeError, missing_extra
from tailorbird.knowledge.graph import Graph

SYMBOLS: dict[str, str] = {
    "text": "what the visitor said, at most 2,000 characters of it",
    "intent": "the intent it was taken for",
    "confidence": "how sure that is, from 0 to 1",
    "language": "zh or en",
    "user": "who asks; empty where that is not known",
    "n_turns": "what the visitor has said so far in this conversation, counted",
    "n_unsure": "answers in a row that the assistant was not sure of",
    "anger": "how angry the visitor is, from 0 to 1",
    "hour": "of the day, from 0 to 23",
    "weekday": "from 1, Monday, to 7",
    "fact": 'fact(text, "warranty"): what a thing that is named there has; else empty',
    "is_a": 'is_a(text, "headphones"): whether such a thing is named there',
}
"""Every symbol with what it means; beside them ``slots.NAME``, empty where it was not found."""
_TEXTS = ("text", "intent", "language", "user")
_NUMBERS = ("confidence", "n_turns", "n_unsure", "anger", "hour", "weekday")
SLOTS = "slots"

MAX_CHARS = 500
MAX_DEPTH = 60
MAX_TEXT_CHARS = 2_000
MATCH_S = 0.1
"""Of processor time, for one pattern."""
_ALLOWED = {
    *("Statement", "LogicExpression", "ComparisonExpression", "ArithmeticComparisonExpression"),
    *("FuzzyComparisonExpression", "ContainsExpression", "UnaryExpression", "SymbolExpression"),
    *("GetAttributeExpression", "FunctionCallExpression", "ArrayExpression", "SetExpression"),
    *("StringExpression", "FloatExpression", "BooleanExpression"),
}
_ATTRIBUTES = ("length", "is_empty", "as_lower", "as_upper", "starts_with", "ends_with")
_PARSING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was checked."""

    source: str
    rule: Any = field(repr=False, compare=False)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is so for the *values* of `typed`.

        Raises whatever the library or the time limit raises; the caller puts the rule aside.
        """
        return bool(self.rule.matches(values))

    @property
    def has_pattern(self) -> bool:
        """Whether it may take long: everything else is done in one look at the text."""
        return "=~" in self.source or "!~" in self.source

    @property
    def symbols(self) -> frozenset[str]:
        """The names in it, as ``text`` and ``slots.order``."""
        return frozenset(self.rule.context.symbols)


def read_condition(source: str, facts: Graph, *, where: str = "when") -> Condition:
    """Check a condition and make it ready.

    Raises KnowledgeError where it is too long, not well formed, names what there is not, compares
    what cannot be compared, or holds a part that could take long.

    >>> from tailorbird.knowledge.graph import read_graph
    >>> facts = read_graph("")
    >>> condition = read_condition('intent == "refund" and anger > 0.5', facts)
    >>> condition.holds(typed({"intent": "refund", "anger": 0.9}, facts))
    True
    """
    if len(source) > MAX_CHARS:
        raise KnowledgeError(
            f"is {len(source):,} characters long and {MAX_CHARS} are allowed",
            where=where,
            cure="make several rules of it",
        )
    engine = _engine()
    context = engine.Context(
        resolver=_value_of,
        type_resolver=_type_of,
        regex_flags=_regex().IGNORECASE,
        mapping_attribute_lookup=False,
    )
    context.facts = facts
    try:
        return Condition(source, _checked_rule()(source, context))
    except engine.SymbolResolutionError as error:
        raise _unknown(error.symbol_name, [*SYMBOLS, SLOTS], where) from error
    except KnowledgeError as error:
        raise KnowledgeError(error.what, where=where, cure=error.cure) from error
    except (engine.EngineError, RecursionError, ValueError, TypeError, OSError) as error:
        why = getattr(error, "message", "") or str(error)
        raise KnowledgeError(
            f"{source!r} cannot be read: {why}",
            where=where,
            cure='as intent == "refund" and anger > 0.5, or text =~~ "invoice|发票"',
        ) from error


def typed(values: Mapping[str, Any], facts: Graph) -> dict[str, Any]:
    """What conditions are told: each value in the type of its symbol, and the look-ups of facts.

    A number that is not given stays out; a rule that asks for it is then put aside, not wrong.
    """
    told: dict[str, Any] = {name: str(values.get(name) or "") for name in _TEXTS}
    told["text"] = told["text"][:MAX_TEXT_CHARS]
    for name in _NUMBERS:
        with suppress(TypeError, ValueError, KeyError):
            told[name] = float(values[name])
    slots = values.get(SLOTS)
    for name, value in (slots if isinstance(slots, Mapping) else {}).items():
        told[f"{SLOTS}.{name}"] = str(value or "")
    return told | {"fact": facts.fact, "is_a": facts.is_a}


def _value_of(told: Mapping[str, Any], name: str) -> Any:
    if name not in told and not name.startswith(f"{SLOTS}."):
        raise LookupError(f"{name} is not known here")
    return told.get(name, "")


def _type_of(name: str) -> Any:
    """The type of a symbol, as the library asks for it."""
    engine = _engine()
    types = engine.DataType
    if name in _TEXTS or name.startswith(f"{SLOTS}."):
        return types.STRING
    if name in _NUMBERS:
        return types.FLOAT
    if name in ("fact", "is_a"):
        gives = types.STRING if name == "fact" else types.BOOLEAN
        wants = (types.STRING, types.STRING)
        return types.FUNCTION(name, return_type=gives, argument_types=wants, minimum_arguments=2)
    raise engine.SymbolResolutionError(name)


def _unknown(name: str, known: list[str], where: str) -> KnowledgeError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    if name == SLOTS:
        cure = f"write which one, as {SLOTS}.order"
    return KnowledgeError(f"{name!r} is no symbol of a condition", where=where, cure=cure)


class _TimedPattern:
    """A regular expression that gives up after `MATCH_S`, with a TimeoutError."""

    def __init__(self, source: str, flags: int) -> None:
        self._pattern = _regex().compile(source, flags)

    def match(self, text: str) -> Any:
        return self._pattern.match(text, timeout=MATCH_S)

    def search(self, text: str) -> Any:
        return self._pattern.search(text, timeout=MATCH_S)


@cache
def _checked_rule() -> Any:
    """The library's rule, read by a parser that looks at the tree before any of it is evaluated."""
    engine = _engine()
    library_parser: Any = importlib.import_module("rule_engine.parser").Parser
    library_rule: Any = engine.Rule

    class CheckedParser(library_parser):  # type: ignore[misc]
        def parse(self, text: str, context: Any, **options: Any) -> Any:
            with _PARSING:  # the parser holds the context while it reads
                self.context = context
                tree: Any = self._parser.parse(text, lexer=self._lexer)
            _check_tree(tree, context.facts)
            return tree.build()

    class CheckedRule(library_rule):  # type: ignore[misc]
        parser = CheckedParser()

    return CheckedRule


@cache
def _timed_comparison() -> Any:
    comparison: Any = importlib.import_module("rule_engine.ast").FuzzyComparisonExpression

    class TimedComparison(comparison):  # type: ignore[misc]
        def _compile_regex(self, regex: str) -> Any:
            return _TimedPattern(regex, self.context.regex_flags)

    return TimedComparison


def _check_tree(tree: Any, facts: Graph) -> None:
    """Let only the allowed nodes pass, ``slots.x`` as one symbol, patterns with a time limit."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        kind = node.cls.__name__
        if depth > MAX_DEPTH:
            raise KnowledgeError("is nested too deeply", cure="make several rules of it")
        if kind not in _ALLOWED or node.kwargs.get("scope"):
            raise KnowledgeError(
                "has arithmetic, a built-in, null or a loop, which conditions do without",
                cure=f"compare {', '.join(SYMBOLS)} by and, or, not, ==, <, in, =~, =~~",
            )
        if kind == "GetAttributeExpression":
            _check_attribute(node)
        elif kind == "FuzzyComparisonExpression":
            _check_pattern(node)
        elif kind == "FunctionCallExpression":
            _check_call(node, facts)
        waiting += [(child, depth + 1) for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    for part in node.args[1:]:  # the first is the context
        for one in part if isinstance(part, tuple | list | deque) else (part,):
            if hasattr(one, "cls"):
                yield one


def _check_attribute(node: Any) -> None:
    context, of, name = node.args
    if of.cls.__name__ == "SymbolExpression" and of.args[1] == SLOTS:
        node.cls, node.args, node.kwargs = of.cls, (context, f"{SLOTS}.{name}"), {}
    elif name not in _ATTRIBUTES:
        raise _unknown(name, list(_ATTRIBUTES), "")


def _check_pattern(node: Any) -> None:
    context, _, _, right = node.args
    if right.cls.__name__ != "StringExpression":
        raise KnowledgeError("a pattern is written out, in quotation marks", cure='text =~~ "…"')
    try:
        _TimedPattern(right.args[1], context.regex_flags)
    except _regex().error as error:
        raise KnowledgeError(f"{right.args[1]!r} is no pattern: {error}") from error
    node.cls = _timed_comparison()


def _check_call(node: Any, facts: Graph) -> None:
    _, function, arguments = node.args
    if function.cls.__name__ == "GetAttributeExpression":
        return  # text.starts_with("…")
    if function.cls.__name__ != "SymbolExpression":
        raise KnowledgeError("only fact(…) and is_a(…) can be called")
    second = list(arguments)[1:2]
    if second and second[0].cls.__name__ == "StringExpression":
        name = second[0].args[1]
        if function.args[1] == "fact":
            facts.relation(name)
        elif function.args[1] == "is_a" and not facts.names.meanings(name, "thing"):
            raise KnowledgeError(f"no fact names {name!r}", cure="write the facts first")


def _engine() -> Any:
    try:
        return importlib.import_module("rule_engine")
    except ModuleNotFoundError as error:
        raise missing_extra("rule-engine", extra="knowledge") from error


def _regex() -> Any:
    return importlib.import_module("regex")  # transformers, which is always there, brings it
