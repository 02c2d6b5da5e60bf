"""Plain questions, answered from facts: each word of one is of a name of the graph, or a filler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailorbird.knowledge.graph.facts import IS_A, SAID_AS, SAID_IF_NO, SAID_IF_YES, Triple
from tailorbird.knowledge.graph.names import Mention, key_of, named, words_of
from tailorbird.knowledge.graph.questions import asks_what, asks_yes_no, clauses

if TYPE_CHECKING:
    from tailorbird.knowledge.graph.graph import Graph

MAX_QUESTION_CHARS = 300
MAX_MESSAGE_CHARS = 2_000
MAX_CLAUSES = 40
MAX_THINGS = 3
"""Named elsewhere in a message: "it" may be any of them, and the answer says which it means."""

_SAYS_A_VALUE = re.compile(r"[0-9一二两三四五六七八九十百千半]")
_YES = {key_of(word) for word in ("yes", "true", "是", "有", "可以", "能")}
_NO = {key_of(word) for word in ("no", "none", "false", "否", "无", "没有", "不", "不可以", "不能")}


@dataclass(frozen=True, slots=True)
class FactAnswer:
    """An answer, and all that it was made of."""

    text: str
    language: str
    triples: tuple[Triple, ...]
    """The facts, those that say what a thing is before those that it has from there."""
    is_whole: bool = True
    """False where the message says more than what is answered."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The facts as lines."""
        return tuple(str(triple) for triple in self.triples)


def answer(graph: Graph, text: str, language: str, *, about: str = "") -> FactAnswer | None:
    """What the graph says to a message; see `Graph.ask`."""
    before = graph.things(about[-MAX_MESSAGE_CHARS:])[-1:]
    if len(text) <= MAX_QUESTION_CHARS:
        found = _to_question(graph, text, language, before)
        if found:
            return found
    parts = clauses(text[:MAX_MESSAGE_CHARS])[:MAX_CLAUSES]
    answers: list[FactAnswer] = []
    for part in parts if len(parts) > 1 else ():
        words = words_of(part)
        is_question = asks_what(words) or asks_yes_no(words, part) or part[-1] in "?？"
        if is_question and len(part) <= MAX_QUESTION_CHARS:
            others = graph.things(" / ".join(other for other in parts if other is not part))
            found = _to_question(graph, part, language, others[-MAX_THINGS:] or before)
            answers += [found] if found else []
    return _joined(answers, language)


def _joined(answers: Sequence[FactAnswer], language: str) -> FactAnswer | None:
    if not answers:
        return None
    said = ("" if language == "zh" else " ").join(dict.fromkeys(one.text for one in answers))
    triples = dict.fromkeys(triple for one in answers for triple in one.triples)
    return FactAnswer(said, language, tuple(triples), is_whole=False)


def _to_question(
    graph: Graph, text: str, language: str, before: Sequence[str]
) -> FactAnswer | None:
    """The answer to a text that is nothing but a question, about what it names or *before*."""
    words = words_of(text)
    mentions = graph.names.find(words)
    rest = _without(words, mentions)
    if any(word.isalpha() for word in rest):
        return None  # a word that nobody knows may change what is asked
    yes_no = asks_yes_no(words, text)
    relations, things = named(mentions, "relation"), named(mentions, "thing")
    ways = _ways(graph, relations, things)
    if not ways and relations and not things:
        ways = _ways(graph, relations, before)
    if not ways and yes_no:
        return _is_it_so(graph, things, language)
    unused = _unused(graph, things, ways)
    if not ways or not unused <= _possible_values(graph, relations):
        return None
    with_value = bool(unused) or any(_SAYS_A_VALUE.search(word) for word in rest)
    if not yes_no and (with_value or any(_says_yes_or_no(found) for _, found in ways)):
        return None  # "how do I return it?" is not answered by that it can be returned
    is_asked = yes_no and len(ways) == 1 and not with_value
    said = [_sentence(graph, thing, found, language, is_asked=is_asked) for thing, found in ways]
    triples = [triple for _, found in ways for way in found for triple in way]
    joint = "" if language == "zh" else " "
    return FactAnswer(joint.join(said), language, tuple(dict.fromkeys(triples)))


Ways = list[tuple[str, list[list[Triple]]]]
"""Each thing that was asked about, with the ways to what it has."""


def _ways(graph: Graph, relations: Sequence[str], things: Sequence[str]) -> Ways:
    kinds = {kind for thing in things for kind in graph.kinds_of(thing)}
    asked = [thing for thing in things if thing not in kinds]  # "the X200 headphones" is one thing
    found = [(thing, graph.values(thing, r)) for thing in asked for r in relations if r != IS_A]
    return [(thing, ways) for thing, ways in found if ways]


def _unused(graph: Graph, things: Sequence[str], ways: Ways) -> set[str]:
    """Things in the question that are not asked about, no kind of such a thing, nor the answer."""
    known = {thing for thing, _ in ways}
    known |= {kind for thing in known for kind in graph.kinds_of(thing)}
    known |= {way[-1].object for _, found in ways for way in found}
    return set(things) - known


def _possible_values(graph: Graph, relations: Sequence[str]) -> set[str]:
    """What else has been said with one of the *relations*: ``is its warranty 2 years?``"""
    return {triple.object for triple in graph.triples if triple.relation in relations}


def _is_it_so(graph: Graph, things: Sequence[str], language: str) -> FactAnswer | None:
    """``is the X200 black?``, where it is. Where no fact says so, it may still be: None."""
    if len(things) != 2:
        return None
    thing, other = things
    kinds = graph.kinds_of(thing)
    relations = dict.fromkeys(t.relation for one in (thing, *kinds) for t in graph.own(one))
    for relation in relations:
        if relation == IS_A and other in kinds:
            chain = graph.chain(thing, other)
            names = [graph.called(name, language) for name in (thing, other)]
            told = "{}是{}。" if language == "zh" else "{} is a kind of {}."
            return FactAnswer(_yes(told.format(*names), language), language, tuple(chain))
        for way in graph.values(thing, relation):
            if way[-1].object == other and relation != IS_A:
                text = _sentence(graph, thing, [way], language, is_asked=True)
                return FactAnswer(text, language, tuple(way))
    return None


def _sentence(
    graph: Graph, thing: str, ways: list[list[Triple]], language: str, *, is_asked: bool
) -> str:
    relation = ways[0][-1].relation
    objects = [graph.called(way[-1].object, language) for way in ways]
    says = {key_of(way[-1].object) for way in ways}
    is_no, is_yes = bool(says & _NO), bool(says & _YES)
    kind = SAID_IF_NO if is_no else SAID_IF_YES if is_yes else SAID_AS
    form = graph.template(relation, kind, language)
    if not form:
        form = "{subject}：%s {object}。" if language == "zh" else "{subject}: %s {object}."
        form = form.replace("%s", graph.called(relation, language))
    value = ("、" if language == "zh" else ", ").join(objects)
    told = form.replace("{subject}", graph.called(thing, language)).replace("{object}", value)
    if not is_asked:
        return told
    return _no(told, language) if is_no else _yes(told, language)


def _yes(told: str, language: str) -> str:
    return f"是的，{told}" if language == "zh" else f"Yes. {told}"


def _no(told: str, language: str) -> str:
    return told if language == "zh" else f"No. {told}"  # the Chinese sentence says it itself


def _says_yes_or_no(ways: list[list[Triple]]) -> bool:
    return any(key_of(way[-1].object) in (_YES | _NO) for way in ways)


def _without(words: Sequence[str], mentions: Sequence[Mention]) -> list[str]:
    """The words that belong to no name and are no filler."""
    taken = {index for mention in mentions for index in range(mention.start, mention.end)}
    return [word for index, word in enumerate(words) if index not in taken]
