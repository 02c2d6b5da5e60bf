"""Who comes in: keys, sessions of browsers, pages of other sites, limits, roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving import check_exposure
from tailorbird.serving.access import Keys, Person, note_action
from tailorbird.serving.sessions import Sessions

from .conftest import UNKNOWN
from .doors import HERE, Door, Open

SHOP = "https://shop.example"
EVIL = "https://evil.example"
"""An origin nobody listed."""


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
