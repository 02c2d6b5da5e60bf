"""Who a user is, said by somebody who may: a signed token that a page carries for its visitor.

A key of an agent may name any user. One of a visitor, and a page without any key, may not, as it
could take anybody's adapter and history by a name; it sends a token that an agent's key was given.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from itsdangerous import BadData, URLSafeSerializer

from tailorbird.errors import ForbiddenError, RequestError
from tailorbird.serving.persons import Person

USER_HEADER = "X-Tailorbird-User"
MAX_TOKEN_CHARS = 2000
MAX_USER_CHARS = 200
MAX_HOURS = 31 * 24.0


class UserTokens:
    """Makes and reads tokens, signed with *secret*."""

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._signer = URLSafeSerializer(
            secret, salt="tailorbird user", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._clock = clock

    def give(self, user: str, *, hours: float) -> tuple[str, float]:
        """A token for *user*, and until when it counts, in seconds of the epoch.

        >>> tokens = UserTokens("secret", clock=lambda: 0.0)
        >>> token, until_s = tokens.give("ada", hours=1)
        >>> tokens.read(token), until_s
        (('ada', ''), 3600.0)
        """
        if not user.strip() or len(user) > MAX_USER_CHARS:
            raise RequestError(
                "is no name for a user", where="user", cure=f"1 to {MAX_USER_CHARS} characters"
            )
        until_s = self._clock() + 3600 * hours
        return str(self._signer.dumps({"s": user, "u": round(until_s)})), until_s

    def read(self, token: str) -> tuple[str, str]:
        """The user, and nothing; or nothing, and the sentence that says why."""
        try:
            found = self._signer.loads(token[:MAX_TOKEN_CHARS])
            user, until_s = str(found["s"]), float(found["u"])
        except (BadData, KeyError, TypeError, ValueError):
            return "", "the user token was not made by this service"
        if until_s <= self._clock():
            return "", "the user token has expired"
        return user, ""


def user_named(person: Person, named: str | None) -> str | None:
    """Whom a request of *person* is for, where it names a user or None.

    Raises ForbiddenError where a visitor names somebody else than their token does.

    >>> user_named(Person("ada", "agent"), "u7"), user_named(Person("web", "visitor", "u7"), None)
    ('u7', 'u7')
    """
    if named is None:
        return person.user
    if person.may("agent") or named == person.user:
        return named
    raise ForbiddenError(
        f"{person.name} is {person.role}, and may not say who asks",
        where="user",
        cure=f"send a token of POST /v1/user-tokens in the header {USER_HEADER}, or use a key of "
        "the role agent",
    )
