"""Who may say for whom they ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import Wanted, create_app
from tailorbird.assistant_settings import DeskSettings
from tailorbird.config import ServingSettings
from tailorbird.serving.access import Keys
from tailorbird.serving.user_tokens import USER_HEADER, UserTokens
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor

CHAT = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    settings = ServingSettings(keep_interactions=False)
    app = create_app(
        workspace, KeywordPredictor(), settings, wanted=Wanted(DeskSettings()), console=False
    )
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def ask_all(client: TestClient, user: str | None, headers: dict[str, str]) -> list[Any]:
    named = {} if user is None else {"user": user}
    return [
        client.post("/v1/conversations", json=named, headers=headers),
        client.post("/v1/predict", json={"texts": ["hello"]} | named, headers=headers),
        client.post("/v1/chat/completions", json=CHAT | named, headers=headers),
    ]


def test_a_visitors_key_names_nobody_and_a_token_names_one(
    client: TestClient, workspace: Workspace
) -> None:
    local = ask_all(client, "u7", {})  # without keys whoever is on this machine is admin
    assert [one.status_code for one in local] == [201, 200, 200]
    keys = Keys(workspace)
    agent = {"authorization": f"Bearer {keys.create('backend', 'agent')}"}
    visitor = {"authorization": f"Bearer {keys.create('web', 'visitor')}"}
    client.app.state.access.keys.reload()  # type: ignore[attr-defined]
    assert [one.status_code for one in ask_all(client, "u7", agent)] == [201, 200, 200]
    refused = ask_all(client, "u7", visitor)
    assert [one.status_code for one in refused] == [403, 403, 403]
    assert refused[0].json()["error"]["message"] == "web is visitor, and may not say who asks"
    assert refused[2].json()["error"]["type"] == "permission_error"
    assert [one.status_code for one in ask_all(client, None, visitor)] == [201, 200, 200]

    assert client.post("/v1/user-tokens", json={"user": "u7"}, headers=visitor).status_code == 403
    given = client.post("/v1/user-tokens", json={"user": "u7", "hours": 1}, headers=agent)
    assert given.status_code == 201
    named = visitor | {USER_HEADER: given.json()["token"]}
    for user in (None, "u7"):
        found = ask_all(client, user, named)
        assert [one.status_code for one in found] == [201, 200, 200]
        assert found[0].json()["user"] == "u7"
    assert [one.status_code for one in ask_all(client, "u8", named)] == [403, 403, 403]
    forged = client.post("/v1/conversations", json={}, headers=visitor | {USER_HEADER: "x"})
    assert (forged.status_code, forged.json()["error"]["where"]) == (401, USER_HEADER)


def test_a_token_counts_for_its_time_and_under_its_secret() -> None:
    now_s = [1000.0]
    tokens = UserTokens("secret", clock=lambda: now_s[0])
    token, until_s = tokens.give("用户 7", hours=2)
    assert until_s == 8200.0
    assert tokens.read(token) == ("用户 7", "")
    assert UserTokens("other").read(token)[1] == "the user token was not made by this service"
    now_s[0] = 8200.0
    assert tokens.read(token) == ("", "the user token has expired")


@pytest.mark.parametrize(
    "asked", [{}, {"user": " "}, {"user": "a", "hours": 0}, {"user": "a" * 201}]
)
def test_what_names_no_user_gets_no_token(client: TestClient, asked: dict[str, Any]) -> None:
    assert client.post("/v1/user-tokens", json=asked).status_code == 422
