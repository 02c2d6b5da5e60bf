"""Who asks, and what they may do: visitors ask, agents help them, admins change how all are helped.

The outer wall (`Guard`) has checked the key; here it becomes a person with a role.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from tailorbird.errors import ForbiddenError
from tailorbird.store.tables import Role

ROLES: tuple[Role, ...] = ("visitor", "agent", "admin")
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever makes a request."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether they may do what *role* may.

        >>> Person("ada", "agent").may("visitor"), Person("ada", "agent").may("admin")
        (True, False)
        """
        return ROLES.index(self.role) >= ROLES.index(role)


LOCAL = Person("local", "admin")
"""Who asks a service that has no keys, which listens to this machine alone."""


def needs(role: Role) -> Any:
    """A dependency of a route: the person who asks.

    Raises ForbiddenError where they may not do what *role* may.
    """
    return Depends(_check(role))


def _check(role: Role) -> Callable[[HTTPConnection], Person]:
    def person_with_role(request: HTTPConnection) -> Person:
        person: Person = getattr(request.state, "person", LOCAL)
        if not person.may(role):
            raise ForbiddenError(
                f"{person.name} is {person.role}, and this is for {role}s",
                where=request.url.path,
                cure=f"use a key of the role {role}",
            )
        return person

    return person_with_role
