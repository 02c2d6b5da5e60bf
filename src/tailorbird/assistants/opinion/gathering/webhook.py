"""Posts that others send: who may, in which shapes, and what became of them."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tailorbird.assistants.opinion.gathering.fields import Fields
from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.items import Item, Reject, Taken
from tailorbird.assistants.opinion.gathering.source_table import SourceTable, hash_of
from tailorbird.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RequestError,
    RowError,
)
from tailorbird.store import Workspace
from tailorbird.store.tables import SourceRow, utc_now
from tailorbird.text import shorten

MAX_BODY_BYTES = 16_000_000
"""Of one request; a route should stop reading there."""
MAX_POSTS = 10_000
"""Of one request."""
LISTS = ("posts", "items", "data")
"""Where in an object the posts are looked for."""
_LOOK_AGAIN = timedelta(seconds=10)
"""How long a source is believed to be what it was; a removed one is refused after that."""


class Webhooks:
    """Receives what is posted to the sources of kind ``webhook``; thread safe."""

    def __init__(
        self, workspace: Workspace, intake: Intake, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._table = SourceTable(workspace, clock=clock)
        self._intake = intake
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[datetime, SourceRow]] = {}
        self._noted: dict[str, datetime] = {}

    def receive(self, name: str, secret: str, body: bytes) -> Taken:
        """What became of the posts in *body*, once those that were taken are on disk.

        *body* is one object, a list of them, ``{"posts": [...]}``, or JSON lines. It blocks: call
        it from a worker thread. Raises ForbiddenError for a wrong name or secret, ConflictError
        for a paused source, RequestError for what is no JSON or too much, UnavailableError where
        too many posts wait already: then the same may be sent again.
        """
        row = self._allowed(name, secret)
        if len(body) > MAX_BODY_BYTES:
            raise RequestError(
                f"is {len(body):,} bytes long, at most {MAX_BODY_BYTES:,} are taken",
                where="body",
                cure="send fewer posts at once",
            )
        records = _records(body)
        if len(records) > MAX_POSTS:
            raise RequestError(
                f"holds {len(records):,} posts, at most {MAX_POSTS:,} are taken at once",
                where="body",
                cure="send them in several requests",
            )
        try:
            fields = Fields.of(row.settings)
        except ConfigError as error:
            raise ConflictError(f"the source cannot be used: {error}") from error
        items: list[Item] = []
        rejects: list[Reject] = []
        for number, record in enumerate(records):
            try:
                items.append(fields.item(record))
            except RowError as error:
                raw = shorten(json.dumps(record, ensure_ascii=False), 100)
                rejects.append(Reject(f"posts[{number}]", error.what, error.cure, raw))
        taken = self._intake.take(name, items)
        taken.rejects = rejects + taken.rejects
        self._note(name)
        return taken

    def _allowed(self, name: str, secret: str) -> SourceRow:
        """The source; ForbiddenError alike for no source and for a wrong secret."""
        row = self._row(name)
        expected = "" if row is None else str(row.settings.get("secret_sha256") or "")
        is_right = hmac.compare_digest(hash_of(secret), expected or "-" * 64)
        if row is None or row.kind != "webhook" or not is_right:
            raise ForbiddenError(
                "the name of the source or its secret is wrong",
                where="authorization",
                cure="send Authorization: Bearer SECRET, as shown when the source was added",
            )
        if row.is_paused:
            raise ConflictError(
                f"the source {name!r} is paused",
                cure=f"resume it: tailorbird opinion resume {name}",
            )
        return row

    def _row(self, name: str) -> SourceRow | None:
        now = self._clock()
        with self._lock:
            if name in self._rows and now - self._rows[name][0] < _LOOK_AGAIN:
                return self._rows[name][1]
        try:
            row = self._table.get(name)
        except NotFoundError:
            with self._lock:
                self._rows.pop(name, None)
            return None
        with self._lock:
            self._rows[name] = now, row
        return row

    def _note(self, name: str) -> None:
        """Keep when something came last; not at every post, as that would be a write more."""
        now = self._clock()
        with self._lock:
            noted = self._noted.get(name)
            if noted is not None and now - noted < timedelta(minutes=1):
                return
            self._noted[name] = now
        self._table.received(name)


def secret_of(headers: Mapping[str, str]) -> str:
    """The secret in the headers of a request, whose names are in lower case; empty: none.

    >>> secret_of({"authorization": "Bearer abc"}), secret_of({"x-tailorbird-secret": "abc"})
    ('abc', 'abc')
    """
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-tailorbird-secret", "").strip()


def _records(body: bytes) -> list[Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError("is not UTF-8", where="body", cure="send it as UTF-8") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            value = [json.loads(line) for line in lines] if len(lines) > 1 else None
        except (ValueError, RecursionError):
            value = None
        if value is None:
            raise RequestError(
                "is no JSON", where="body", cure='send it as {"text": "…"}'
            ) from error
    if isinstance(value, dict):
        lists = (value[name] for name in LISTS if isinstance(value.get(name), list))
        return next(lists, [value])
    if isinstance(value, list):
        return value
    raise RequestError("is no object and no list", where="body", cure='send it as {"text": "…"}')
