"""Who asks, and what they may do: visitors ask, agents help them, admins change how all are helped.

The outer wall (`Guard`) finds out who it is (`Access`, from `Keys`, `Sessions` and limits) and puts
the person into the state of the request; here routes ask for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from tailorbird.errors import ForbiddenError
from tailorbird.serving.admission import Access, open_access
from tailorbird.serving.keys import Keys
from tailorbird.serving.languages import Language, error_said, preferred_language, said
from tailorbird.serving.persons import LOCAL, OWNER, ROLES, VISITOR, Person, role_of
from tailorbird.serving.user_tokens import user_named
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow, Role

__all__ = [
    "LOCAL",
    "OWNER",
    "ROLES",
    "VISITOR",
    "Access",
    "Keys",
    "Language",
    "Person",
    "error_said",
    "needs",
    "note_action",
    "open_access",
    "preferred_language",
    "role_of",
    "said",
    "user_named",
]


def needs(role: Role) -> Any:
    """A dependency of a route: the person who asks.

    Raises ForbiddenError where they may not do what *role* may. Without a `Guard` around the app
    everybody is `LOCAL`.
    """
    return Depends(_check(role))


def note_action(
    workspace: Workspace, person: Person, action: str, target: str = "", **detail: Any
) -> None:
    """Remember for good that *person* changed something for everybody.

    *action* reads as ``add document`` or ``revoke key``; *detail* must be JSON, and hold neither
    secrets nor what visitors wrote. StoreError where it cannot be written.
    """
    row = AdminActionRow(who=person.name, action=action, target=target, detail=detail)
    with workspace.writing() as session:
        session.add(row)


def _check(role: Role) -> Callable[[HTTPConnection], Awaitable[Person]]:
    async def person_with_role(request: HTTPConnection) -> Person:
        person: Person = getattr(request.state, "person", LOCAL)
        if not person.may(role):
            raise ForbiddenError(
                f"{person.name} is {person.role}, and this is for {role}s",
                where=request.url.path,
                cure=f"use a key of the role {role}",
            )
        return person

    return person_with_role
