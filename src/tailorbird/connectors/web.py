"""Asks web servers: bounded in time and size, and never where an outsider should not lead us.

An address that others give (a feed, a redirect) could name a machine of one's own network and
make this service ask it. So a host's addresses are looked up here, private ones are refused, and
the connection goes to the very address that was looked at: a name that means something else a
moment later leads nowhere.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from tailorbird import __version__
from tailorbird.errors import SourceError

MAX_BYTES = 32_000_000
"""Of an answer, unpacked; it is read in pieces and given up there."""
TIMEOUT_S = 20.0
"""For a server to begin, and between the pieces of its answer."""
TOTAL_S = 120.0
MAX_REDIRECTS = 5
AGENT = f"Tailorbird/{__version__}"
_PIECE = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What a server answered, whole."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    url: str
    """Where it came from, after redirects."""


class Web:
    """Gets what lies at an address; goes by the proxies of the environment, if any."""

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        timeout_s: float = TIMEOUT_S,
        total_s: float = TOTAL_S,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._total_s = total_s

    def __call__(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> WebAnswer:
        """The answer, of any status, after at most MAX_REDIRECTS redirects.

        Headers with keys do not follow to another host. Raises SourceError where there is no
        answer, it is too large or too slow, or leads into a private network.
        """
        deadline_s = time.monotonic() + self._total_s
        url = _in_ascii(url)
        sent = {"User-Agent": AGENT, "Accept-Encoding": "gzip", **headers}
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._ask(url, sent, deadline_s, allow_private)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            there = _in_ascii(urljoin(url, location))
            if urlsplit(there).scheme not in ("http", "https"):
                raise SourceError(f"leads to {there[:80]!r}, no web address", where=_shown(url))
            if _origin(there) != _origin(url):
                kept = ("user-agent", "accept", "accept-encoding")
                sent = {name: value for name, value in sent.items() if name.lower() in kept}
            url = there
        raise SourceError(
            f"leads on and on, more than {MAX_REDIRECTS} times",
            where=_shown(url),
            cure="give the address that a browser ends at",
        )

    def _ask(
        self, url: str, headers: Mapping[str, str], deadline_s: float, allow_private: bool
    ) -> WebAnswer:
        try:
            opener = _opener(url, allow_private)
            request = urllib.request.Request(url, headers=dict(headers))
            try:
                response = opener.open(request, timeout=self._timeout_s)
            except urllib.error.HTTPError as error:
                response = error  # an answer like any other
            with response:
                named = {name.lower(): value for name, value in response.headers.items()}
                body = b""
                if 200 <= response.status < 300:
                    body = self._body(response, named, _shown(url), deadline_s)
                return WebAnswer(response.status, named, body, url)
        except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
            raise _unanswered(getattr(error, "reason", None) or error, _shown(url)) from error

    def _body(
        self, response: Any, headers: Mapping[str, str], where: str, deadline_s: float
    ) -> bytes:
        """All of it, unpacked; given up where it is too large or takes too long."""
        is_packed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate")
        unpack = zlib.decompressobj(47) if is_packed else None  # 47: gzip or zlib, it finds out
        parts: list[bytes] = []
        n_bytes = n_received = 0
        while piece := response.read1(_PIECE):
            n_received += len(piece)
            if unpack is not None:
                # One byte too many is enough to know; the rest of a bomb is not unpacked.
                piece = unpack.decompress(piece, self._max_bytes - n_bytes + 1)
            parts.append(piece)
            n_bytes += len(piece)
            if n_bytes > self._max_bytes:
                raise SourceError(
                    f"answers with more than {self._max_bytes:,} bytes",
                    where=where,
                    cure="ask it for less, as with a parameter for the number of posts",
                )
            if time.monotonic() > deadline_s:
                raise SourceError(f"takes more than {self._total_s:g} s to answer", where=where)
        announced = headers.get("content-length", "")
        is_short = announced.isdecimal() and n_received < int(announced)
        if is_short or (unpack is not None and not unpack.eof):
            raise SourceError(
                f"breaks off after {n_received:,} bytes", where=where, cure="it is tried again"
            )
        return b"".join(parts)


def address_of(host: str, port: int, *, allow_private: bool) -> str:
    """An address of *host* to connect to; SourceError where it has none outside private networks.

    >>> address_of("127.0.0.1", 80, allow_private=True)
    '127.0.0.1'
    """
    found = [entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    addresses = [str(address) for address in found]
    # One private address among several is refused, too: which one is asked is up to chance.
    if allow_private or all(is_public(address) for address in addresses):
        return addresses[0]
    raise SourceError(
        f"{host} is in a private network",
        cure="if that is meant, add the source with --private",
    )


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet.

    >>> is_public("8.8.8.8"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner:
            found = inner
    return found.is_global and not found.is_multicast


class _Pinned(http.client.HTTPConnection):
    """Connects to an address that was looked at, not to a name."""

    allow_private = False

    def connect(self) -> None:
        """Look the host up, judge its address, and connect to it."""
        address = address_of(self.host, self.port, allow_private=self.allow_private)
        self.sock = socket.create_connection((address, self.port), self.timeout)


class _PinnedTls(http.client.HTTPSConnection, _Pinned):
    """The same, encrypted; the certificate is still checked against the name."""


def _opener(url: str, allow_private: bool) -> urllib.request.OpenerDirector:
    """What asks for *url*, by a proxy where the environment names one for it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_by_proxy = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
        parts.netloc
    )
    if not is_by_proxy:
        no_proxy = urllib.request.ProxyHandler({})
        kinds = (no_proxy, _Plain(allow_private), _Tls(allow_private), _NoRedirect())
        return urllib.request.build_opener(*kinds)
    # The proxy looks names up for itself; what is private as seen from here is refused as well.
    with suppress(OSError):
        address_of(host, parts.port or 443, allow_private=allow_private)
    return urllib.request.build_opener(_NoRedirect())


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self._allow_private = allow_private

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(partial(_made, _Pinned, self._allow_private), request)


class _Tls(urllib.request.HTTPSHandler):
    def __init__(self, allow_private: bool) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(context=self._tls)
        self._allow_private = allow_private

    def https_open(self, request: urllib.request.Request) -> Any:
        kind = partial(_made, _PinnedTls, self._allow_private, context=self._tls)
        return self.do_open(kind, request)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Each step is taken by `Web`, which looks where it leads."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Never."""


def _made(kind: Any, allow_private: bool, host: str, **options: Any) -> Any:
    connection = kind(host, **options)
    connection.allow_private = allow_private
    return connection


def _in_ascii(url: str) -> str:
    """The address with percent signs for what HTTP does not take, as browsers write it.

    >>> _in_ascii("https://新闻.example/搜索?q=油价&n=5%20")
    'https://xn--efvy88h.example/%E6%90%9C%E7%B4%A2?q=%E6%B2%B9%E4%BB%B7&n=5%20'
    """
    parts = urlsplit(url)
    netloc = parts.netloc
    if not netloc.isascii():
        with suppress(UnicodeError):
            netloc = netloc.encode("idna").decode()
    path, query = (quote(part, safe="/%:=&?~+!$,;'@()*[]") for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, netloc, path or "/", query, ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _shown(url: str) -> str:
    """Without query and password, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _unanswered(reason: object, where: str) -> SourceError:
    cure = "it is tried again later"
    if isinstance(reason, TimeoutError):
        what = "does not answer in time"
    elif isinstance(reason, ssl.SSLCertVerificationError):
        what, cure = f"has a wrong certificate ({reason.verify_message})", "is the address right?"
    elif isinstance(reason, socket.gaierror):
        what, cure = "is a name nobody knows", "is the address right?"
    else:
        what = f"does not answer ({getattr(reason, 'strerror', None) or reason})"
    return SourceError(what, where=where, cure=cure)
