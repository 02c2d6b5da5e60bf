"""Who comes in: keys and what they are worth, limits, roles, sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect

from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving import check_exposure
from tailorbird.serving.access import Keys, Person, note_action

from .doors import EVIL, HERE, UNKNOWN, Door, Open, sentence


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
