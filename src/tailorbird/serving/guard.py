"""The outer wall of the service: who may come in, with how much, and what browsers are told."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving.refusals import refusal

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "testserver"})
"""Names a local service answers to; ``testserver`` is the one in-process test clients use."""
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


def check_exposure(settings: ServingSettings) -> None:
    """ConfigError where others than this machine could use the service without a key."""
    if not settings.api_key and not is_local(settings.host):
        raise ConfigError(
            f"serving.host = {settings.host!r} lets others reach the service without a key",
            cure="set one with --api-key or $TAILORBIRD_API_KEY, or listen on 127.0.0.1",
        )


class Guard:
    """ASGI middleware: names, keys and sizes are checked before any route sees a request.

    *policies* gives the Content-Security-Policy of paths by prefix; all others get the strict
    one, and a route that sets its own keeps it.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServingSettings, policies: Mapping[str, str]
    ) -> None:
        self.app = app
        self.key = settings.api_key.encode()
        self.max_body_bytes = settings.max_body_bytes
        self.names = LOCAL_NAMES if is_local(settings.host) else None
        self.policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        policy = next(
            (value for prefix, value in self.policies.items() if _is_under(scope, prefix)),
            STRICT_POLICY,
        )

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in (*HEADERS.items(), ("Content-Security-Policy", policy)):
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is None:
            if _is_under(scope, "/v1"):
                receive = self._limited(receive)
            await self.app(scope, receive, send_guarded)
        elif scope["type"] == "http":
            await refused(scope, receive, send_guarded)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        # A page of another site can make a browser connect to localhost, under a name of its
        # own (DNS rebinding) or by a WebSocket, which browsers do not hold to one origin.
        if self.names is not None and _name(host) not in self.names:
            return refusal(
                400,
                f"this service is local and does not answer to the name {host!r}",
                where="host",
                cure="use localhost or 127.0.0.1",
            )
        if scope["type"] == "websocket" and origin and urlsplit(origin).netloc != host:
            return refusal(403, "this origin may not connect", where=origin)
        if self.key and (_is_under(scope, "/v1") or scope["path"] == "/metrics"):
            kind, _, key = headers.get("authorization", "").partition(" ")
            is_right = secrets.compare_digest(key.strip().encode("latin-1"), self.key)
            if kind.lower() != "bearer" or not is_right:
                message = "the API key is wrong" if key else "this route needs an API key"
                challenge = {"WWW-Authenticate": "Bearer"}
                return refusal(401, message, where="authorization", headers=challenge)
        length = headers.get("content-length", "")
        if _is_under(scope, "/v1") and length.isdecimal() and int(length) > self.max_body_bytes:
            return refusal(413, self._too_large(), where="body")
        return None

    def _limited(self, receive: Receive) -> Receive:
        """Counts what is really sent: a length need not be declared, nor be true."""
        n_bytes = 0

        async def receive_limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.max_body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return receive_limited

    def _too_large(self) -> str:
        return f"is larger than {self.max_body_bytes:,} bytes"


def _is_under(scope: Scope, prefix: str) -> bool:
    path: str = scope["path"]
    return path == prefix or path.startswith(f"{prefix}/")


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
