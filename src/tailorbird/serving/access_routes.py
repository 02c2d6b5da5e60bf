"""Routes of access: signing in and out, keys, and what admins did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from starlette.requests import Request

from tailorbird.errors import UnavailableError
from tailorbird.serving.access import Access, Keys, Person, needs, note_action
from tailorbird.serving.schemas import ErrorResponse
from tailorbird.serving.sessions import Session, take_back
from tailorbird.serving.user_tokens import MAX_HOURS, MAX_USER_CHARS, USER_HEADER
from tailorbird.store.tables import AdminActionRow, Role

REFUSALS = {
    401: "There is no key or session, or it is wrong, revoked or expired.",
    403: "Not for this role, or from a page of another site.",
    404: "There is no key of this name.",
    409: "There is already a key of this name.",
    422: "The request breaks a limit or has the wrong form.",
    429: "Too many requests or wrong keys; try again after Retry-After seconds.",
    503: "The service remembers nothing, or too many keys are being checked.",
}

Visitor = Annotated[Person, needs("visitor")]
Agent = Annotated[Person, needs("agent")]
Admin = Annotated[Person, needs("admin")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Before = Annotated[
    int, Query(ge=0, le=2**53, description="Only those older than the one with this id; 0: all.")
]


class SignIn(BaseModel):
    """A key, to be kept by a browser as a cookie."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "tb_…"}]})

    key: str = Field(description="The key; it is not kept.", repr=False)


class SignedIn(BaseModel):
    """Who is signed in."""

    name: str
    role: Role
    csrf: str = Field(description="Send it as X-CSRF-Token with whatever changes something.")
    until: datetime | None = Field(description="Until then; null for a key sent in a header.")


class NewKey(BaseModel):
    """Whom a key is for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ada", "role": "agent"}]}
    )

    name: str = Field(max_length=200)
    role: Role = "agent"


class CreatedKey(BaseModel):
    """A key, shown this once."""

    name: str
    role: Role
    key: str


class NewUserToken(BaseModel):
    """For whom a token is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user": "ada", "hours": 12}]}
    )

    user: str = Field(description="As your own system calls them.", max_length=MAX_USER_CHARS)
    hours: float = Field(default=12.0, gt=0, le=MAX_HOURS, description="How long it counts.")


class CreatedUserToken(BaseModel):
    """A token, for the page of one user."""

    user: str
    token: str = Field(description=f"To be sent as {USER_HEADER}.")
    until: datetime


class KeyInfo(BaseModel):
    """A key, without its secret."""

    name: str
    role: Role
    created: datetime
    revoked: datetime | None


class KeyList(BaseModel):
    """All keys, oldest first."""

    keys: list[KeyInfo]


class AdminAction(BaseModel):
    """Something that somebody changed for everybody."""

    id: int
    time: datetime
    who: str
    action: str
    target: str
    detail: dict[str, object]


class AdminActions(BaseModel):
    """The newest first."""

    actions: list[AdminAction]


def access_routes(access: Access) -> APIRouter:
    """``/v1/session``, ``/v1/user-tokens``, ``/v1/admin/keys`` and ``/v1/admin/actions``."""
    router = APIRouter(prefix="/v1", tags=["access"], responses=_refusals(401, 403, 422, 429, 503))
    _add_session_routes(router, access)
    _add_admin_routes(router, access)

    @router.post("/user-tokens", summary="Let a visitor's page speak for one user", status_code=201)
    def create_user_token(new: NewUserToken, person: Agent) -> CreatedUserToken:
        token, until_s = access.user_tokens.give(new.user, hours=new.hours)
        until = datetime.fromtimestamp(until_s, UTC)
        return CreatedUserToken(user=new.user, token=token, until=until)

    return router


def _add_session_routes(router: APIRouter, access: Access) -> None:
    @router.post("/session", summary="Sign a browser in", response_model=SignedIn)
    async def sign_in(given: SignIn, request: Request) -> Response:
        session = await access.sign_in(given.key.strip(), request)
        if isinstance(session, Response):
            return session
        who = access.holder(session)
        assert who is not None, "a session of nobody"
        content = _signed_in(access, who, session)
        response = JSONResponse(content.model_dump(mode="json"))
        response.headers["Cache-Control"] = "no-store"
        is_https = request.url.scheme == "https"
        access.sessions.give(response, session, secure=is_https)
        return response

    @router.get("/session", summary="Who am I?")
    async def who_am_i(request: Request, person: Visitor) -> SignedIn:
        session = access.session_of(request)
        return _signed_in(access, person, None if isinstance(session, str) else session)

    @router.delete("/session", summary="Sign a browser out", status_code=204)
    async def sign_out(request: Request) -> Response:
        session = access.session_of(request)
        if not isinstance(session, str):
            access.sessions.end(session)
        response = Response(status_code=204)
        take_back(response)
        return response


def _add_admin_routes(router: APIRouter, access: Access) -> None:
    def keys_here() -> Keys:
        if access.keys is None:
            raise UnavailableError("this service was started without a workspace")
        return access.keys

    @router.get("/admin/keys", summary="Whose keys there are")
    def list_keys(person: Admin) -> KeyList:
        rows = keys_here().list()
        infos = [KeyInfo.model_validate(row, from_attributes=True) for row in rows]
        return KeyList(keys=infos)

    @router.post("/admin/keys", summary="Make a key", status_code=201, responses=_refusals(409))
    def create_key(new: NewKey, person: Admin) -> CreatedKey:
        keys = keys_here()
        key = keys.create(new.name, new.role)
        name = new.name.strip()
        note_action(keys.workspace, person, "create key", name, role=new.role)
        return CreatedKey(name=name, role=new.role, key=key)

    @router.delete(
        "/admin/keys/{name}", summary="Revoke a key", status_code=204, responses=_refusals(404)
    )
    def revoke_key(name: str, person: Admin) -> Response:
        keys = keys_here()
        keys.revoke(name)
        note_action(keys.workspace, person, "revoke key", name)
        return Response(status_code=204)

    @router.get("/admin/actions", summary="What admins did")
    def actions(person: Admin, limit: Limit = 100, before: Before = 0) -> AdminActions:
        newest_first = select(AdminActionRow).order_by(AdminActionRow.id.desc())
        if before > 0:
            newest_first = newest_first.where(AdminActionRow.id < before)
        with keys_here().workspace.sessions() as session:
            rows = session.scalars(newest_first.limit(limit)).all()
        found = [AdminAction.model_validate(row, from_attributes=True) for row in rows]
        return AdminActions(actions=found)


def _signed_in(access: Access, person: Person, session: Session | None) -> SignedIn:
    return SignedIn(
        name=person.name,
        role=person.role,
        csrf=access.sessions.csrf_token(session) if session else "",
        until=session.until if session else None,
    )


def _refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {
        status: {"model": ErrorResponse, "description": REFUSALS[status]} for status in statuses
    }
