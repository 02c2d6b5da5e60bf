"""Who comes in: keys, sessions of browsers, pages of other sites, limits, roles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving import check_exposure
from tailorbird.serving.access import Access, Keys, Person, needs, note_action
from tailorbird.serving.access_routes import access_routes
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.serving.sessions import Sessions
from tailorbird.serving.watching import Lasting, Watch
from tailorbird.store import Workspace

from .conftest import UNKNOWN, Clock, CountingHasher

Visitor = Annotated[Person, needs("visitor")]
Agent = Annotated[Person, needs("agent")]
HERE = "http://testserver"
SHOP = "https://shop.example"
EVIL = "https://evil.example"
"""An origin nobody listed."""


@dataclass
class Door:
    """A small app behind a guard, and what a test may turn."""

    client: TestClient
    keys: Keys
    hasher: CountingHasher
    clock: Clock
    workspace: Workspace

    def as_(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def sign_in(self, key: str) -> dict[str, str]:
        """The headers of a page that signed in."""
        response = self.client.post("/v1/session", json={"key": key}, headers={"origin": HERE})
        assert response.status_code == 200, response.text
        return {"origin": HERE, "x-csrf-token": response.json()["csrf"]}


Open = Callable[..., Door]


def small_app(access: Access, settings: ServingSettings) -> FastAPI:
    app = FastAPI()
    app.state.access = access
    refuse_in_sentences(app)
    app.include_router(access_routes(access))

    @app.api_route("/v1/conversations", methods=["GET", "POST"])
    @app.api_route("/v1/knowledge", methods=["GET", "POST"])
    @app.api_route("/page", methods=["GET", "POST"])
    @app.get("/metrics")
    async def who(person: Visitor) -> dict[str, str]:
        return {"name": person.name, "role": person.role}

    @app.get("/v1/desk-list")
    async def desk(person: Agent) -> dict[str, str]:
        return {"name": person.name}

    @app.websocket("/v1/desk")
    async def socket(websocket: WebSocket, person: Agent) -> None:
        await websocket.accept()
        await websocket.send_text(person.name)
        await websocket.close()

    @app.websocket("/v1/echo")
    async def echo(websocket: WebSocket, person: Agent) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.send_text(await websocket.receive_text())

    app.add_middleware(Guard, settings=settings, policies={}, access=access)
    return app


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[Open]:
    """Makes a `Door`; keywords are settings of serving and of access."""
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace.open(tmp_path / "workspace"))

        def make(**given: Any) -> Door:
            of_access = AccessSettings.__dataclass_fields__.keys()
            serving = ServingSettings(**{k: v for k, v in given.items() if k not in of_access})
            settings = AccessSettings(**{k: v for k, v in given.items() if k in of_access})
            clock, hasher = Clock(), CountingHasher()
            keys = Keys(workspace, clock=clock, hasher=hasher)
            sessions = Sessions("secret", hours=settings.session_hours, clock=clock)
            access = Access(serving, settings, sessions, keys=keys, clock=clock)
            app = small_app(access, serving)
            client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
            return Door(stack.enter_context(client), keys, hasher, clock, workspace)

        yield make


def sentence(response: Any) -> str:
    """Status and message of a refusal."""
    return f"{response.status_code} {response.json()['error']['message']}"


def test_without_keys_everybody_on_this_machine_is_admin(open_door: Open) -> None:
    door = open_door()
    everybody = {"name": "local", "role": "admin"}
    assert door.client.get("/v1/knowledge").json() == everybody
    # Clients of the OpenAI form always send some key.
    assert door.client.get("/v1/knowledge", headers=door.as_("sk-any")).json() == everybody


def test_the_first_key_shuts_the_door_of_a_running_service(open_door: Open) -> None:
    door = open_door()
    assert door.client.get("/v1/knowledge").status_code == 200
    key = Keys(door.workspace, hasher=door.hasher).create("ada", "agent")
    door.clock.now_s += 2
    assert sentence(door.client.get("/v1/knowledge")) == "401 this route needs an API key"
    found = door.client.get("/v1/knowledge", headers=door.as_(key)).json()
    assert found == {"name": "ada", "role": "agent"}


def test_the_key_of_the_settings_stays_an_admins(open_door: Open) -> None:
    door = open_door(api_key="sésame")
    headers = {"authorization": "Bearer sésame".encode()}
    found = door.client.get("/v1/knowledge", headers=headers).json()
    assert found == {"name": "api_key", "role": "admin"}
    ada = door.keys.create("ada", "visitor")
    assert door.client.get("/v1/knowledge", headers=door.as_(ada)).json()["role"] == "visitor"


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (None, "401 this route needs an API key"),
        ("", "401 the header Authorization is not of the form 'Bearer KEY'"),
        ("Bearer", "401 the header Authorization is not of the form 'Bearer KEY'"),
        ("Bearer   ", "401 the header Authorization is not of the form 'Bearer KEY'"),
        ("Basic YTpi", "401 the header Authorization is not of the form 'Bearer KEY'"),
        ("Bearer wrong", "401 the API key is wrong"),
        (f"Bearer {UNKNOWN}", "401 the API key is wrong"),
        ("Bearer 密钥", "401 the API key is wrong"),
        (b"Bearer \xff\xfe", "401 the API key is wrong"),
        ("Bearer " + "k" * 10**6, "401 the API key is wrong"),
    ],
)
def test_a_wrong_key_is_told_so(open_door: Open, header: str | bytes | None, told: str) -> None:
    door = open_door(api_key="k3y")
    raw = header.encode() if isinstance(header, str) else header
    response = door.client.get(
        "/v1/knowledge", headers={} if raw is None else {"authorization": raw}
    )
    assert sentence(response) == told
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["cure"] == "send the header Authorization: Bearer KEY"


def test_a_revoked_key_and_its_sessions_stop(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    door.sign_in(key)
    assert door.client.get("/v1/knowledge").json()["name"] == "ada"
    door.keys.revoke("ada")
    told = sentence(door.client.get("/v1/knowledge", headers=door.as_(key)))
    assert told == "401 the API key is wrong"
    told = sentence(door.client.get("/v1/knowledge"))
    assert told == "401 the key of this session is no longer valid"


def test_wrong_keys_are_limited_by_address_and_cost_no_more_then(open_door: Open) -> None:
    door = open_door(wrong_keys_per_minute=3)
    right, other = door.keys.create("ada", "agent"), door.keys.create("bo", "agent")
    assert door.client.get("/v1/knowledge", headers=door.as_(right)).status_code == 200
    wrong = [f"tb_{n:012x}_" + "0" * 48 for n in range(4)]
    answers = [door.client.get("/v1/knowledge", headers=door.as_(key)) for key in wrong]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].headers["retry-after"] == "20"
    assert answers[-1].json()["error"]["cure"] == "try again in 20 s"
    n_before = door.hasher.n_verified
    told = sentence(door.client.get("/v1/knowledge", headers=door.as_(other)))
    assert told == "429 too many wrong keys came from this address"
    assert door.hasher.n_verified == n_before
    # A key that was right before is no guess.
    assert door.client.get("/v1/knowledge", headers=door.as_(right)).status_code == 200
    door.clock.now_s += 21
    assert door.client.get("/v1/knowledge", headers=door.as_(other)).status_code == 200


def test_right_keys_are_no_wrong_ones(open_door: Open) -> None:
    door = open_door(api_key="k3y", wrong_keys_per_minute=2)
    statuses = {
        door.client.get("/v1/knowledge", headers=door.as_("k3y")).status_code for _ in range(9)
    }
    assert statuses == {200}


def test_requests_are_limited_by_key_and_by_address(open_door: Open) -> None:
    door = open_door(public_chat=True, key_per_minute=3, visitor_per_minute=2)
    ada, bo = (door.keys.create(name, "agent") for name in ("ada", "bo"))
    asked = [door.client.get("/v1/knowledge", headers=door.as_(ada)) for _ in range(4)]
    assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
    assert sentence(asked[-1]) == "429 too many requests came from this key"
    assert asked[-1].headers["retry-after"] == "20"
    assert door.client.get("/v1/knowledge", headers=door.as_(bo)).status_code == 200
    chats = [door.client.post("/v1/conversations") for _ in range(3)]
    assert [answer.status_code for answer in chats] == [200, 200, 429]
    assert sentence(chats[-1]) == "429 too many requests came from this address"
    door.clock.now_s += 60
    assert door.client.post("/v1/conversations").status_code == 200


def test_a_local_service_without_keys_has_no_limits(open_door: Open) -> None:
    door = open_door(visitor_per_minute=1, key_per_minute=1)
    assert {door.client.get("/v1/knowledge").status_code for _ in range(5)} == {200}


def test_roles_are_kept(open_door: Open) -> None:
    door = open_door()
    visitor, agent = door.keys.create("vi", "visitor"), door.keys.create("ada", "agent")
    refused = door.client.get("/v1/desk-list", headers=door.as_(visitor))
    assert sentence(refused) == "403 vi is visitor, and this is for agents"
    assert door.client.get("/v1/desk-list", headers=door.as_(agent)).json() == {"name": "ada"}
    assert door.client.get("/v1/admin/keys", headers=door.as_(agent)).status_code == 403
    assert door.client.get("/metrics", headers=door.as_(visitor)).status_code == 403
    assert door.client.get("/metrics", headers=door.as_(agent)).status_code == 200


def test_visitors_chat_without_a_key_where_that_is_allowed_and_do_nothing_else(
    open_door: Open,
) -> None:
    shut, opened = open_door(api_key="k"), open_door(api_key="k", public_chat=True)
    assert shut.client.post("/v1/conversations").status_code == 401
    assert opened.client.post("/v1/conversations").json() == {"name": "visitor", "role": "visitor"}
    for path in ("/v1/knowledge", "/v1/desk-list", "/v1/conversationsX", "/metrics"):
        assert opened.client.get(path).status_code == 401, path
    wrong = opened.client.post("/v1/conversations", headers=opened.as_("wrong"))
    assert wrong.status_code == 401


# Sessions of browsers


def test_a_browser_signs_in_and_out(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "admin")
    response = door.client.post("/v1/session", json={"key": key}, headers={"origin": HERE})
    assert response.json() | {"csrf": "", "until": ""} == {
        "name": "ada",
        "role": "admin",
        "csrf": "",
        "until": "",
    }
    cookies = {
        name: attributes.lower()
        for name, _, attributes in (
            line.partition("=") for line in response.headers.get_list("set-cookie")
        )
    }
    session, csrf = cookies["tailorbird_session"], cookies["tailorbird_csrf"]
    assert "httponly" in session
    assert "httponly" not in csrf
    for cookie in (session, csrf):
        assert "samesite=strict" in cookie
        assert "max-age=43200" in cookie
        assert "secure" not in cookie  # this is plain HTTP, on this machine
    assert key not in response.text + "".join(cookies.values())
    who = door.client.get("/v1/session").json()
    assert (who["name"], who["csrf"]) == ("ada", response.json()["csrf"])
    stolen = door.client.cookies["tailorbird_session"]
    gone = door.client.delete("/v1/session", headers={"origin": HERE})
    assert gone.status_code == 204
    assert "tailorbird_session" not in door.client.cookies
    door.client.cookies["tailorbird_session"] = stolen
    assert sentence(door.client.get("/v1/knowledge")) == "401 the session was ended"


def test_cookies_of_https_are_for_https_alone(open_door: Open) -> None:
    door = open_door(api_key="k")
    client = TestClient(door.client.app, base_url="https://testserver")
    response = client.post("/v1/session", json={"key": "k"})
    assert all("Secure" in line for line in response.headers.get_list("set-cookie"))


def test_the_key_of_the_settings_signs_in_until_it_is_another(open_door: Open) -> None:
    door = open_door(api_key="k")
    door.sign_in("k")
    assert door.client.get("/v1/knowledge").json() == {"name": "api_key", "role": "admin"}
    other = open_door(api_key="another")
    other.client.cookies = door.client.cookies
    told = sentence(other.client.get("/v1/knowledge"))
    assert told == "401 the key of this session is no longer valid"


@pytest.mark.parametrize("key", ["wrong", "", UNKNOWN, "\ud800", "密钥", "k" * 500_000])
def test_a_wrong_key_signs_nobody_in(open_door: Open, key: str) -> None:
    door = open_door(api_key="k3y")
    body = json.dumps({"key": key})  # a half of a surrogate pair goes through, as an escape
    headers = {"content-type": "application/json"}
    response = door.client.post("/v1/session", content=body, headers=headers)
    assert sentence(response) == "401 the API key is wrong"
    assert "set-cookie" not in response.headers


def test_guessing_at_the_sign_in_is_limited(open_door: Open) -> None:
    door = open_door(api_key="k3y", wrong_keys_per_minute=2)
    tries = [door.client.post("/v1/session", json={"key": f"k{n}"}) for n in range(3)]
    assert [answer.status_code for answer in tries] == [401, 401, 429]
    assert door.client.post("/v1/session", json={"key": "k3y"}).status_code == 429


def test_an_expired_session_is_told_so(open_door: Open) -> None:
    door = open_door(session_hours=1.0)
    door.sign_in(door.keys.create("ada", "agent"))
    cookie = door.client.cookies["tailorbird_session"]
    door.clock.now_s += 3601
    response = door.client.get("/v1/knowledge", headers={"cookie": f"tailorbird_session={cookie}"})
    assert sentence(response) == "401 the session has expired"
    assert response.json()["error"]["cure"] == "sign in again"


@pytest.mark.parametrize(
    "cookie", ["x", "a.b", "e30.e30", ".eJw.x", "=" * 50, "%ff", "x" * 5000, '"quoted"']
)
def test_a_forged_cookie_is_told_so(open_door: Open, cookie: str) -> None:
    door = open_door(api_key="k")
    response = door.client.get("/v1/knowledge", headers={"cookie": f"tailorbird_session={cookie}"})
    assert sentence(response) == "401 the session cookie was not made by this service"


def test_a_cookie_of_another_secret_is_forged(open_door: Open) -> None:
    door = open_door(api_key="k")
    sessions = Sessions("another", hours=1, clock=door.clock)
    made = Response()
    sessions.give(made, sessions.begin("=" + "0" * 32), secure=False)
    cookie = made.headers["set-cookie"].partition(";")[0]
    response = door.client.get("/v1/knowledge", headers={"cookie": cookie})
    assert sentence(response) == "401 the session cookie was not made by this service"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"x-csrf-token": None}, "403 the header X-CSRF-Token is missing"),
        ({"x-csrf-token": "wrong"}, "403 the header X-CSRF-Token does not fit this session"),
        (
            {"origin": None},
            "403 with a session cookie the header Origin must say which page asks",
        ),
        ({"origin": EVIL}, "403 pages of this origin may change nothing here"),
        ({"origin": "null"}, "403 pages of this origin may change nothing here"),
        ({"origin": "http://testserver.evil.example"}, "403 pages of this origin"),
        ({"origin": "http://[::1"}, "403 pages of this origin"),
    ],
)
def test_a_page_that_is_not_ours_changes_nothing_with_a_cookie(
    open_door: Open, changed: dict[str, str | None], told: str
) -> None:
    door = open_door()
    headers = door.sign_in(door.keys.create("ada", "admin"))
    assert door.client.post("/v1/knowledge", headers=headers).status_code == 200
    sent = {name: value for name, value in (headers | changed).items() if value is not None}
    assert sentence(door.client.post("/v1/knowledge", headers=sent)).startswith(told)


def test_the_token_of_one_session_is_worth_nothing_in_another(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "admin")
    first = door.sign_in(key)
    door.sign_in(key)
    told = sentence(door.client.post("/v1/knowledge", headers=first))
    assert told == "403 the header X-CSRF-Token does not fit this session"


def test_pages_beside_the_api_need_the_origin_and_no_token(open_door: Open) -> None:
    door = open_door()
    door.sign_in(door.keys.create("ada", "admin"))
    assert door.client.get("/page").json()["name"] == "ada"
    assert door.client.post("/page", headers={"origin": HERE}).json()["name"] == "ada"
    assert door.client.post("/page", headers={"origin": EVIL}).status_code == 403
    door.client.cookies.clear()
    assert door.client.get("/page").json() == {"name": "visitor", "role": "visitor"}


def test_a_local_service_without_keys_takes_nothing_from_other_sites(open_door: Open) -> None:
    door = open_door()
    told = sentence(door.client.post("/v1/knowledge", headers={"origin": EVIL}))
    assert told == "403 pages of this origin may change nothing here"
    assert door.client.post("/v1/knowledge", headers={"origin": HERE}).status_code == 200


# WebSockets


def hear(door: Door, headers: dict[str, str]) -> str:
    with door.client.websocket_connect("/v1/desk", headers=headers) as socket:
        return socket.receive_text()


def test_a_websocket_knows_who_listens(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    assert hear(door, door.as_(key)) == "ada"
    door.sign_in(key)
    assert hear(door, {"origin": HERE}) == "ada"
    for headers in ({"origin": EVIL}, {}, door.as_("wrong")):
        with pytest.raises(WebSocketDisconnect) as refused:
            hear(door, headers)
        assert refused.value.code == 1008


@pytest.mark.parametrize("how", ["key", "session"])
def test_an_open_socket_ends_with_the_key_behind_it(open_door: Open, how: str) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    headers = door.as_(key) if how == "key" else {"origin": door.sign_in(key)["origin"]}
    with door.client.websocket_connect("/v1/echo", headers=headers) as socket:
        for n in range(3):
            door.clock.now_s += 300
            socket.send_text(str(n))
            assert socket.receive_text() == str(n)
        door.keys.revoke("ada")
        door.clock.now_s += 2
        socket.send_text("still there?")
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
        assert ended.value.code == 1008


# The pages of other sites that show the widget


def test_a_listed_site_may_chat_as_a_visitor_and_nothing_else(open_door: Open) -> None:
    door = open_door(public_chat=True, origins=f"{SHOP}/, http://other.example")
    door.sign_in(door.keys.create("ada", "admin"))
    response = door.client.post("/v1/conversations", headers={"origin": SHOP})
    assert response.json() == {"name": "visitor", "role": "visitor"}  # whatever the cookie says
    assert response.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["vary"] == "Origin"
    assert door.client.post("/v1/knowledge", headers={"origin": SHOP}).status_code == 403
    other = door.client.get("/v1/knowledge", headers={"origin": SHOP})
    assert "access-control-allow-origin" not in other.headers


def test_a_browser_that_asks_first_is_told(open_door: Open) -> None:
    door = open_door(public_chat=True, api_key="k", origins=SHOP)

    def ask(origin: str, path: str = "/v1/conversations") -> Any:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return door.client.options(path, headers=headers)

    allowed = ask(SHOP)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert allowed.headers["access-control-allow-headers"] == "Content-Type, X-Tailorbird-User"
    for refused in (ask(EVIL), ask(SHOP, "/v1/knowledge"), ask("https://shop.example.evil")):
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers


def test_a_listed_site_reads_why_it_was_refused(open_door: Open) -> None:
    door = open_door(public_chat=True, api_key="k", origins=SHOP, visitor_per_minute=1)
    door.client.post("/v1/conversations", headers={"origin": SHOP})
    response = door.client.post("/v1/conversations", headers={"origin": SHOP})
    assert response.status_code == 429
    assert response.headers["access-control-allow-origin"] == SHOP
    assert response.headers["access-control-expose-headers"] == "Retry-After"


def test_a_listed_site_is_a_visitor_of_a_local_service_too(open_door: Open) -> None:
    door = open_door(origins=SHOP)
    response = door.client.post("/v1/conversations", headers={"origin": SHOP})
    assert response.json()["role"] == "visitor"


# Admins


def test_admins_make_and_revoke_keys_and_it_is_written_down(open_door: Open) -> None:
    door = open_door(api_key="k")
    boss = door.as_("k")
    made = door.client.post("/v1/admin/keys", json={"name": "ada", "role": "agent"}, headers=boss)
    assert made.status_code == 201
    key = made.json()["key"]
    again = door.client.post("/v1/admin/keys", json={"name": "ada"}, headers=boss)
    assert again.status_code == 409
    listed = door.client.get("/v1/admin/keys", headers=boss)
    assert [row["name"] for row in listed.json()["keys"]] == ["ada"]
    assert "hash" not in listed.text
    assert door.client.delete("/v1/admin/keys/ada", headers=boss).status_code == 204
    assert door.client.delete("/v1/admin/keys/ada", headers=boss).status_code == 404
    note_action(door.workspace, Person("bo", "admin"), "add document", "faq.md", n_chunks=3)
    actions = door.client.get("/v1/admin/actions", headers=boss).json()["actions"]
    assert [(row["who"], row["action"], row["target"]) for row in actions] == [
        ("bo", "add document", "faq.md"),
        ("api_key", "revoke key", "ada"),
        ("api_key", "create key", "ada"),
    ]
    assert actions[0]["detail"] == {"n_chunks": 3}
    assert key not in str(actions)
    older = door.client.get(f"/v1/admin/actions?limit=1&before={actions[0]['id']}", headers=boss)
    assert [row["action"] for row in older.json()["actions"]] == ["revoke key"]
    huge = door.client.get(f"/v1/admin/actions?before={10**30}", headers=boss)
    assert huge.status_code == 422


def test_a_key_of_the_workspace_is_enough_to_be_open_to_others(
    open_door: Open, tmp_path: Path
) -> None:
    door = open_door()
    settings = ServingSettings(host="0.0.0.0")
    with pytest.raises(ConfigError, match="tailorbird keys create NAME"):
        check_exposure(settings, door.keys)
    door.keys.create("ada", "admin")
    check_exposure(settings, door.keys)
    door.keys.revoke("ada")
    with pytest.raises(ConfigError):
        check_exposure(settings, door.keys)


# Many at once


def asked_with(key: str, caller: str = "192.0.2.1") -> HTTPConnection:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/knowledge",
        "headers": [(b"authorization", f"Bearer {key}".encode()), (b"host", b"testserver")],
        "client": (caller, 1),
    }
    return HTTPConnection(scope)


class SlowHasher(CountingHasher):
    """One that a test can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def verify(self, kept: str, secret: str, /) -> bool:
        self.gate.wait(timeout=20)
        return super().verify(kept, secret)


def slow_access(workspace: Workspace, hasher: SlowHasher, n_wrong: int) -> tuple[Access, str]:
    keys = Keys(workspace, hasher=hasher)
    key = keys.create("ada", "agent")
    settings = AccessSettings(wrong_keys_per_minute=n_wrong)
    return Access(ServingSettings(), settings, Sessions("s", hours=1), keys=keys), key


def test_one_key_in_many_requests_at_once_is_hashed_once(tmp_path: Path) -> None:
    hasher = SlowHasher()
    with Workspace.open(tmp_path) as workspace:
        access, key = slow_access(workspace, hasher, n_wrong=2)

        async def ask() -> list[Any]:
            waiting = [asyncio.create_task(access.admit(asked_with(key))) for _ in range(50)]
            while not hasher.n_verified:
                await asyncio.sleep(0)
                hasher.gate.set()
            return await asyncio.gather(*waiting)

        assert set(asyncio.run(ask())) == {Person("ada", "agent")}
    assert hasher.n_verified == 1


def test_a_flood_of_wrong_keys_is_turned_away_before_it_costs_anything(tmp_path: Path) -> None:
    hasher = SlowHasher()
    with Workspace.open(tmp_path) as workspace:
        access, _ = slow_access(workspace, hasher, n_wrong=100)

        async def flood() -> list[int]:
            keys = [f"tb_{n:012x}_" + "0" * 48 for n in range(100)]
            tasks = [asyncio.create_task(access.admit(asked_with(key))) for key in keys]
            while sum(task.done() for task in tasks) < 36:
                await asyncio.sleep(0.001)
            hasher.gate.set()
            answers = await asyncio.gather(*tasks)
            return [answer.status_code for answer in answers if isinstance(answer, Response)]

        statuses = asyncio.run(flood())
    assert (statuses.count(503), statuses.count(401)) == (36, 64)
    assert hasher.n_verified == 64


def test_a_socket_that_only_listens_ends_as_well(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    sent: list[str] = []
    access: Access = door.client.app.state.access  # type: ignore[attr-defined]

    async def push(scope: Any, receive: Any, send: Any) -> None:
        for n in range(4):
            await send({"type": "websocket.send", "text": str(n)})
            door.clock.now_s += 2
            if n == 1:
                door.keys.revoke("ada")

    async def keep(message: Any) -> None:
        sent.append(message.get("text") or message["type"])

    async def nothing() -> Any:
        raise AssertionError("nobody listens")

    async def listen() -> None:
        asked = asked_with(key)
        person = await access.admit(asked)
        asked.scope["state"] = {"person": person}
        await Watch(access, asked, nothing, keep).run(push)

    asyncio.run(listen())
    assert sent == ["0", "1", "websocket.close"]


# What goes on for long


def test_a_socket_on_which_nothing_is_said_ends_as_well(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    access: Access = door.client.app.state.access  # type: ignore[attr-defined]
    sent: list[str] = []
    heard: list[str] = []

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])

    async def silence() -> Any:
        await asyncio.sleep(20)

    async def keep(message: Any) -> None:
        sent.append(message["type"])

    async def listen() -> None:
        asked = asked_with(key)
        asked.scope["state"] = {"person": await access.admit(asked)}
        watch = Watch(access, asked, silence, keep, look_s=0.01)
        door.keys.revoke("ada")
        door.clock.now_s += 2
        await asyncio.wait_for(watch.run(wait), 10)

    asyncio.run(listen())
    assert (sent, heard) == (["websocket.close"], ["websocket.disconnect"])


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_stream_ends_soon_after_its_key_was_revoked(open_door: Open, has_begun: bool) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    access: Access = door.client.app.state.access  # type: ignore[attr-defined]
    sent: list[Any] = []
    is_closed: list[bool] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        try:
            if has_begun:
                headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            door.keys.revoke("ada")
            await asyncio.sleep(20)
        finally:
            is_closed.append(True)

    async def keep(message: Any) -> None:
        sent.append(message)

    async def nothing() -> Any:
        return {"type": "http.request", "body": b""}

    async def ask() -> None:
        asked = asked_with(key)
        asked.scope["state"] = {"person": await access.admit(asked)}
        lasting = Lasting(access, asked, keep, look_s=0.01)
        await asyncio.wait_for(lasting.run(stream, nothing), 10)

    asyncio.run(ask())
    assert is_closed == [True]
    assert sent[0]["status"] == (200 if has_begun else 401)
    assert sent[-1]["type"] == "http.response.body"
    assert not sent[-1].get("more_body")


def test_a_stream_of_a_key_that_is_right_goes_on_and_costs_no_hash(open_door: Open) -> None:
    door = open_door()
    key = door.keys.create("ada", "agent")
    access: Access = door.client.app.state.access  # type: ignore[attr-defined]

    async def ask() -> int:
        asked = asked_with(key)
        person = await access.admit(asked)
        before = door.hasher.n_verified
        for _ in range(20):
            door.clock.now_s += 300
            assert await access.is_still(asked, person)  # type: ignore[arg-type]
        return door.hasher.n_verified - before

    assert asyncio.run(ask()) == 0
