"""Records of any shape made items: which field is the text, which the time."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from tailorbird.assistants.opinion.gathering.items import Item
from tailorbird.assistants.opinion.gathering.moments import moment_of, zone_of
from tailorbird.errors import ConfigError, RowError

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "guid", "uuid", "post_id", "编号"),
    "title": ("title", "headline", "subject", "标题"),
    "text": ("text", "content", "body", "summary", "description", "message", "内容", "正文"),
    "url": ("url", "link", "href", "链接"),
    "time": (
        *("time", "published", "published_at", "pubdate", "date", "created_at", "created"),
        *("timestamp", "datetime", "时间", "发布时间", "日期"),
    ),
    "language": ("language", "lang", "语言"),
}
"""What fields are called, where nobody says otherwise; the first that is there counts."""

_MARKUP = re.compile(r"</[a-z][a-z0-9]*\s*>|<(?:br|p|img|hr)\b[^<>]*>", re.IGNORECASE)
# What no text holds: NUL and its like, and halves of characters, which no database takes.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\ud800-\udfff]")
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Fields:
    """Where in a record each part of an item stands."""

    paths: Mapping[str, str] = field(default_factory=dict)
    """Part of an item → name in the record, with dots for what lies inside: ``author.name``."""
    zone: tzinfo = UTC
    """What times without a zone are meant in."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Fields:
        """As the ``fields`` and the ``time_zone`` of a source's settings say; else ConfigError."""
        paths = settings.get("fields") or {}
        if not isinstance(paths, Mapping) or not all(isinstance(p, str) for p in paths.values()):
            raise ConfigError("fields is not a table of names", cure='as {"text": "body"}')
        if unknown := set(paths) - set(NAMES):
            raise ConfigError(
                f"fields: {sorted(unknown)[0]!r} is no part of a post",
                cure=f"known: {', '.join(NAMES)}",
            )
        return cls(dict(paths), zone_of(str(settings.get("time_zone") or "")))

    def item(self, record: Any) -> Item:
        """The item that *record* describes; RowError where it holds neither text nor title.

        >>> Fields({"text": "body.html"}).item({"id": 7, "body": {"html": "<p>Up&nbsp;3 %</p>"}})
        Item(id='7', title='', text='Up 3 %', url='', time=None, language='')
        """
        if not isinstance(record, Mapping):
            raise RowError("is not an object", cure='write it as {"text": …}')
        title, text = (plain_text(self._text(record, part)) for part in ("title", "text"))
        if not (title or text):
            keys = ", ".join(str(key) for key in list(record)[:12]) or "none"
            raise RowError(
                f"has neither text nor title; its fields: {keys}"[:300],
                cure="say which is which, as --field text=NAME",
            )
        return Item(
            self._text(record, "id"),
            title if text else "",
            text or title,
            self._text(record, "url"),
            moment_of(self._value(record, "time"), self.zone),
            self._text(record, "language")[:2].lower(),
        )

    def _text(self, record: Mapping[str, Any], part: str) -> str:
        value = self._value(record, part)
        return str(value).strip() if isinstance(value, str | int | float) else ""

    def _value(self, record: Mapping[str, Any], part: str) -> Any:
        """The value that stands for *part*; None where there is none."""
        if part in self.paths:
            return inside(record, self.paths[part])
        found = (record[name] for name in NAMES[part] if record.get(name) not in (None, ""))
        return next(found, None)


def inside(record: Any, path: str) -> Any:
    """What lies at a dotted *path*; None where nothing does. Numbers count in lists.

    >>> inside({"data": {"list": [{"text": "a"}]}}, "data.list.0.text")
    'a'
    """
    if isinstance(record, Mapping) and path in record:
        return record[path]  # a column may be called "a.b"
    for name in path.split(".") if path else ():
        if isinstance(record, Mapping):
            record = record.get(name)
        elif isinstance(record, list) and name.isdecimal() and int(name) < len(record):
            record = record[int(name)]
        else:
            return None
    return record


def plain_text(text: str) -> str:
    """The words without markup, control signs and needless space; line breaks stay.

    >>> plain_text("<p>Profit &amp; loss</p><p>1 < 2</p>")
    'Profit & loss\\n1 < 2'
    """
    if _MARKUP.search(text):
        from bs4 import BeautifulSoup

        soup = BeautifulSoup(text, "html.parser")
        for unseen in soup(["script", "style", "template"]):
            unseen.decompose()
        for line_end in soup(["p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4"]):
            line_end.append("\n")
        text = soup.get_text()
    elif "&" in text:
        text = html.unescape(text)
    text = _UNSEEN.sub("", text.replace("\r\n", "\n"))
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()
