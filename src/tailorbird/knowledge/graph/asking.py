"""Plain questions, answered from facts: the words of one are names of the graph, or fillers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailorbird.knowledge.graph.facts import IS_A, SAID_AS, SAID_IF_NO, SAID_IF_YES, Triple
from tailorbird.knowledge.graph.names import Mention, key_of, named, words_of

if TYPE_CHECKING:
    from tailorbird.knowledge.graph.graph import Graph

MAX_QUESTION_CHARS = 300
"""A longer text tells a story; what it asks is not for facts alone."""

_ENGLISH = """
a an the is are am was were be been do does did have has had can could will would should may might i
you he she it we they my your his her its our their this that these those me us them of for in on at
to with by from under about and or what which how long much many there here any some please tell
know say hi hello thanks thank want also still so ok get year month week day hour yuan s ll re ve m
isn aren doesn don didn t
"""
_CHINESE = (
    "的吗呢啊呀吧么嘛是有在能可以会要了这那个款我你您们他她它请问想知道多少长久时间几什怎样哪"
    "和与及跟对就还都也给为之到从用好下年月天小元块"
)
_PHRASES = "有没有 是不是 能不能 可不可以 会不会 要不要 一下 一般 是否 谢谢 你好 您好 麻烦 你们家"
FILLERS = (*_ENGLISH.split(), *_CHINESE, *_PHRASES.split())
"""They change nothing about what is asked. Every other word may: ``register the warranty``."""

_YES_NO_OPENINGS = (
    "is are am was were do does did has have had can could will would may isn aren doesn don"
)
_OPENS_YES_NO = frozenset(_YES_NO_OPENINGS.split())
_ASKS_WHAT = frozenset(("how", "what", "which", *"多几什怎哪"))
_ASKS_YES_NO = re.compile(r"吗|么$|么[?？]|有没有|是不是|能不能|可不可以|会不会|要不要|是否")
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

    @property
    def sources(self) -> tuple[str, ...]:
        """The facts as lines."""
        return tuple(str(triple) for triple in self.triples)


def answer(graph: Graph, text: str, language: str, *, about: str = "") -> FactAnswer | None:
    """What the graph says to a plain question; see `Graph.ask`."""
    if len(text) > MAX_QUESTION_CHARS:
        return None
    words = words_of(text)
    mentions = graph.names.find(words)
    rest = _without(words, mentions)
    if any(word.isalpha() for word in rest):
        return None  # a word that nobody knows may change what is asked
    yes_no = _is_yes_no(words, text)
    relations, things = named(mentions, "relation"), named(mentions, "thing")
    ways = _ways(graph, relations, things)
    if not ways and relations and not things:
        ways = _ways(graph, relations, graph.things(about)[-1:])
    if not ways and yes_no:
        return _is_it_so(graph, things, language)
    unused = _unused(graph, things, ways)
    if not ways or not unused <= _possible_values(graph, relations):
        return None
    with_value = bool(unused) or any(_SAYS_A_VALUE.search(word) for word in rest)
    if with_value and not yes_no:
        return None
    alone = len(ways) == 1
    said = [
        _sentence(graph, thing, found, language, is_asked=yes_no and alone and not with_value)
        for thing, found in ways
    ]
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


def _is_yes_no(words: Sequence[str], text: str) -> bool:
    if _ASKS_WHAT & set(words):
        return False
    first = next((w for w in words if w not in ("hi", "hello", "please", ",", "and")), "")
    return first in _OPENS_YES_NO or bool(_ASKS_YES_NO.search(text))


def _without(words: Sequence[str], mentions: Sequence[Mention]) -> list[str]:
    """The words that belong to no name and are no filler."""
    taken = {index for mention in mentions for index in range(mention.start, mention.end)}
    return [word for index, word in enumerate(words) if index not in taken]
