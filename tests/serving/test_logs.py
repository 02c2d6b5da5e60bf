"""Logs are read by others than those who ask: no key and no text of a visitor is in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import text

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.errors import RequestError
from tailorbird.records import Prediction
from tailorbird.serving.access import needs, note_action, open_access
from tailorbird.serving.access_routes import access_routes
from tailorbird.serving.guard import Guard
from tailorbird.serving.persons import Person
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor

SAID = "li.lei@example.com wants the refund of order 88231 to 13800138000"
"""What nobody shall find in a log."""
OWN_KEY = "own-k3y-of-the-service"


class Said(BaseModel):
    text: str


class ClumsyPredictor(KeywordPredictor):
    """One that fails, as a model may, without saying on what."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        if SAID in texts:
            raise RuntimeError("out of memory")
        return super().predict(texts)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that any library has logged, with tracebacks."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


def clear_of(log: str, *secrets: str) -> None:
    """Fails with the line that holds one of *secrets*."""
    for secret in secrets:
        assert [line for line in log.splitlines() if secret in line] == []


def test_refused_keys_and_cookies_are_not_logged(
    workspace: Workspace, logged: Callable[[], str]
) -> None:
    settings = ServingSettings(api_key=OWN_KEY)
    access = open_access(settings, workspace=workspace)
    assert access.keys is not None
    revoked = access.keys.create("ada", "agent")
    access.keys.revoke("ada")
    app = FastAPI()
    refuse_in_sentences(app)
    app.include_router(access_routes(access))

    @app.post("/v1/say")
    async def say(said: Said, person: Annotated[Person, needs("admin")]) -> None:
        raise RequestError("has no answer", where="text")

    app.add_middleware(Guard, settings=settings, policies={}, access=access)
    wrong, cookie = "wrong-k3y", "tailorbird_session=forged-cookie"
    with TestClient(app, raise_server_exceptions=False) as client:
        body: dict[str, Any] = {"text": SAID}
        for key, status in ((revoked, 401), (wrong, 401), (OWN_KEY, 422)):
            headers = {"authorization": f"Bearer {key}"}
            assert client.post("/v1/say", json=body, headers=headers).status_code == status
            sign_in = client.post("/v1/session", json={"key": key})
            assert sign_in.status_code == (200 if key == OWN_KEY else 401)
        client.cookies.clear()
        assert client.post("/v1/say", json=body, headers={"cookie": cookie}).status_code == 401
        broken = client.post("/v1/session", json={"key": [OWN_KEY], "text": SAID})
        assert broken.status_code == 422
        assert OWN_KEY not in broken.text
    clear_of(logged(), revoked, wrong, OWN_KEY, "forged-cookie", SAID, "13800138000")


def test_a_failing_model_leaves_a_traceback_without_the_text(
    workspace: Workspace, logged: Callable[[], str]
) -> None:
    settings = ServingSettings(api_key=OWN_KEY)
    app = create_app(workspace, ClumsyPredictor(), settings, console=False)
    headers = {"authorization": f"Bearer {OWN_KEY}"}
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.post("/v1/predict", json={"texts": [SAID]}, headers=headers)
        assert response.status_code == 500
    assert "out of memory" in logged()
    clear_of(logged(), OWN_KEY, SAID, "13800138000", "li.lei")


def test_a_failing_database_is_logged_without_what_was_to_be_kept(
    workspace: Workspace, logged: Callable[[], str]
) -> None:
    with workspace.writing() as session:
        session.execute(text("DROP TABLE served_interactions"))
    app = create_app(workspace, KeywordPredictor(), ServingSettings(), console=False)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/predict", json={"texts": ["refund 88231 please"]}).is_success
    assert "could not be recorded" in logged()
    clear_of(logged(), "88231")


def test_a_failing_route_is_logged_without_what_it_was_sent(
    workspace: Workspace, logged: Callable[[], str]
) -> None:
    app = FastAPI()
    refuse_in_sentences(app)

    @app.post("/v1/say")
    async def say(said: Said) -> None:
        note_action(workspace, Person("ada", "admin"), "add document", said.text)

    with workspace.writing() as session:
        session.execute(text("DROP TABLE admin_actions"))
    app.add_middleware(Guard, settings=ServingSettings(), policies={})
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/say", json={"text": SAID}).status_code == 500
    assert "POST /v1/say failed" in logged()
    clear_of(logged(), SAID, "88231")
