"""Who comes in: a key, a browser's session or nobody's, from which page, and how often."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.serving.keys import Keys, key_id_of
from tailorbird.serving.limits import Buckets, caller_of
from tailorbird.serving.persons import LOCAL, OWNER, VISITOR, Person
from tailorbird.serving.refusals import refusal
from tailorbird.serving.sessions import (
    CSRF_HEADER,
    SESSION_COOKIE,
    Session,
    Sessions,
    secret_in,
)
from tailorbird.serving.user_tokens import USER_HEADER, UserTokens
from tailorbird.store import Workspace

API = "/v1"
METRICS = "/metrics"
SIGN_IN = "/v1/session"
PUBLIC = ("/v1/conversations", "/v1/feedback")
"""What the chat widget speaks to: open to visitors without a key where the settings say so."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WEBHOOKS = "/v1/opinion/posts"
"""What is posted there says by the secret of its source who sent it; see `gathering.Webhooks`."""
MAX_KEY_CHARS = 512
MAX_CHECKS = 64
"""Keys that are hashed or wait for it; a flood of wrong ones shall not take the machine."""
SIGN_IN_AGAIN = "sign in again"
NOBODY = Person("", "visitor")
"""Who has a key that was revoked."""


class Access:
    """Decides of each request who makes it; made by `open_access`.

    Without any key everybody is `LOCAL` (`check_exposure` sees that only this machine can reach
    such a service). Pages of other sites can change nothing, unless they are listed, and then as
    visitors only.
    """

    def __init__(
        self,
        serving: ServingSettings,
        settings: AccessSettings,
        sessions: Sessions,
        *,
        keys: Keys | None = None,
        user_tokens: UserTokens | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = keys
        self.sessions = sessions
        self.user_tokens = user_tokens or UserTokens(secrets.token_urlsafe(32))
        self.clock = clock
        self._own_key = serving.api_key
        self._is_chat_public = serving.public_chat
        self._origins = {_origin(part) for part in settings.origins.split(",") if part.strip()}
        self._wrong = Buckets(settings.wrong_keys_per_minute, clock=clock)
        self._of_keys = Buckets(settings.key_per_minute, clock=clock)
        self._of_visitors = Buckets(settings.visitor_per_minute, clock=clock)
        self._checks: dict[str, asyncio.Task[Person | None]] = {}
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="tailorbird-keys")

    @property
    def needs_keys(self) -> bool:
        """Whether there are keys at all."""
        return bool(self._own_key) or (self.keys is not None and self.keys.is_any)

    async def admit(self, asked: HTTPConnection) -> Person | Response:
        """Who asks; or what they are told instead, where they may not come in."""
        await self._look()
        if (refused := self._from_elsewhere(asked)) is not None:
            return refused
        person = await self._who(asked)
        if isinstance(person, Response):
            return person
        if asked.scope["path"] == METRICS and self.needs_keys and not person.may("agent"):
            return refusal(
                403, f"{person.name} is {person.role}, and this is for agents", where=METRICS
            )
        return self._too_often(asked, person) or self._for_user(asked, person)

    async def is_still(self, asked: HTTPConnection, person: Person) -> bool:
        """Whether who was let in as *person* would be now: of use where a request goes on."""
        await self._look()
        now: Person | Response | None = self._still(asked)
        if now is None:
            now = await self._who(asked)
        return isinstance(now, Person) and self._for_user(asked, now) == person

    def cors(self, asked: HTTPConnection) -> dict[str, str]:
        """The headers that let a listed page read the answer; none for all others."""
        if not self._is_listed(asked):
            return {}
        return {
            "Access-Control-Allow-Origin": asked.headers["origin"],
            "Access-Control-Expose-Headers": "Retry-After",
            "Vary": "Origin",
        }

    async def sign_in(self, key: str, asked: HTTPConnection) -> Session | Response:
        """A session for whoever has *key*; or what they are told instead."""
        person = await self._holder_of(key, asked)
        if isinstance(person, Response):
            return person
        holder = self.sessions.fingerprint(key) if person == OWNER else key_id_of(key)
        return self.sessions.begin(holder)

    def session_of(self, asked: HTTPConnection) -> Session | str:
        """The session of a browser, or the sentence that says why there is none."""
        cookie = asked.cookies.get(SESSION_COOKIE, "")
        return self.sessions.read(cookie) if cookie else "there is no session"

    def holder(self, session: Session) -> Person | None:
        """Who began *session*; None where their key was revoked or replaced since."""
        if session.holder.startswith("="):
            own = self.sessions.fingerprint(self._own_key)
            is_own = secrets.compare_digest(session.holder.encode(), own.encode())
            return OWNER if self._own_key and is_own else None
        return self.keys.holder(session.holder) if self.keys is not None else None

    def _still(self, asked: HTTPConnection) -> Person | None:
        """Whose the key in the header is, which was found right before; None where there is none.

        It takes no slow hash, and a key that was revoked is no guess.
        """
        kind, _, sent = asked.headers.get("authorization", "").partition(" ")
        key_id = key_id_of(_utf8(sent.strip()))
        is_read = is_under(asked.scope["path"], API) or asked.scope["path"] == METRICS
        if not is_read or kind.lower() != "bearer" or not key_id or self.keys is None:
            return None
        return (self.keys.holder(key_id) or NOBODY) if self.needs_keys else None

    def _for_user(self, asked: HTTPConnection, person: Person) -> Person | Response:
        """*person*, who acts for a user where a token says so."""
        token = asked.headers.get(USER_HEADER, "")
        if not token:
            return person
        user, problem = self.user_tokens.read(token)
        if problem:
            cure = "ask for another with POST /v1/user-tokens"
            return refusal(401, problem, where=USER_HEADER, cure=cure)
        return replace(person, user=user)

    async def _look(self) -> None:
        if self.keys is not None and not self.keys.is_fresh:
            await asyncio.to_thread(self.keys.reload)

    async def _who(self, asked: HTTPConnection) -> Person | Response:
        if not self.needs_keys:
            return VISITOR if self._is_listed(asked) else LOCAL
        path = asked.scope["path"]
        if asked.scope.get("method") == "POST" and path.startswith(f"{WEBHOOKS}/"):
            return VISITOR
        is_guarded = is_under(path, API) or path == METRICS
        if is_guarded and "authorization" in asked.headers:
            kind, _, key = asked.headers["authorization"].partition(" ")
            if kind.lower() != "bearer" or not key.strip():
                return _no_key("the header Authorization is not of the form 'Bearer KEY'")
            return await self._holder_of(_utf8(key.strip()), asked)
        is_sign_in = path == SIGN_IN and asked.scope.get("method") in ("POST", "DELETE")
        if asked.cookies.get(SESSION_COOKIE) and not (is_sign_in or self._is_listed(asked)):
            found = self._signed_in(asked)
            if isinstance(found, Person) or (is_guarded and not self._is_open(path)):
                return found
            if found.status_code == 403:  # signed in, and perhaps not the one who asks
                return found
        if not is_guarded or is_sign_in or self._is_open(path):
            return VISITOR
        return _no_key("this route needs an API key")

    async def _holder_of(self, key: str, asked: HTTPConnection) -> Person | Response:
        """Whose *key* it is. Keys remembered as right are always let in: they are no guesses."""
        if self.keys is not None and (known := self.keys.remembered(key)) is not None:
            return known
        caller = _caller(asked)
        task = self._checks.get(key)
        if task is None:
            if wait_s := self._wrong.take(caller):
                return slow_down(wait_s, "too many wrong keys came from this address")
            if len(self._checks) >= MAX_CHECKS:
                self._wrong.give_back(caller)
                message = "too many keys are being checked at once"
                return refusal(503, message, where="authorization", headers={"Retry-After": "1"})
            task = asyncio.create_task(self._find(key, caller))
            self._checks[key] = task
            task.add_done_callback(lambda _: self._checks.pop(key, None))
        # One client that leaves does not take the check away from others with the same key.
        person = await asyncio.shield(task)
        return person or _no_key("the API key is wrong")

    async def _find(self, key: str, caller: str) -> Person | None:
        person = None
        if len(key) <= MAX_KEY_CHARS:
            own = self._own_key.encode()
            if own and secrets.compare_digest(key.encode("utf-8", "surrogatepass"), own):
                person = OWNER
            elif self.keys is not None and key_id_of(key):
                loop = asyncio.get_running_loop()
                person = await loop.run_in_executor(self._hashing, self.keys.person_of, key)
        if person is not None:
            self._wrong.give_back(caller)
        return person

    def _signed_in(self, asked: HTTPConnection) -> Person | Response:
        """Whose the cookie is; 401: nobody's; 403: perhaps a page of another site sent it."""
        session = self.session_of(asked)
        if isinstance(session, str):
            return _no_key(session, cure=SIGN_IN_AGAIN)
        person = self.holder(session)
        if person is None:
            return _no_key("the key of this session is no longer valid", cure=SIGN_IN_AGAIN)
        is_socket = asked.scope["type"] == "websocket"
        if not is_socket and asked.scope["method"] in SAFE_METHODS:
            return person
        if not asked.headers.get("origin"):
            message = "with a session cookie the header Origin must say which page asks"
            return refusal(403, message, where="origin")
        if is_socket or not is_under(asked.scope["path"], API):
            return person  # sockets and pages cannot send the token; their Origin is this service
        given = asked.headers.get(CSRF_HEADER, "").encode()
        if not secrets.compare_digest(given, self.sessions.csrf_token(session).encode()):
            what = "does not fit this session" if given else "is missing"
            cure = "send the value of the cookie tailorbird_csrf in it"
            return refusal(403, f"the header {CSRF_HEADER} {what}", where=CSRF_HEADER, cure=cure)
        return person

    def _from_elsewhere(self, asked: HTTPConnection) -> Response | None:
        """What pages of other sites are told instead; None where they may go on."""
        if not _is_foreign(asked):
            return None
        origin = asked.headers["origin"][:200]
        if asked.scope["type"] == "websocket":
            return refusal(403, "this origin may not connect", where=origin)
        method = asked.scope["method"]
        is_listed = self._is_listed(asked)
        if method == "OPTIONS" and "access-control-request-method" in asked.headers and is_listed:
            allowed = {
                "Access-Control-Allow-Methods": "GET, POST, DELETE",
                "Access-Control-Allow-Headers": f"Content-Type, {USER_HEADER}",
                "Access-Control-Max-Age": "600",
            }
            return Response(status_code=204, headers=allowed)
        # Whoever sends a key in a header is no page of another site: browsers ask first, see above.
        is_with_key = method != "OPTIONS" and "authorization" in asked.headers
        if method in SAFE_METHODS - {"OPTIONS"} or is_with_key or is_listed:
            return None
        cure = "where its pages show the chat widget, list the origin in access.origins"
        return refusal(403, "pages of this origin may change nothing here", where=origin, cure=cure)

    def _too_often(self, asked: HTTPConnection, person: Person) -> Response | None:
        if person == LOCAL or not is_under(asked.scope["path"], API):
            return None
        if person == VISITOR:
            wait_s = self._of_visitors.take(_caller(asked))
            whose = "this address"
        else:
            wait_s, whose = self._of_keys.take(person.name), "this key"
        return slow_down(wait_s, f"too many requests came from {whose}") if wait_s else None

    def _is_open(self, path: str) -> bool:
        return self._is_chat_public and any(is_under(path, prefix) for prefix in PUBLIC)

    def _is_listed(self, asked: HTTPConnection) -> bool:
        """Whether a page of another site asks, of one that may show the chat widget, for that."""
        return (
            bool(self._origins)
            and _is_foreign(asked)
            and _origin(asked.headers["origin"]) in self._origins
            and any(is_under(asked.scope["path"], prefix) for prefix in PUBLIC)
        )


def open_access(
    serving: ServingSettings,
    settings: AccessSettings | None = None,
    *,
    workspace: Workspace | None = None,
) -> Access:
    """Who may use a service with these settings; keys are those of *workspace*.

    Without a workspace there is the one key of the settings, and sessions end with the process.
    """
    settings = settings or AccessSettings()
    secret = secret_in(workspace.path / "console") if workspace else secrets.token_urlsafe(32)
    return Access(
        serving,
        settings,
        Sessions(secret, hours=settings.session_hours),
        keys=Keys(workspace) if workspace else None,
        user_tokens=UserTokens(secret),
    )


def is_under(path: str, prefix: str) -> bool:
    """Whether *path* is *prefix* or below it.

    >>> is_under("/v1/predict", "/v1"), is_under("/v10", "/v1")
    (True, False)
    """
    return path == prefix or path.startswith(f"{prefix}/")


def slow_down(wait_s: float, message: str) -> Response:
    """429, with the seconds to wait."""
    seconds = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(seconds)}
    cure = f"try again in {seconds} s"
    return refusal(429, message, where="rate", cure=cure, headers=headers)


def _no_key(message: str, *, cure: str = "") -> Response:
    challenge = {"WWW-Authenticate": "Bearer"}
    return refusal(401, message, where="authorization", cure=cure, headers=challenge)


def _is_foreign(asked: HTTPConnection) -> bool:
    """Whether a page of another site asks; programs and pages of this service do not say so."""
    origin = asked.headers.get("origin")
    if not origin:
        return False
    try:
        return urlsplit(origin).netloc.lower() != asked.headers.get("host", "").lower()
    except ValueError:
        return True


def _origin(written: str) -> str:
    return written.strip().rstrip("/").lower()


def _utf8(header: str) -> str:
    """What was sent, which HTTP calls Latin-1 and people write in UTF-8."""
    raw = header.encode("latin-1", "replace")
    return raw.decode("utf-8", "surrogateescape")


def _caller(asked: HTTPConnection) -> str:
    return caller_of(asked.client.host if asked.client else "")
