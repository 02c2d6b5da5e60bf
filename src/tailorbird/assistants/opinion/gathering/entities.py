"""Whom a text names: companies, people and products, by their aliases and by a tuned tagger."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from sqlalchemy import select

from tailorbird.assistants.opinion.gathering.names import NameFinder, folded
from tailorbird.errors import ConfigError, NotFoundError
from tailorbird.records import Span
from tailorbird.store import Workspace
from tailorbird.store.tables import EntityRow

EntityKind = Literal["company", "person", "product", "place"]
LOOK_AGAIN_S = 10.0
"""How long a change that another process made may go unseen."""
MAX_CHARS = 200
_TAGS: dict[str, EntityKind] = {
    **dict.fromkeys(("company", "organization", "organisation", "org", "corp"), "company"),
    **dict.fromkeys(("person", "per", "name", "人名"), "person"),
    **dict.fromkeys(("product", "prod", "brand"), "product"),
    **dict.fromkeys(("place", "loc", "location", "gpe", "address"), "place"),
}
"""What the labels of the usual token data sets mean."""


class Tags(Protocol):
    """A tuned tagger of tokens."""

    def tag(self, texts: Sequence[str]) -> Sequence[Sequence[Span]]:
        """The marked parts of each text."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A part of a text that names somebody; places count characters."""

    entity: str
    """The name that an alias stands for; of a name nobody knows, as it is written."""
    kind: str
    start: int
    end: int


class EntityTable:
    """Known names and what else they are called, and where texts mention them; thread safe."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        tagger: Tags | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._tagger = tagger
        self._clock_s = clock_s
        self._looked_s = float("-inf")
        self._seen: object = None
        self._known = _Known([])

    def add(
        self,
        name: str,
        aliases: Iterable[str] = (),
        *,
        kind: EntityKind = "company",
        is_watched: bool = True,
    ) -> EntityRow:
        """Keep a name with its aliases; of a known one the aliases are joined.

        Raises ConfigError where an alias stands for another name already.
        """
        return self.add_many([(name, aliases, kind)], is_watched=is_watched)[0]

    def add_many(
        self,
        entities: Iterable[tuple[str, Iterable[str], EntityKind]],
        *,
        is_watched: bool = True,
    ) -> list[EntityRow]:
        """Keep several (name, aliases, kind), all or none; see `add`."""
        rows = []
        with self._workspace.writing() as session:
            known = {row.name: row for row in session.scalars(select(EntityRow))}
            owners = {folded(said): row.name for row in known.values() for said in _said(row)}
            for name, aliases, kind in entities:
                name, wanted = _checked(name), [_checked(alias) for alias in aliases]
                if kind not in get_args(EntityKind):
                    raise ConfigError(
                        f"{kind!r} is no kind of name",
                        cure=f"known: {', '.join(get_args(EntityKind))}",
                    )
                for said in (name, *wanted):
                    owner = owners.setdefault(folded(said), name)
                    if owner != name:
                        raise ConfigError(
                            f"{said!r} stands for {owner!r} already",
                            cure=f"take it away from {owner!r} first, or leave it out",
                        )
                row = known.get(name)
                if row is None:
                    row = known[name] = EntityRow(name=name, kind=kind)
                    session.add(row)
                row.kind, row.is_watched = kind, is_watched
                said_once: dict[str, str] = {}
                for alias in (*row.aliases, *wanted):
                    said_once.setdefault(folded(alias), alias)
                said_once.pop(folded(name), None)
                # A new list: of one that is changed in place the database would not hear.
                row.aliases = list(said_once.values())
                rows.append(row)
        self._looked_s = float("-inf")
        return rows

    def remove(self, name: str, alias: str = "") -> None:
        """Forget a name, or one *alias* of it; NotFoundError where there is none."""
        with self._workspace.writing() as session:
            row = session.get(EntityRow, name)
            if row is None:
                known = list(session.scalars(select(EntityRow.name)))
                near = difflib.get_close_matches(name, known, n=1)
                cure = f"did you mean {near[0]!r}?" if near else ""
                raise NotFoundError(f"there is no entity {name!r}", cure=cure)
            if not alias:
                session.delete(row)
            elif alias in row.aliases:
                row.aliases = [one for one in row.aliases if one != alias]
            else:
                known_aliases = ", ".join(row.aliases[:8]) or "none"
                raise NotFoundError(
                    f"{name!r} has no alias {alias!r}", cure=f"known: {known_aliases}"
                )
        self._looked_s = float("-inf")

    def all(self) -> list[EntityRow]:
        """Every known name, in order."""
        with self._workspace.sessions() as session:
            return [*session.scalars(select(EntityRow).order_by(EntityRow.name))]

    def find(self, text: str) -> list[Mention]:
        """All mentions of known names, and of others the tagger sees, in order.

        >>> table.add("Apple", ["苹果公司"])  # doctest: +SKIP
        >>> table.find("苹果公司跌了")  # doctest: +SKIP
        [Mention(entity='Apple', kind='company', start=0, end=4)]
        """
        return self.find_all([text])[0]

    def find_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        """The mentions of each text; a tagger reads them all together."""
        known = self._current()
        tagged: Sequence[Sequence[Span]] = [()] * len(texts)
        if self._tagger is not None and texts:
            tagged = self._tagger.tag(texts)
        return [
            _joined(known.find(text), spans, text, known)
            for text, spans in zip(texts, tagged, strict=True)
        ]

    def _current(self) -> _Known:
        """The names as they are now; looked up again where others may have changed them."""
        now_s = self._clock_s()
        if now_s - self._looked_s < LOOK_AGAIN_S:
            return self._known
        rows = self.all()
        seen = [(row.name, row.kind, tuple(row.aliases)) for row in rows]
        if seen != self._seen:
            self._known, self._seen = _Known(rows), seen
        self._looked_s = now_s
        return self._known


class _Known:
    """Aliases, ready to be found."""

    def __init__(self, rows: Sequence[EntityRow]) -> None:
        self.owners = {said: (row.name, row.kind) for row in rows for said in _said(row)}
        self.folded = {folded(said): owner for said, owner in self.owners.items()}
        self._finder = NameFinder(self.owners)

    def find(self, text: str) -> list[Mention]:
        found = self._finder.find(text)
        return [Mention(*self.owners[said], start, end) for start, end, said in found]


def _said(row: EntityRow) -> list[str]:
    return [row.name, *row.aliases]


def _joined(
    mentions: list[Mention], spans: Sequence[Span], text: str, known: _Known
) -> list[Mention]:
    """Known names, and of the tagger's parts those that are none of them."""
    extra = []
    for span in spans:
        kind = _TAGS.get(span.label.lower())
        name = " ".join(text[span.start : span.end].split())
        is_known = any(one.start < span.end and span.start < one.end for one in mentions)
        if kind is None or not name or is_known:
            continue
        entity, kind_known = known.folded.get(folded(name), (name[:MAX_CHARS], kind))
        extra.append(Mention(entity, kind_known, span.start, span.end))
    return sorted([*mentions, *extra], key=lambda one: one.start)


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > MAX_CHARS or not name.isprintable():
        raise ConfigError(f"{name[:40]!r} is no name", cure=f"1 to {MAX_CHARS} signs")
    return name
