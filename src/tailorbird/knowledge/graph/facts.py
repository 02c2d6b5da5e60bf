"""Lines ``subject | relation | object``, read and checked: what is doubtful is not let in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.graph.names import Key, key_of
from tailorbird.text import shorten

IS_A, ALSO_CALLED = "is a", "also called"
SAID_AS, SAID_IF_YES, SAID_IF_NO = "said as", "said if yes", "said if no"
VALUES = "values"
TEMPLATES = (SAID_AS, SAID_IF_YES, SAID_IF_NO)
OWN_RELATIONS = (IS_A, ALSO_CALLED, VALUES, *TEMPLATES)
"""Relations with a meaning of their own; all others are the shop's."""
_SPELLINGS = {
    "是一种": IS_A,
    "是": IS_A,
    "属于": IS_A,
    "又叫": ALSO_CALLED,
    "也叫": ALSO_CALLED,
    "别名": ALSO_CALLED,
    "说成": SAID_AS,
    "肯定说成": SAID_IF_YES,
    "否定说成": SAID_IF_NO,
    "取值": VALUES,
}
MANY = ("many", "多个")

MAX_FACTS = 100_000
MAX_LINE_CHARS = 1_000
FORM = "write subject | relation | object, as X200 | warranty | 1 year"
_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Triple:
    """One fact.

    >>> print(Triple("X200", "warranty", "1 year"))
    X200 | warranty | 1 year
    """

    subject: str
    relation: str
    object: str
    line: int = field(default=0, compare=False)
    """Where it was written, from 1."""

    def __str__(self) -> str:
        return f"{self.subject} | {self.relation} | {self.object}"


def read_lines(text: str, *, source: str = "facts") -> list[Triple]:
    """The facts of a text, each once; empty lines and those that begin with ``#`` are for people.

    Raises KnowledgeError for a line of another form.

    >>> read_lines("# headphones\\nX200 | 属于 | headphones")
    [Triple(subject='X200', relation='is a', object='headphones', line=2)]
    """
    triples = list(_read(text, source))
    if len(triples) > MAX_FACTS:
        raise KnowledgeError(
            f"holds {len(triples):,} facts and {MAX_FACTS:,} are allowed",
            where=source,
            cure="keep large tables in a database, and what customers ask about here",
        )
    return list(dict.fromkeys(triples))


def _read(text: str, source: str) -> Iterator[Triple]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().lstrip("\ufeff")
        if not stripped or stripped.startswith("#"):
            continue
        where = f"{source}:{number}"
        if len(stripped) > MAX_LINE_CHARS:
            raise KnowledgeError(
                f"is {len(stripped):,} characters long and {MAX_LINE_CHARS:,} are allowed",
                where=where,
                cure="a fact is short; put longer texts into documents",
            )
        parts = [" ".join(part.split()) for part in stripped.replace("｜", "|").split("|")]
        if len(parts) != 3 or not all(parts):
            raise KnowledgeError(
                f"{shorten(stripped, 60)!r} has {len(parts)} parts, some of them empty"
                if len(parts) == 3
                else f"{shorten(stripped, 60)!r} has {len(parts)} parts and not 3",
                where=where,
                cure=FORM,
            )
        subject, relation, value = parts
        relation = _SPELLINGS.get(relation, relation)
        if relation.casefold() in OWN_RELATIONS:
            relation = relation.casefold()
        triple = Triple(subject, relation, value, number)
        _check_names(triple, where)
        yield triple


def _check_names(triple: Triple, where: str) -> None:
    if triple.relation in TEMPLATES:
        for name in _FIELD.findall(triple.object):
            if name not in ("subject", "object"):
                raise KnowledgeError(
                    f"{{{name}}} is not {{subject}} or {{object}}", where=where, cure=""
                )
        if re.search(r"[{}]", _FIELD.sub("", triple.object)):
            raise KnowledgeError("has a brace without its other half", where=where)
        if triple.relation == SAID_AS and "{object}" not in triple.object:
            raise KnowledgeError(
                "does not say {object}, so that every answer would be the same", where=where
            )
    if triple.relation == VALUES and triple.object.casefold() not in MANY:
        raise KnowledgeError(
            f"values are {triple.object!r}, not {MANY[0]!r}",
            where=where,
            cure="say many where one thing may have several, and nothing where it has one",
        )


@dataclass(slots=True)
class Spellings:
    """Which names mean one thing: ``also called``, and the same name in another case."""

    _first: dict[Key, str] = field(default_factory=dict)
    _alias_of: dict[Key, tuple[Key, int]] = field(default_factory=dict)

    def join(self, triple: Triple, *, source: str) -> None:
        """Let the object of an ``also called`` mean its subject.

        Raises KnowledgeError where it means another thing already.
        """
        alias, thing = key_of(triple.object), self._root(key_of(triple.subject))
        self._first.setdefault(key_of(triple.subject), triple.subject)
        self._first.setdefault(alias, triple.object)
        if alias in self._alias_of and self._root(alias) != thing:
            other, line = self._alias_of[alias]
            raise KnowledgeError(
                f"{triple.object!r} is called both {self._first[self._root(other)]!r} "
                f"(line {line}) and {triple.subject!r}",
                where=f"{source}:{triple.line}",
                cure="a name means one thing; take one of the lines away",
            )
        if self._root(alias) != thing:
            self._alias_of[self._root(alias)] = (thing, triple.line)

    def __call__(self, name: str) -> str:
        """The one name for a thing: that which its other names were given to."""
        root = self._root(key_of(name))
        return self._first.setdefault(root, name)

    def _root(self, key: Key) -> Key:
        while key in self._alias_of:
            key = self._alias_of[key][0]
        return key
