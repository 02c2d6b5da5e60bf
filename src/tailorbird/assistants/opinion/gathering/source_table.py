"""The sources of a workspace: what they are, when each is looked at next, and how it went."""

from __future__ import annotations

import difflib
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.gathering.endpoint import JsonSource
from tailorbird.assistants.opinion.gathering.feed import FeedSource
from tailorbird.assistants.opinion.gathering.fields import Fields
from tailorbird.assistants.opinion.gathering.growing_file import FileSource
from tailorbird.assistants.opinion.gathering.items import Cursor, Fetch, Polled, Source
from tailorbird.assistants.opinion.gathering.polite import MAX_WAIT_S
from tailorbird.errors import ConfigError, ConflictError, NotFoundError
from tailorbird.store import Workspace
from tailorbird.store.tables import SourceKind, SourceRow, utc_now
from tailorbird.text import shorten

MIN_EVERY_S = 10
LONGEST_WAIT_S = 3_600
"""Between tries of a source that is down; it is noticed that much after it is up again."""
KNOWN_SETTINGS = {
    *("fields", "time_zone", "encoding", "headers", "allow_private"),
    *("items", "paging", "parameter", "start", "next", "since"),
}


@dataclass(frozen=True, slots=True)
class Added:
    """A new source, and the secret that those who post to it send, which is shown this once."""

    row: SourceRow
    secret: str = ""


class SourceTable:
    """Reads and changes the rows of sources; of one process or several."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._workspace = workspace
        self._clock = clock

    def add(
        self,
        name: str,
        kind: str,
        address: str = "",
        *,
        settings: Mapping[str, Any] | None = None,
        every_s: int = 900,
    ) -> Added:
        """Keep a source, which is looked at from now on.

        Raises ConfigError for what cannot work, ConflictError where the name is taken.
        """
        name, settings = name.strip(), dict(settings or {})
        if not name or len(name) > 100 or not name.isprintable() or "/" in name:
            raise ConfigError(f"{name[:40]!r} is no name", cure="up to 100 signs, without /")
        if every_s < MIN_EVERY_S:
            raise ConfigError(f"every {every_s} s is too often", cure=f"{MIN_EVERY_S} s or more")
        if kind == "file":
            address = str(Path(address).expanduser().absolute())
        secret = secrets.token_urlsafe(32) if kind == "webhook" else ""
        row = SourceRow(name=name, kind=kind, address=address, settings=settings, every_s=every_s)
        check(row)
        if secret:
            row.settings["secret_sha256"] = hash_of(secret)
        else:
            row.next_poll = self._clock()
        with self._workspace.writing() as session:
            if session.get(SourceRow, name) is not None:
                raise ConflictError(f"there is a source {name!r} already", cure="take another name")
            session.add(row)
        return Added(row, secret)

    def remove(self, name: str) -> None:
        """Forget a source; its posts stay. NotFoundError where there is none."""
        with self._workspace.writing() as session:
            session.delete(self._row(session, name))

    def pause(self, name: str, is_paused: bool = True) -> None:
        """Look at a source no more, or again from now on; NotFoundError where there is none."""
        with self._workspace.writing() as session:
            row = self._row(session, name)
            row.is_paused = is_paused
            if not is_paused and row.kind != "webhook":
                row.next_poll, row.n_failures = self._clock(), 0

    def get(self, name: str) -> SourceRow:
        """The source called *name*; NotFoundError suggests the nearest."""
        with self._workspace.sessions() as session:
            return self._row(session, name)

    def all(self) -> list[SourceRow]:
        """Every source, by name."""
        with self._workspace.sessions() as session:
            return list(session.scalars(select(SourceRow).order_by(SourceRow.name)))

    def due(self) -> list[SourceRow]:
        """Those to be looked at now, the longest due first."""
        with self._workspace.sessions() as session:
            query = select(SourceRow).where(
                SourceRow.is_paused.is_(False), SourceRow.next_poll <= self._clock()
            )
            return list(session.scalars(query.order_by(SourceRow.next_poll)))

    def went_well(self, name: str, cursor: Cursor, *, wait_s: float = 0.0) -> datetime:
        """Keep how far a source was read; the time of its next look."""
        now = self._clock()

        def change(row: SourceRow) -> datetime:
            row.cursor, row.last_ok, row.last_error, row.n_failures = cursor, now, "", 0
            row.next_poll = now + timedelta(seconds=max(row.every_s, wait_s))
            return row.next_poll

        return self._change(name, change, now)

    def failed(self, name: str, error: str, *, wait_s: float = 0.0) -> datetime:
        """Keep why a look failed; each failure in a row doubles the wait, up to an hour."""
        now = self._clock()

        def change(row: SourceRow) -> datetime:
            row.n_failures += 1
            row.last_error = shorten(error, 1_000)
            longest = max(row.every_s, LONGEST_WAIT_S)
            growing = min(row.every_s * 2.0 ** min(row.n_failures - 1, 20), longest)
            row.next_poll = now + timedelta(seconds=max(growing, min(wait_s, MAX_WAIT_S)))
            return row.next_poll

        return self._change(name, change, now)

    def received(self, name: str) -> None:
        """Something came to a webhook."""
        now = self._clock()

        def change(row: SourceRow) -> datetime:
            row.last_ok = now
            return now

        self._change(name, change, now)

    def _change(
        self, name: str, change: Callable[[SourceRow], datetime], otherwise: datetime
    ) -> datetime:
        with self._workspace.writing() as session:
            row = session.get(SourceRow, name)
            return otherwise if row is None else change(row)  # it may have been removed meanwhile

    def _row(self, session: Session, name: str) -> SourceRow:
        row = session.get(SourceRow, name)
        if row is not None:
            return row
        known = list(session.scalars(select(SourceRow.name).order_by(SourceRow.name)))
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:8]) or 'none'}"
        raise NotFoundError(f"there is no source {name!r}", cure=cure)


def open_source(row: SourceRow, fetch: Fetch) -> Source:
    """What reads the source of a *row*; ConfigError where its settings are wrong."""
    kinds: dict[str, Callable[[], Source]] = {
        "file": lambda: FileSource(row.address, row.settings),
        "feed": lambda: FeedSource(row.address, row.settings, fetch),
        "json": lambda: JsonSource(row.address, row.settings, fetch),
        "webhook": lambda: _Silent(),
    }
    if row.kind not in kinds:
        known = ", ".join(get_args(SourceKind))
        raise ConfigError(f"{row.kind!r} is no kind of source", cure=f"known: {known}")
    return kinds[row.kind]()


def check(row: SourceRow) -> None:
    """Refuse, as ConfigError, a source that could never be read."""
    if unknown := set(row.settings) - KNOWN_SETTINGS:
        near = difflib.get_close_matches(sorted(unknown)[0], KNOWN_SETTINGS, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KNOWN_SETTINGS)}"
        raise ConfigError(f"{sorted(unknown)[0]!r} is no setting of a source", cure=cure)
    headers = row.settings.get("headers") or {}
    if not isinstance(headers, dict) or not all(
        isinstance(v, str) and (f"{k}{v}").isprintable() for k, v in headers.items()
    ):
        raise ConfigError("headers is not a table of texts", cure='as {"X-Key": "${KEY}"}')
    Fields.of(row.settings)
    open_source(row, _never)


def hash_of(secret: str) -> str:
    """What is kept of a webhook's secret: it is random, so a plain hash gives nothing away."""
    return hashlib.sha256(secret.encode()).hexdigest()


class _Silent:
    """A webhook is posted to; there is nothing to look at."""

    def poll(self, cursor: Cursor) -> Polled:
        """Nothing, ever."""
        return Polled((), cursor)


def _never(url: str, headers: Mapping[str, str], *, allow_private: bool = False) -> Any:
    raise AssertionError("a source is made without asking anybody")
