"""Browsers that have shown a key: a signed cookie, and a token against forged requests."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from starlette.responses import Response

SESSION_COOKIE = "tailorbird_session"
CSRF_COOKIE = "tailorbird_csrf"
CSRF_HEADER = "X-CSRF-Token"
MAX_COOKIE_CHARS = 1000
MAX_ENDED = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """Who a browser said it was, and until when that counts."""

    holder: str
    """The id of the key; of the key that the service was started with, a fingerprint."""
    until_s: float
    """Seconds of the epoch."""
    id: str

    @property
    def until(self) -> datetime:
        """The same as a moment."""
        return datetime.fromtimestamp(self.until_s, UTC)


class Sessions:
    """Makes and reads the cookies of browsers, signed with *secret*; they last *hours*.

    Nothing is kept of a session but, until the process ends, that it was ended.
    """

    def __init__(
        self, secret: str, *, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._signer = URLSafeSerializer(
            secret, salt="tailorbird session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._secret = secret.encode()
        self._lifetime_s = hours * 3600
        self._clock = clock
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, holder: str) -> Session:
        """A new session of *holder*."""
        return Session(holder, self._clock() + self._lifetime_s, secrets.token_hex(16))

    def end(self, session: Session) -> None:
        """Let the cookie of *session* be worth nothing from here on."""
        self._ended[session.id] = None
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def read(self, cookie: str) -> Session | str:
        """The session in *cookie*, or the sentence that says why there is none."""
        try:
            found: Any = self._signer.loads(cookie[:MAX_COOKIE_CHARS])
            session = Session(str(found["k"]), float(found["u"]), str(found["i"]))
        except (BadData, KeyError, TypeError, ValueError):
            return "the session cookie was not made by this service"
        if session.until_s <= self._clock():
            return "the session has expired"
        if session.id in self._ended:
            return "the session was ended"
        return session

    def csrf_token(self, session: Session) -> str:
        """What a page must send beside the cookie of *session*, and pages of others cannot know."""
        message = f"csrf {session.id}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def fingerprint(self, key: str) -> str:
        """What stands for a key that has no id, in a cookie; another key has another one."""
        return "=" + hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()[:32]

    def give(self, response: Response, session: Session, *, secure: bool) -> None:
        """Put the cookies of *session* on *response*; *secure* where the browser came by HTTPS."""
        content = {"k": session.holder, "u": round(session.until_s), "i": session.id}
        options: Mapping[str, Any] = {
            "max_age": max(0, int(session.until_s - self._clock())),
            "samesite": "strict",
            "secure": secure,
        }
        response.set_cookie(
            SESSION_COOKIE, str(self._signer.dumps(content)), httponly=True, **options
        )
        response.set_cookie(CSRF_COOKIE, self.csrf_token(session), **options)


def take_back(response: Response) -> None:
    """Let the browser forget its cookies."""
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, samesite="strict")


def secret_in(folder: Path) -> str:
    """The folder's secret, made at the first call; only its owner can read it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "secret"
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=folder)  # of mode 0600
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
        # A link appears whole or not at all; where another process was first, its secret counts.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        os.unlink(draft)
    return path.read_text(encoding="ascii")
