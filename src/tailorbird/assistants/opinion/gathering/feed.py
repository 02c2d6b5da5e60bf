"""Posts from RSS and Atom feeds."""

from __future__ import annotations

import io
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tailorbird.assistants.opinion.gathering.fields import Fields, plain_text
from tailorbird.assistants.opinion.gathering.items import (
    Answer,
    Cursor,
    Fetch,
    Item,
    Polled,
    Reject,
)
from tailorbird.assistants.opinion.gathering.moments import moment_of
from tailorbird.assistants.opinion.gathering.polite import (
    MAX_WAIT_S,
    ask,
    check_web_address,
    remembered,
    shown,
)
from tailorbird.errors import RowError, SourceError, missing_extra
from tailorbird.text import shorten


class FeedSource:
    """The entries of a feed; asked only for what changed since the last look."""

    def __init__(self, url: str, settings: Mapping[str, Any], fetch: Fetch) -> None:
        self.url = check_web_address(url)
        self._zone = Fields.of(settings).zone
        self._headers = dict(settings.get("headers") or {})
        self._allow_private = bool(settings.get("allow_private"))
        self._fetch = fetch

    def poll(self, cursor: Cursor) -> Polled:
        """All entries the feed holds now, none where it did not change; else SourceError."""
        headers = {"Accept": "application/rss+xml, application/atom+xml, */*;q=0.1"}
        headers |= self._headers
        allowed = self._allow_private
        answer = ask(self._fetch, self.url, cursor, headers, allow_private=allowed)
        if answer is None:
            return Polled((), cursor)
        parsed = _parsed(answer)
        if not parsed.entries and not parsed.get("version"):
            raise _no_feed(answer, shown(self.url))
        notes: tuple[str, ...] = ()
        if parsed.get("bozo") and parsed.entries:
            problem = shorten(str(parsed.bozo_exception), 120)
            notes = (f"the feed is damaged ({problem}); what could be read of it was taken",)
        items, rejects = self._items(parsed)
        return Polled(
            items, remembered(answer), tuple(rejects), notes, wait_s=_asked_wait_s(parsed)
        )

    def _items(self, parsed: Any) -> tuple[list[Item], list[Reject]]:
        language = str(parsed.feed.get("language") or "")[:2].lower()
        items, rejects = [], []
        for number, entry in enumerate(parsed.entries, 1):
            title = plain_text(str(entry.get("title") or ""))
            contents = [part.get("value") or "" for part in entry.get("content") or ()]
            text = plain_text(max([str(entry.get("summary") or ""), *contents], key=len))
            if not (title or text):
                rejects.append(Reject(f"entry {number}", "has neither title nor text"))
                continue
            items.append(
                Item(
                    str(entry.get("id") or ""),
                    title if text else "",
                    text or title,
                    str(entry.get("link") or ""),
                    self._time(entry),
                    str(entry.get("language") or "")[:2].lower() or language,
                )
            )
        return items, rejects

    def _time(self, entry: Any) -> datetime | None:
        for name in ("published", "updated", "created"):
            try:
                if (moment := moment_of(entry.get(name), self._zone)) is not None:
                    return moment
            except RowError:
                if parts := entry.get(f"{name}_parsed"):
                    return datetime.fromtimestamp(timegm(parts), UTC)
        return None


def _parsed(answer: Answer) -> Any:
    try:
        import feedparser
    except ImportError as error:
        raise missing_extra("feedparser", extra="monitor") from error
    kept = ("content-type", "content-language")
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    # As a file: of a text, feedparser would ask itself whether it is an address.
    return feedparser.parse(
        io.BytesIO(answer.body), response_headers={**headers, "content-location": answer.url}
    )


def _asked_wait_s(parsed: Any) -> float:
    """RSS 2.0's ``ttl``: minutes for which the feed wants to be kept."""
    try:
        return min(max(float(parsed.feed.get("ttl") or 0), 0) * 60, MAX_WAIT_S)
    except ValueError:
        return 0.0


def _no_feed(answer: Answer, where: str) -> SourceError:
    """Says what came instead, and where the page says that its feed is."""
    begins = shorten(answer.body[:200].decode("utf-8", "replace"), 60)
    cure = "is the address that of the feed?"
    if b"<html" in answer.body[:2000].lower():
        from bs4 import BeautifulSoup

        page = BeautifulSoup(answer.body[:200_000], "html.parser")
        kinds = ("application/rss+xml", "application/atom+xml")
        if link := page.find("link", rel="alternate", type=kinds):
            cure = f"this is a web page; it names its feed: {link.get('href')}"
    return SourceError(f"is no RSS or Atom feed, it begins {begins!r}", where=where, cure=cure)
