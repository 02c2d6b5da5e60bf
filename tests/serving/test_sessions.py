"""Browsers: how they sign in and out, and what pages of other sites may do with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response

from tailorbird.serving.sessions import Sessions

from .doors import EVIL, HERE, UNKNOWN, Open, sentence

SHOP = "https://shop.example"


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
