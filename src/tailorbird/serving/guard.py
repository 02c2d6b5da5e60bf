"""The outer wall of the service: who may come in, with how much, and what browsers are told."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.knowledge import documents
from tailorbird.serving.admission import API, Access, is_under, open_access
from tailorbird.serving.keys import Keys
from tailorbird.serving.languages import LANGUAGE, preferred_language
from tailorbird.serving.refusals import refusal
from tailorbird.serving.watching import Lasting, Watch

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "testserver"})
"""Names a local service answers to; ``testserver`` is the one in-process test clients use."""
DOCUMENTS = f"{API}/knowledge/documents"
"""Whole documents are sent here, which are larger than other bodies may be."""
STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_local(host: str) -> bool:
    """Whether only this machine can reach a socket bound to *host*.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_exposure(settings: ServingSettings, keys: Keys | None = None) -> None:
    """ConfigError where others than this machine could use the service without a key.

    It may be the one of *settings* or any of *keys* that was not revoked.
    """
    if is_local(settings.host) or settings.api_key or (keys is not None and keys.is_any_live):
        return
    raise ConfigError(
        f"serving.host = {settings.host!r} lets others reach the service without a key",
        cure="set one with --api-key or $TAILORBIRD_API_KEY, make some with tailorbird keys "
        "create NAME, or listen on 127.0.0.1",
    )


class Guard:
    """ASGI middleware: names, persons and sizes are checked before any route sees a request.

    Whoever *access* lets in stands in the state of the request as ``person``. *policies* gives the
    Content-Security-Policy of paths by prefix; all others get the strict one, and a route that
    sets its own keeps it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServingSettings,
        policies: Mapping[str, str],
        access: Access | None = None,
    ) -> None:
        self.app = app
        self.access = access or open_access(settings)
        self.max_body_bytes = settings.max_body_bytes
        self.names = LOCAL_NAMES if is_local(settings.host) else None
        self.policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        LANGUAGE.set(preferred_language(asked.headers.get("accept-language", "")))
        send_guarded = self._guarded(asked, send)
        refused = await self._refused(asked)
        if refused is None:
            if scope["type"] == "websocket":
                await Watch(self.access, asked, receive, send).run(self.app)
                return
            if is_under(scope["path"], API):
                receive = self._limited(receive, self._limit(scope["path"]))
            await Lasting(self.access, asked, send_guarded).run(self.app, receive)
        elif scope["type"] == "http":
            await refused(scope, receive, send_guarded)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _guarded(self, asked: HTTPConnection, send: Send) -> Send:
        """*send* with the headers that browsers heed."""
        path = asked.scope["path"]
        policy = next(
            (value for prefix, value in self.policies.items() if is_under(path, prefix)),
            STRICT_POLICY,
        )
        added = {**HEADERS, "Content-Security-Policy": policy, **self.access.cors(asked)}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_guarded

    async def _refused(self, asked: HTTPConnection) -> Response | None:
        host = asked.headers.get("host", "")
        # A page of another site can make a browser connect to localhost under a name of its own
        # (DNS rebinding).
        if self.names is not None and _name(host) not in self.names:
            return refusal(
                400,
                f"this service is local and does not answer to the name {host!r}",
                where="host",
                cure="use localhost or 127.0.0.1",
            )
        person = await self.access.admit(asked)
        if isinstance(person, Response):
            return person
        asked.scope.setdefault("state", {})["person"] = person
        length = asked.headers.get("content-length", "")
        limit = self._limit(asked.scope["path"])
        if length.isdecimal() and int(length) > limit and is_under(asked.scope["path"], API):
            return refusal(413, _too_large(limit), where="body")
        return None

    def _limit(self, path: str) -> int:
        """Bytes that a body may have."""
        if is_under(path, DOCUMENTS):
            return max(self.max_body_bytes, documents.Limits().max_bytes)
        return self.max_body_bytes

    def _limited(self, receive: Receive, limit: int) -> Receive:
        """Counts what is really sent: a length need not be declared, nor be true."""
        n_bytes = 0

        async def receive_limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise HTTPException(413, _too_large(limit))
            return message

        return receive_limited


def _too_large(limit: int) -> str:
    return f"is larger than {limit:,} bytes"


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
