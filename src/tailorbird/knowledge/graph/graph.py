"""Facts as a graph: what a thing is, what it inherits, and what is said of it."""

from __future__ import annotations

import difflib
import importlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from tailorbird.errors import KnowledgeError, missing_extra
from tailorbird.knowledge.graph import asking
from tailorbird.knowledge.graph.facts import (
    ALSO_CALLED,
    IS_A,
    OWN_RELATIONS,
    TEMPLATES,
    VALUES,
    Spellings,
    Triple,
    read_lines,
)
from tailorbird.knowledge.graph.names import Names, key_of, named, words_of
from tailorbird.knowledge.graph.questions import FILLERS
from tailorbird.text import language_of


class Graph:
    """Facts that were checked; nothing in it contradicts anything else. Made by `read_graph`.

    Args:
        triples: with one name for each thing, and one for each relation.
        names: what else they are called.
    """

    def __init__(self, triples: Sequence[Triple], names: Names) -> None:
        networkx = _networkx()
        self.triples = tuple(triples)
        self.names = names
        self._net: Any = networkx.MultiDiGraph()  # thing → object, one edge a fact
        self._kinds: Any = networkx.DiGraph()  # thing → what it is
        self._templates: dict[tuple[str, str, str], str] = {}
        self._called: dict[tuple[str, str], str] = {}
        for triple in triples:
            if triple.relation in TEMPLATES:
                language = language_of(triple.object.replace("{subject}", ""))
                key = (triple.subject, triple.relation, language)
                self._templates.setdefault(key, triple.object)
            elif triple.relation == ALSO_CALLED:
                key_name = (triple.subject, language_of(triple.object))
                self._called.setdefault(key_name, triple.object)
            elif triple.relation != VALUES:
                self._net.add_edge(
                    triple.subject, triple.object, key=triple.relation, triple=triple
                )
                self._kinds.add_nodes_from((triple.subject, triple.object))
                if triple.relation == IS_A:
                    self._kinds.add_edge(triple.subject, triple.object)

    @property
    def relations(self) -> tuple[str, ...]:
        """The shop's own relations, each once, as they come."""
        own = (t.relation for t in self.triples if t.relation not in OWN_RELATIONS)
        return tuple(dict.fromkeys(own))

    def __len__(self) -> int:
        return len(self.triples)

    def things(self, text: str) -> list[str]:
        """The things that a text names, in their order."""
        return named(self.names.find(words_of(text)), "thing")

    def relation(self, name: str) -> str:
        """The relation that is called *name*; KnowledgeError with the nearest where none is."""
        found = self.names.meanings(name, "relation")
        if found:
            return found[0]
        near = difflib.get_close_matches(name, self.relations, n=1, cutoff=0.5)
        raise KnowledgeError(
            f"no fact has the relation {name!r}",
            cure=f"did you mean {near[0]!r}?" if near else "write the facts first",
        )

    def kinds_of(self, thing: str) -> set[str]:
        """All that a thing is, however far up."""
        if thing not in self._kinds:
            return set()
        return set(_networkx().descendants(self._kinds, thing))

    def own(self, thing: str, relation: str = "") -> list[Triple]:
        """The facts of a thing itself, of one *relation* or of all."""
        if thing not in self._net:
            return []
        edges = self._net.out_edges(thing, keys=True, data="triple")
        return [triple for _, _, key, triple in edges if relation in ("", key)]

    def values(self, thing: str, relation: str) -> list[list[Triple]]:
        """The ways to what a thing has: each is a chain of ``is a`` that ends in the fact.

        A fact of the thing itself comes before that of what it is, so that an exception is
        written where it belongs.
        """
        if thing not in self._kinds:
            return []
        networkx = _networkx()
        for layer in networkx.bfs_layers(self._kinds, [thing]):
            facts = [fact for one in layer for fact in self.own(one, relation)]
            if facts:
                return [[*self.chain(thing, fact.subject), fact] for fact in facts]
        return []

    def fact(self, text: str, relation: str) -> str:
        """What the first thing that *text* names, and that has the *relation*, has; else ``""``.

        >>> read_graph("X200 | is a | headphones\\nheadphones | warranty | 1 year").fact(
        ...     "my x200 broke", "warranty"
        ... )
        '1 year'
        """
        for thing in self.things(text):
            found = self.values(thing, self.relation(relation))
            if found:
                return found[0][-1].object
        return ""

    def is_a(self, text: str, kind: str) -> bool:
        """Whether *text* names something that is a *kind*, or the kind itself."""
        wanted = set(self.names.meanings(kind, "thing"))
        return any(wanted & {thing, *self.kinds_of(thing)} for thing in self.things(text))

    def called(self, name: str, language: str) -> str:
        """How a thing or a relation is called in a language; its own name where nobody said."""
        if language_of(name) == language:
            return name
        return self._called.get((name, language), name)

    def template(self, relation: str, kind: str, language: str) -> str:
        """How a relation is told, as ``The warranty of {subject} is {object}.``; may be empty."""
        return self._templates.get((relation, kind, language), "")

    def ask(self, text: str, language: str = "", *, about: str = "") -> asking.FactAnswer | None:
        """The answer to plain questions about facts; None where they do not say.

        Nothing is guessed: a question with a word that is neither a name of the graph nor a
        filler is not answered, for the word may change what is asked. In a longer message the
        clauses that ask are answered, and ``is_whole`` is False.

        Args:
            text: the question.
            language: of the answer; that of the text where it is not given.
            about: what was said before, where ``its warranty`` finds what it belongs to.

        >>> graph = read_graph("X200 | is a | headphones\\nheadphones | warranty | 1 year")
        >>> graph.ask("how long is the warranty of the X200?").text
        'X200: warranty 1 year.'
        >>> graph.ask("how do I register the warranty of the X200?") is None
        True
        """
        return asking.answer(self, text, language or language_of(text), about=about)

    def chain(self, thing: str, kind: str) -> list[Triple]:
        """The facts by which a thing is a *kind*; none where it is the kind itself."""
        things = _networkx().shortest_path(self._kinds, thing, kind)
        return [self._net.edges[a, b, IS_A]["triple"] for a, b in pairwise(things)]


def read_graph(text: str, *, source: str = "facts") -> Graph:
    """Facts from lines, checked whole.

    Raises KnowledgeError for a line of another form, for a name of two things, for two facts that
    contradict each other, and where something is a kind of itself.
    """
    given = read_lines(text, source=source)
    relations: dict[Any, str] = {}
    for triple in given:
        if triple.relation not in OWN_RELATIONS:
            relations.setdefault(key_of(triple.relation), triple.relation)
    one_name, names = Spellings(), Names()
    for filler in FILLERS:
        names.add(filler, "filler", filler)
    for triple in given:
        is_of_relation = key_of(triple.subject) in relations
        if triple.relation == ALSO_CALLED and not is_of_relation:
            one_name.join(triple, source=source)
    triples = [_with_one_name(triple, one_name, relations) for triple in given]
    for triple in triples:
        is_of_relation = triple.subject in relations.values()
        if triple.relation == ALSO_CALLED:
            names.add(triple.object, "relation" if is_of_relation else "thing", triple.subject)
        elif triple.relation not in OWN_RELATIONS:
            names.add(triple.relation, "relation", triple.relation)
        if triple.relation not in (*TEMPLATES, VALUES, ALSO_CALLED):
            names.add(triple.subject, "thing", triple.subject)
            names.add(triple.object, "thing", triple.object)
    graph = Graph(triples, names)
    _check_circles(graph, source)
    _check_contradictions(graph, source)
    return graph


def _with_one_name(triple: Triple, one_name: Spellings, relations: dict[Any, str]) -> Triple:
    if triple.relation in (ALSO_CALLED, VALUES, *TEMPLATES):
        subject = relations.get(key_of(triple.subject)) or one_name(triple.subject)
        return Triple(subject, triple.relation, triple.object, triple.line)
    relation = relations.get(key_of(triple.relation), triple.relation)
    return Triple(one_name(triple.subject), relation, one_name(triple.object), triple.line)


def _check_circles(graph: Graph, source: str) -> None:
    networkx = _networkx()
    try:
        circle = [a for a, _ in networkx.find_cycle(graph._kinds)]
    except networkx.NetworkXNoCycle:
        return
    lines = sorted(t.line for one in circle for t in graph.own(one, IS_A) if t.object in circle)
    raise KnowledgeError(
        f"{' is a '.join([*circle, circle[0]])}, which goes round in a circle",
        where=f"{source}:{lines[-1]}",
        cure=f"take one of the lines {', '.join(map(str, lines))} away",
    )


def _check_contradictions(graph: Graph, source: str) -> None:
    """Two values where there can be one: of a thing itself, or from two things that it is."""
    may_be_many = {t.subject for t in graph.triples if t.relation == VALUES} | {IS_A}
    groups: dict[tuple[str, str], list[Triple]] = defaultdict(list)
    for triple in graph.triples:
        if triple.relation not in (*OWN_RELATIONS, *may_be_many):
            groups[triple.subject, triple.relation].append(triple)
    problems = [_differing(facts) for facts in groups.values()]
    for thing, n_kinds in graph._kinds.out_degree():
        if n_kinds > 1:
            inherited = {t.relation for kind in graph.kinds_of(thing) for t in graph.own(kind)}
            for relation in sorted(inherited - may_be_many):
                ends = [way[-1] for way in graph.values(thing, relation)]
                problems.append(_differing(ends, heir=thing))
    found = [problem for problem in problems if problem]
    if found:
        what, line = found[0]
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        raise KnowledgeError(
            what + more,
            where=f"{source}:{line}",
            cure="keep one of them; where a thing may have several, add RELATION | values | many",
        )


def _differing(facts: Iterable[Triple], *, heir: str = "") -> tuple[str, int] | None:
    first, *others = facts
    for other in others:
        if other.object != first.object:
            of = f"for {heir!r}, " if heir else ""
            return (
                f"{of}'{first}' (line {first.line}) and '{other}' contradict each other",
                other.line,
            )
    return None


@cache
def _networkx() -> Any:
    try:
        return importlib.import_module("networkx")
    except ModuleNotFoundError as error:
        raise missing_extra("networkx", extra="knowledge") from error
