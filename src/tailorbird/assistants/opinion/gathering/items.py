"""What a source yields, and what it says of how far it was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

Cursor = dict[str, Any]
"""How far a source was read, JSON-ready; empty: from its beginning."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text as its source has it, before it is a post."""

    id: str = ""
    """The source's own name for it; empty: it is known by its address, or else by its text."""
    title: str = ""
    text: str = ""
    url: str = ""
    time: datetime | None = None
    """When it was published, timezone-aware; None: the source does not say."""
    language: str = ""
    """``zh``, ``en`` …; empty: told from the text."""


@dataclass(frozen=True, slots=True)
class Reject:
    """What was not taken: where it stood, why, and what would mend it."""

    where: str
    cause: str
    cure: str = ""
    raw: str = ""
    """Its beginning, as it was found."""

    def __str__(self) -> str:
        return f"{self.where}: {self.cause}" + (f"; {self.cure}" if self.cure else "")

    def to_json(self) -> dict[str, str]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Polled:
    """What one look at a source gave."""

    items: Iterable[Item]
    cursor: Cursor
    """To be kept once the items are taken: the next look begins there."""
    rejects: tuple[Reject, ...] = ()
    notes: tuple[str, ...] = ()
    """What was decided on the way, a sentence each."""
    has_more: bool = False
    """The source was not read to its end: look again at once."""
    wait_s: float = 0.0
    """How long the source asks to be left alone."""


class Source(Protocol):
    """A place that posts come from."""

    def poll(self, cursor: Cursor) -> Polled:
        """What is new since *cursor*; SourceError where the source gives nothing readable."""


class Answer(Protocol):
    """What a web server answered, whole."""

    @property
    def status(self) -> int:
        """Of HTTP: 200, 304, 404 …"""

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""

    @property
    def body(self) -> bytes:
        """Unpacked where it came compressed."""

    @property
    def url(self) -> str:
        """Where it came from, after redirects."""


class Fetch(Protocol):
    """Asks a web server; `tailorbird.connectors.Web` is ours."""

    def __call__(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> Answer:
        """Its answer, of any status; SourceError where there is none, or one without end.

        Addresses of private networks are refused unless *allow_private*, after redirects too.
        """


@dataclass(slots=True)
class Taken:
    """What became of items: each was new, known before, or refused with its reason."""

    n_new: int = 0
    """Kept now, copies among them."""
    n_known: int = 0
    n_copies: int = 0
    """Of the new: those that tell a story which another post told before."""
    n_undated: int = 0
    """Of the new: without a time, so dated when they were taken."""
    n_future: int = 0
    """Of the new: dated in the future, so dated when they were taken."""
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Taken) -> None:
        """Count what became of more items."""
        self.n_new += other.n_new
        self.n_known += other.n_known
        self.n_copies += other.n_copies
        self.n_undated += other.n_undated
        self.n_future += other.n_future
        self.rejects += other.rejects
        self.notes += [note for note in other.notes if note not in self.notes]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)
