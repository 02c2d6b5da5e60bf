"""Answers with gaps: ``{order}`` is a slot, ``{X200 | warranty}`` or ``{text | warranty}`` a fact.

What a gap is filled with is known, or the answer is not given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.graph import Graph, Triple
from tailorbird.knowledge.rules.expressions import MAX_TEXT_CHARS
from tailorbird.text import shorten

_GAP = re.compile(r"\{([^{}]*)\}")
_SLOT = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class GapError(Exception):
    """Nothing is known to fill a gap with; the message says which."""


def check_answer(text: str, facts: Graph, *, where: str) -> None:
    """Raise KnowledgeError for a gap that could never be filled."""
    if re.search(r"[{}]", _GAP.sub("", text)):
        raise KnowledgeError(
            "has a brace without its other half",
            where=where,
            cure="write {order} for a slot, {X200 | warranty} for a fact",
        )
    for gap in _GAP.findall(text):
        thing, bar, relation = (part.strip() for part in gap.partition("|"))
        if not bar and not _SLOT.fullmatch(thing):
            raise KnowledgeError(
                f"{{{gap}}} is neither a slot nor a fact",
                where=where,
                cure="write {order} for a slot, {X200 | warranty} for a fact",
            )
        if bar:
            try:
                facts.relation(relation)
            except KnowledgeError as error:
                raise KnowledgeError(error.what, where=where, cure=error.cure) from error
            if not _SLOT.fullmatch(thing) and not facts.things(thing):
                raise KnowledgeError(
                    f"no fact is about {thing!r}", where=where, cure="write the facts first"
                )


def fill(
    text: str, values: Mapping[str, Any], facts: Graph, language: str
) -> tuple[str, tuple[Triple, ...]]:
    """The answer without gaps, and the facts that stand in it.

    Raises GapError where a slot is empty or no fact is known.

    >>> from tailorbird.knowledge.graph import read_graph
    >>> facts = read_graph("X200 | warranty | 1 year")
    >>> fill("{order}: {text | warranty}", {"text": "my X200", "slots": {"order": "OL1"}},
    ...      facts, "en")
    ('OL1: 1 year', (Triple(subject='X200', relation='warranty', object='1 year', line=1),))
    """
    slots = values.get("slots") or {}
    used: list[Triple] = []

    def filled(found: re.Match[str]) -> str:
        thing, bar, relation = (part.strip() for part in found[1].partition("|"))
        if not bar:
            value = str(slots.get(thing) or "")
            if not value:
                raise GapError(f"the slot {thing!r} is empty")
            return value
        of = str(values.get("text") or "") if thing == "text" else str(slots.get(thing) or thing)
        of = of[:MAX_TEXT_CHARS]
        for named in facts.things(of):
            ways = facts.values(named, facts.relation(relation))
            if ways:
                used.extend(triple for way in ways for triple in way)
                joint = "、" if language == "zh" else ", "
                return joint.join(facts.called(way[-1].object, language) for way in ways)
        raise GapError(f"no fact says the {relation} of {shorten(of)!r}")

    return _GAP.sub(filled, text), tuple(dict.fromkeys(used))
