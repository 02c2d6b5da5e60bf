"""Good manners towards other people's servers: seldom, spaced, and only for what has changed."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from tailorbird.assistants.opinion.gathering.items import Answer, Cursor, Fetch
from tailorbird.errors import ConfigError, SourceError

SPACING_S = 1.0
MAX_WAIT_S = 86_400.0
"""The longest that a server's wish to be left alone is heeded."""

_CURES = {
    401: "it wants a key: --header 'Authorization: Bearer ${NAME}', from the environment",
    403: "it forbids this; is the key right?",
    404: "is the address right?",
    410: "it says it is gone for good; remove the source",
}
_NAMED = re.compile(r"\$\{(\w+)\}")


class Politely:
    """Asks each host one thing at a time, *spacing_s* after its last answer; thread safe."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        spacing_s: float = SPACING_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fetch = fetch
        self._spacing_s = spacing_s
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._hosts: dict[str, threading.Lock] = {}
        self._free_at: dict[str, float] = {}

    def __call__(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> Answer:
        """The answer of the wrapped fetch, once it is this host's turn."""
        host = (urlsplit(url).hostname or "").lower()
        with self._lock:
            turn = self._hosts.setdefault(host, threading.Lock())
        with turn:
            wait_s = self._free_at.get(host, 0.0) - self._clock()
            if host in self._free_at and wait_s > 0:
                self._sleep(wait_s)
            try:
                return self._fetch(url, headers, allow_private=allow_private)
            finally:
                self._free_at[host] = self._clock() + self._spacing_s


def ask(
    fetch: Fetch,
    url: str,
    cursor: Cursor,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
) -> Answer | None:
    """The answer of a server, or None where nothing changed since the one *cursor* remembers.

    ``${NAME}`` in a header stands for a variable of the environment, so that no key lies in the
    database. Raises SourceError for any answer but 200 and 304, with what ``Retry-After`` says.
    """
    sent = {name: _filled(value) for name, value in headers.items()}
    if etag := cursor.get("etag"):
        sent["If-None-Match"] = str(etag)
    if modified := cursor.get("modified"):
        sent["If-Modified-Since"] = str(modified)
    answer = fetch(url, sent, allow_private=allow_private)
    if answer.status == 304:
        return None
    if 200 <= answer.status < 300:
        return answer
    wait_s = _retry_after_s(answer.headers)
    asked = f" and asks to wait {wait_s:,.0f} s" if wait_s else ""
    raise SourceError(
        f"answers {answer.status}{asked}",
        where=shown(url),
        cure=_CURES.get(answer.status, "it is tried again later"),
        wait_s=wait_s,
    )


def remembered(answer: Answer) -> Cursor:
    """What a cursor keeps of an answer, to ask for changes alone."""
    names = {"etag": "etag", "modified": "last-modified"}
    return {key: answer.headers[name] for key, name in names.items() if name in answer.headers}


def shown(url: str) -> str:
    """An address as messages may show it: without query and password, which may be secrets.

    >>> shown("https://me:pw@news.example/feed?key=123")
    'https://news.example/feed'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_web_address(url: str) -> str:
    """The *url* itself; ConfigError where it is no ``http`` or ``https`` address."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if is_usable and parts.username is not None:
        raise ConfigError(
            "the address holds a name and password, which all could read",
            cure="send them as a header, from the environment: 'Authorization: Basic ${NAME}'",
        )
    if not is_usable or any(sign.isspace() for sign in url):
        raise ConfigError(f"{url[:120]!r} is no web address", cure="as https://news.example/feed")
    return url


def _filled(value: str) -> str:
    def named(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise SourceError(
                f"the header names ${{{found[1]}}}, which is not set",
                cure=f"export {found[1]}=… where the service is started",
            )
        return os.environ[found[1]]

    return _NAMED.sub(named, value)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, from seconds or a date (RFC 9110, section 10.2.3); 0 where it says nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), MAX_WAIT_S)
    try:
        until = parsedate_to_datetime(text)
        now_text = headers.get("date", "")
        now = parsedate_to_datetime(now_text) if now_text else datetime.now(UTC)
        return min(max((until - now).total_seconds(), 0.0), MAX_WAIT_S)
    except (ValueError, TypeError):
        return 0.0
