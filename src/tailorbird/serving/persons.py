"""Who asks: a name and a role."""

from __future__ import annotations

from dataclasses import dataclass

from tailorbird.errors import RequestError
from tailorbird.store.tables import Role

ROLES: tuple[Role, ...] = ("visitor", "agent", "admin")
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever makes a request."""

    name: str
    role: Role
    user: str | None = None
    """Whom a signed token says they are; see `user_tokens`."""

    def may(self, role: Role) -> bool:
        """Whether they may do what *role* may.

        >>> Person("ada", "agent").may("visitor"), Person("ada", "agent").may("admin")
        (True, False)
        """
        return ROLES.index(self.role) >= ROLES.index(role)


LOCAL = Person("local", "admin")
"""Who asks a service that has no keys, which listens to this machine alone."""
OWNER = Person("api_key", "admin")
"""Who sends the key that the service was started with."""
VISITOR = Person("visitor", "visitor")
"""Who sends no key, where visitors may come without one."""
RESERVED = frozenset({LOCAL.name, OWNER.name, VISITOR.name, "assistant", "system"})
"""Names that no key may have, so that a record of who did what has one meaning."""


def role_of(name: str) -> Role:
    """The role with this *name*; RequestError names them all.

    >>> role_of("agent")
    'agent'
    """
    for role in ROLES:
        if role == name:
            return role
    raise RequestError(f"{name!r} is no role", where="role", cure=f"one of {', '.join(ROLES)}")
