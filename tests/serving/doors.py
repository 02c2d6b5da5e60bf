"""A small service behind its guard, with keys, sessions and a clock that a test turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.serving.access import Access, Keys, Person, needs
from tailorbird.serving.access_routes import access_routes
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.serving.sessions import Sessions
from tailorbird.store import Workspace

UNKNOWN = "tb_00ff00ff00ff_" + "0" * 48


class CountingHasher:
    """Argon2 that is quick, and counts."""

    def __init__(self) -> None:
        self.inner = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.n_verified = 0

    def hash(self, secret: str, /) -> str:
        return self.inner.hash(secret)

    def verify(self, kept: str, secret: str, /) -> bool:
        self.n_verified += 1
        return self.inner.verify(kept, secret)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


Visitor = Annotated[Person, needs("visitor")]
Agent = Annotated[Person, needs("agent")]
HERE = "http://testserver"
EVIL = "https://evil.example"
"""An origin nobody listed."""


def sentence(response: Any) -> str:
    """Status and message of a refusal."""
    return f"{response.status_code} {response.json()['error']['message']}"


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
