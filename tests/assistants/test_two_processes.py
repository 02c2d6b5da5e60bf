"""Two processes serve one workspace: what one does, those who listen to the other hear."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.store import Workspace

from .conftest import Assistant

SERVER = Path(__file__).parent / "desk_to_kill.py"
LOOK_S = 0.02
Story = Callable[[ServiceDesk, ServiceDesk], Awaitable[None]]


def run(folder: Path, story: Story) -> None:
    """Two service desks of one workspace, which know each other by the database alone."""

    async def both() -> None:
        async with AsyncExitStack() as stack:
            with ExitStack() as spaces:
                desks = [
                    ServiceDesk(spaces.enter_context(Workspace.open(folder)), Assistant())
                    for _ in range(2)
                ]
                for desk in desks:
                    await stack.enter_async_context(desk.running(look_s=LOOK_S))
                await asyncio.sleep(5 * LOOK_S)  # both have looked once
                await asyncio.wait_for(story(*desks), 20)
                await stack.aclose()

    asyncio.run(both())


async def heard(news: Any, kind: str) -> DeskEvent:
    while (event := await news.get(10)) is None or event.kind != kind:
        assert event is not None, f"nothing of the kind {kind} was told"
    return event


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(LOOK_S)


def test_an_agent_at_one_process_is_at_the_desk_of_the_other(tmp_path: Path) -> None:
    async def story(one: ServiceDesk, other: ServiceDesk) -> None:
        with other.books.events.subscribe() as news:
            await one.desk.heartbeat("carl")
            await heard(news, "presence")
            assert other.presence.agents == ["carl"]
            asked = await other.conversations.open()
            exchanged = await other.exchange(asked.id, "I want a person")
            assert exchanged.conversation.status == "waiting"  # and no ticket
            one.desk.leave("carl")
            await heard(news, "presence")
            assert not other.presence.is_anybody

    run(tmp_path, story)


def test_what_is_said_and_done_at_one_is_told_once_at_both(tmp_path: Path) -> None:
    async def story(one: ServiceDesk, other: ServiceDesk) -> None:
        await one.desk.heartbeat("carl")
        await until(lambda: other.presence.is_anybody)
        conversation = (await other.conversations.open()).id
        told: dict[str, list[Any]] = {"one": [], "other": []}

        async def listen(name: str, desk: ServiceDesk) -> None:
            with desk.books.events.subscribe() as news:
                while True:
                    event = await news.get()
                    if event is not None and event.conversation:
                        number = event.turn.number if event.turn else None
                        told[name].append((event.kind, number, event.agent))

        listening = [asyncio.create_task(listen(*who)) for who in (("one", one), ("other", other))]
        await asyncio.sleep(0)
        await other.exchange(conversation, "a person please")
        await one.desk.take(conversation, "carl")
        await one.desk.answer(conversation, "carl", "Hello!")
        await other.exchange(conversation, "thanks")
        await one.desk.close(conversation, "carl")
        await until(lambda: all(("closed", None, "carl") in events for events in told.values()))
        await asyncio.sleep(5 * LOOK_S)  # nothing is told again
        for task in listening:
            task.cancel()
        for events in told.values():
            turns = [number for kind, number, _ in events if kind == "turn"]
            assert turns == sorted(set(turns)) == list(range(len(turns)))
            kinds = [kind for kind, number, _ in events if number is None]
            assert len(kinds) == len(set(kinds))
            assert kinds[-1] == "closed"
        assert ("taken", None, "carl") in told["one"]

    run(tmp_path, story)


def test_nobody_becomes_a_ticket_while_an_agent_is_at_the_other_process(tmp_path: Path) -> None:
    async def story(one: ServiceDesk, other: ServiceDesk) -> None:
        await one.desk.heartbeat("carl")
        await until(lambda: other.presence.is_anybody)
        conversation = (await other.conversations.open()).id
        await other.exchange(conversation, "a person please")
        other.presence._last_s -= 31  # it has heard nobody itself for half a minute
        await until(lambda: not other.presence.is_nobody_for_long)
        assert await other.desk.sweep() == 0
        assert (await one.conversations.get(conversation)).status == "waiting"

    run(tmp_path, story)


def test_a_process_that_ends_takes_its_agents_along(tmp_path: Path) -> None:
    async def story() -> list[str]:
        with Workspace.open(tmp_path) as space, Workspace.open(tmp_path) as same:
            stays = ServiceDesk(space, Assistant())
            async with stays.running(look_s=LOOK_S):
                async with (ends := ServiceDesk(same, Assistant())).running(look_s=LOOK_S):
                    await ends.desk.heartbeat("carl")
                    await asyncio.wait_for(until(lambda: stays.presence.is_anybody), 10)
                await asyncio.wait_for(until(lambda: not stays.presence.is_anybody), 10)
                return stays.presence.agents

    assert asyncio.run(story()) == []


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    """Two real servers of one folder."""
    root = SERVER.parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    Workspace.open(tmp_path / "space").close()
    processes = []
    for _ in range(2):
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            port = str(chosen.getsockname()[1])
        command = [sys.executable, str(SERVER), str(tmp_path / "space"), port]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    yield [process.stdout.readline().strip() for process in processes if process.stdout]
    for process in processes:
        process.kill()
        process.communicate()


def test_a_stream_of_one_server_tells_what_was_said_to_the_other(addresses: list[str]) -> None:
    here, there = (httpx.Client(base_url=address, timeout=15) for address in addresses)
    with here, there:
        assert there.get("/listeners").json() == 0
        conversation = here.post("/v1/conversations", json={}).json()["id"]
        with here.stream("GET", f"/v1/conversations/{conversation}/events") as response:
            lines = response.iter_lines()
            assert next(lines) == "retry: 2000"
            begun_s = time.monotonic()
            there.post(f"/v1/conversations/{conversation}/turns", json={"text": "hello"})
            said = [json.loads(line[6:]) for line in lines_of(lines, "data: ", n=3)]
        assert [one.get("text") for one in said if "text" in one] == ["hello", "you said hello"]
        assert time.monotonic() - begun_s < 4  # it looks every second
        assert here.get("/v1/desk/conversations").json()["agents"] == []
        assert there.post("/v1/desk/heartbeat").json() == {"agents": ["local"]}
        deadline_s = time.monotonic() + 4
        while not here.get("/v1/desk/conversations").json()["agents"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def lines_of(lines: Iterator[str], start: str, *, n: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        if line.startswith(start):
            found.append(line)
        if len(found) == n:
            break
    return found
