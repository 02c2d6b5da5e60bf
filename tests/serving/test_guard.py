"""The guard: keys, names, origins and headers."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving import check_exposure
from tailorbird.serving.guard import is_local

ASK = {"texts": ["hello"]}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_a_local_service_needs_no_key(host: str) -> None:
    assert is_local(host)
    check_exposure(ServingSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_a_service_open_to_others_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--api-key or \$TAILORBIRD_API_KEY"):
        check_exposure(ServingSettings(host=host))
    check_exposure(ServingSettings(host=host, api_key="k"))


def test_the_key_is_asked_for_wherever_there_is_something_to_take(make_client: Any) -> None:
    client = make_client(host="0.0.0.0", api_key="sésame")
    right = {"authorization": "Bearer sésame".encode()}
    assert client.post("/v1/predict", json=ASK, headers=right).status_code == 200
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "Basic sésame".encode()},
    ):
        response = client.post("/v1/predict", json=ASK, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        cure = "send the header Authorization: Bearer KEY"
        assert response.json()["error"]["cure"] == cure
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=right).status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code in (200, 503)


def test_a_route_nobody_knows_is_not_told_apart_without_the_key(make_client: Any) -> None:
    client = make_client(api_key="k")
    assert client.get("/v1/nothing").status_code == 401


def test_the_openapi_document_tells_that_a_key_is_needed(make_client: Any) -> None:
    document = make_client(api_key="k").get("/openapi.json").json()
    operation = document["paths"]["/v1/predict"]["post"]
    assert operation["security"] == [{"HTTPBearer": []}]
    assert "401" in operation["responses"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::2]", "", "[::1"])
def test_a_local_service_does_not_answer_to_foreign_names(client: TestClient, host: str) -> None:
    response = client.post("/v1/predict", json=ASK, headers={"host": host})
    assert response.status_code == 400
    assert response.json()["error"]["where"] == "host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8420", "[::1]:8420", "LOCALHOST:1"])
def test_a_local_service_answers_to_its_own_names(client: TestClient, host: str) -> None:
    assert client.post("/v1/predict", json=ASK, headers={"host": host}).status_code == 200


def test_a_service_with_a_key_answers_to_any_name(make_client: Any) -> None:
    client = make_client(host="0.0.0.0", api_key="k")
    headers = {"host": "shop.example", "authorization": "Bearer k"}
    assert client.post("/v1/predict", json=ASK, headers=headers).status_code == 200


def test_pages_of_other_sites_cannot_open_a_websocket(client: TestClient) -> None:
    headers = {"origin": "http://evil.example"}
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/console/_nicegui_ws/socket.io/", headers=headers),
    ):
        pass
    assert refused.value.code == 1008


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for response in (
        client.get("/healthz"),
        client.get("/v1/nothing"),
        client.post("/v1/predict", json=ASK),
        client.get("/healthz", headers={"host": "evil.example"}),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "SAMEORIGIN"
        policy = "default-src 'none'; frame-ancestors 'none'"
        assert response.headers["content-security-policy"] == policy
        assert "access-control-allow-origin" not in response.headers
