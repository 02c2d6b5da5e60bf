"""Posts from any HTTP endpoint that answers JSON: where the list is, how pages go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from tailorbird.assistants.opinion.gathering.fields import Fields, inside
from tailorbird.assistants.opinion.gathering.items import (
    Answer,
    Cursor,
    Fetch,
    Item,
    Polled,
    Reject,
)
from tailorbird.assistants.opinion.gathering.polite import (
    ask,
    check_web_address,
    remembered,
    shown,
)
from tailorbird.errors import ConfigError, RowError, SourceError
from tailorbird.text import shorten

Paging = Literal["none", "page", "offset", "next"]

MAX_PAGES = 20
"""Pages of one look; what is left is read by the next, which follows at once."""
N_REMEMBERED = 500
"""Items whose return says that older pages hold nothing new."""


class JsonSource:
    """The records of an endpoint, page by page until one brings nothing new.

    Settings, all optional: ``items`` (the path of the list, as ``data.list``), ``fields``,
    ``time_zone``, ``headers``, ``paging``: ``page`` or ``offset`` (a number in *parameter*, the
    first being *start*), or ``next`` (the next address, or value of *parameter*, at path *next*);
    ``since``: a parameter that gets the time of the newest record.
    """

    def __init__(self, url: str, settings: Mapping[str, Any], fetch: Fetch) -> None:
        self.url = check_web_address(url)
        self._fields = Fields.of(settings)
        self._headers = {"Accept": "application/json", **(settings.get("headers") or {})}
        self._allow_private = bool(settings.get("allow_private"))
        self._list = str(settings.get("items") or "")
        self._paging = str(settings.get("paging") or "none")
        if self._paging not in get_args(Paging):
            known = ", ".join(get_args(Paging))
            raise ConfigError(f"paging = {self._paging!r} is unknown", cure=f"known: {known}")
        self._next = str(settings.get("next") or "")
        if self._paging == "next" and not self._next:
            raise ConfigError("paging = 'next' needs the path of the next page", cure="--next PATH")
        usual = {"page": "page", "offset": "offset"}.get(self._paging, "")
        self._parameter = str(settings.get("parameter") or usual)
        self._first = int(settings.get("start", 1 if self._paging == "page" else 0))
        self._since = str(settings.get("since") or "")
        self._fetch = fetch

    def poll(self, cursor: Cursor) -> Polled:
        """The records of all pages with something new; SourceError where there is not one page."""
        read = _Read(set(cursor.get("seen") or ()))
        kept: Cursor = {key: cursor[key] for key in ("etag", "modified") if key in cursor}
        place: Any = cursor.get("next")
        is_amid = place is not None
        for number in range(MAX_PAGES):
            is_first = number == 0 and not is_amid
            try:
                # A server may say that its first page did not change, but then nothing did.
                answer = self._ask(place, cursor, only_changes=is_first)
                if answer is None:
                    return Polled((), cursor)
                records, value = self._records(answer)
            except SourceError as error:
                if number == 0:
                    raise
                read.notes.append(f"page {number + 1} is read later: {error}")
                return self._polled(read, {**kept, "next": place}, cursor, wait_s=error.wait_s)
            if is_first:
                kept = remembered(answer)
            is_new = read.add(records, self._fields, shown(self.url))
            place = self._after(place, value, answer, len(records), read) if is_new else None
            if place is None:
                return self._polled(read, kept, cursor)
        return self._polled(read, {**kept, "next": place}, cursor, has_more=True)

    def _polled(
        self,
        read: _Read,
        kept: Cursor,
        cursor: Cursor,
        *,
        has_more: bool = False,
        wait_s: float = 0.0,
    ) -> Polled:
        earlier = [one for one in cursor.get("seen") or () if one not in set(read.seen)]
        # Of a list read in several looks its beginning was seen first.
        seen = earlier + read.seen if "next" in cursor else read.seen + earlier
        kept["seen"] = seen[:N_REMEMBERED]
        times = [item.time.isoformat() for item in read.items if item.time]
        newest = max([*times, cursor.get("newest") or ""])
        # While pages are left, the question stays the same, so that their numbers do.
        kept["since"] = cursor.get("since") if "next" in kept else newest
        kept["newest"] = newest
        rejects, notes = tuple(read.rejects), tuple(read.notes)
        return Polled(read.items, kept, rejects, notes, has_more, wait_s)

    def _ask(self, place: Any, cursor: Cursor, *, only_changes: bool) -> Answer | None:
        url = self._address(place, cursor)
        remembered_answer = cursor if only_changes and not self._since else {}
        allowed = self._allow_private
        return ask(self._fetch, url, remembered_answer, self._headers, allow_private=allowed)

    def _address(self, place: Any, cursor: Cursor) -> str:
        """Where the page at *place* is; None: the first one."""
        if self._paging == "next" and not self._parameter and place is not None:
            return str(place)
        added = {}
        if self._since and (since := cursor.get("since")):
            # Of one whose clock has run ahead, no more is asked than what is to come.
            added[self._since] = min(since, datetime.now(UTC).isoformat())
        if self._parameter and self._paging != "next":
            added[self._parameter] = str(self._first if place is None else place)
        elif self._parameter and place is not None:
            added[self._parameter] = str(place)
        parts = urlsplit(self.url)
        query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **added}
        return urlunsplit(parts._replace(query=urlencode(query)))

    def _after(self, place: Any, value: Any, answer: Answer, n_records: int, read: _Read) -> Any:
        """Where the next page is; None where this was the last."""
        if self._paging == "page":
            return (self._first if place is None else int(place)) + 1
        if self._paging == "offset":
            return (self._first if place is None else int(place)) + n_records
        if self._paging != "next":
            return None
        found = inside(value, self._next)
        if found in (None, "", False) or found == place:
            return None
        if self._parameter:
            return found
        address = urljoin(answer.url, str(found))
        if urlsplit(address).hostname != urlsplit(self.url).hostname:
            # The headers may hold a key, which is meant for this host alone.
            read.notes.append(f"the next page is on another host and was left: {shown(address)}")
            return None
        return address

    def _records(self, answer: Answer) -> tuple[list[Any], Any]:
        """The records of a page, and the whole value they lie in."""
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            begins = shorten(answer.body[:200].decode("utf-8", "replace"), 60)
            raise SourceError(
                f"is no JSON, it begins {begins!r}",
                where=shown(self.url),
                cure="is it a feed? then add it with --kind feed",
            ) from error
        found = inside(value, self._list)
        if isinstance(found, list):
            return found, value
        lists = ", ".join(_lists_in(value)) or "none"
        raise SourceError(
            f"has no list at {self._list or 'its top'!r}; its lists: {lists}",
            where=shown(self.url),
            cure="name one: --items PATH",
        )


@dataclass(slots=True)
class _Read:
    """What was read on the pages of one look."""

    known: set[str]
    seen: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, records: list[Any], fields: Fields, where: str) -> bool:
        """Read a page; whether anything on it was not there at the last look."""
        prints = [_print_of(record) for record in records]
        for number, record in enumerate(records, 1):
            try:
                self.items.append(fields.item(record))
            except RowError as error:
                raw = shorten(json.dumps(record, ensure_ascii=False), 200)
                place = f"{where} record {number}"
                self.rejects.append(Reject(place, error.what, error.cure, raw))
        is_new = not set(prints) <= self.known
        self.seen += prints
        return is_new


def _print_of(record: Any) -> str:
    """What a record is recognised by, in 16 characters."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _lists_in(value: Any, path: str = "", depth: int = 3) -> list[str]:
    if isinstance(value, list):
        return [path or "(top)"]
    if not isinstance(value, dict) or not depth:
        return []
    below = (_lists_in(v, f"{path}.{k}".lstrip("."), depth - 1) for k, v in value.items())
    return [found for some in below for found in some][:8]
