"""Many requests at once, and what goes on for long: neither outlives its key, nor costs much."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.serving.access import Access, Keys, Person
from tailorbird.serving.sessions import Sessions
from tailorbird.serving.watching import Lasting, Watch
from tailorbird.store import Workspace

from .conftest import CountingHasher
from .doors import Open

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
