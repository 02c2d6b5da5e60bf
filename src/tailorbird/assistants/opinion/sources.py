"""How the sources are doing: what they brought, when they failed, and what is shown of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tailorbird.errors import NotFoundError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow, SourceRow, utc_now

State = Literal["ok", "waiting", "paused", "failing"]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Health:
    """One source with what it brought."""

    row: SourceRow
    n_posts: int
    n_last_day: int
    """Taken within the last 24 hours."""

    @property
    def state(self) -> State:
        """In one word; a webhook is never late, since it is others who send."""
        if self.row.is_paused:
            return "paused"
        if self.row.n_failures:
            return "failing"
        return "ok" if self.row.last_ok is not None or self.n_posts else "waiting"

    @property
    def address(self) -> str:
        """Where it reads from, without what may be a secret."""
        return shown_address(self.row.address)


def list_sources(workspace: Workspace, *, now: datetime | None = None) -> list[Health]:
    """All sources by name, each with its health at *now*."""
    with workspace.sessions() as session:
        rows = session.scalars(select(SourceRow).order_by(SourceRow.name)).all()
        n_all = _counts(session, None)
        n_day = _counts(session, (now or utc_now()) - DAY)
    return [Health(row, n_all.get(row.name, 0), n_day.get(row.name, 0)) for row in rows]


def read_source(workspace: Workspace, name: str) -> Health:
    """One source; NotFoundError names those that there are."""
    known = list_sources(workspace)
    found = next((one for one in known if one.row.name == name), None)
    if found is None:
        raise _no_source(name, [one.row.name for one in known])
    return found


def shown_address(address: str) -> str:
    """An address for people: without user, password and what follows the path.

    >>> shown_address("https://me:secret@news.example/feed?key=1234")
    'https://news.example/feed'
    >>> shown_address("posts/today.jsonl")
    'posts/today.jsonl'
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return "…"
    if not parts.netloc:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _counts(session: Session, since: datetime | None) -> dict[str, int]:
    wanted = select(PostRow.source, func.count()).group_by(PostRow.source)
    if since is not None:
        wanted = wanted.where(PostRow.taken >= since)
    return {str(name): int(n) for name, n in session.execute(wanted)}


def _no_source(name: str, known: list[str]) -> NotFoundError:
    listed = ", ".join(sorted(known)[:10]) or "none yet"
    return NotFoundError(f"there is no source {name!r}", where="source", cure=f"known: {listed}")
