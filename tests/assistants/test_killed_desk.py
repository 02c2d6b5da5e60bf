"""The real server, killed amid messages: nothing acknowledged is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.store import Workspace

SERVER = Path(__file__).parent / "desk_to_kill.py"
N_CONVERSATIONS = 20
N_MESSAGES = 4
N_KILLS = 1

Start = Callable[[], "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server on the same folder and port each time; gives its process and address."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    root = SERVER.parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    started: list[subprocess.Popen[str]] = []

    def begin() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, str(SERVER), str(tmp_path / "space"), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield begin
    for process in started:
        process.kill()
        process.communicate()


async def converse(
    client: httpx.AsyncClient, conversation: str, acknowledged: dict[tuple[str, str], list[str]]
) -> None:
    """Say everything once, and again under the same name until it is acknowledged."""
    for number in range(N_MESSAGES):
        name = f"m{number}"
        body = {"text": f"message {number} of {conversation}", "client_id": name}
        while True:
            try:
                path = f"/v1/conversations/{conversation}/turns"
                response = await client.post(path, json=body, timeout=5)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if response.status_code == 200:
                said = [one["text"] for one in response.json()["answers"]]
                acknowledged[conversation, name] = said
                break


def test_a_killed_server_has_everything_it_acknowledged_exactly_once(
    start: Start, tmp_path: Path
) -> None:
    acknowledged: dict[tuple[str, str], list[str]] = {}
    n_acknowledged_at_kill: list[int] = []

    async def kill_amid(process: subprocess.Popen[str]) -> None:
        draw = random.Random(0)
        for _ in range(N_KILLS):
            before, enough = len(acknowledged), draw.randrange(20, 60)
            while len(acknowledged) < before + enough:
                await asyncio.sleep(0.001)
            n_acknowledged_at_kill.append(len(acknowledged))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process, _address = await asyncio.to_thread(start)

    async def story() -> list[str]:
        process, address = await asyncio.to_thread(start)
        limits = httpx.Limits(max_connections=N_CONVERSATIONS)
        async with httpx.AsyncClient(base_url=address, limits=limits) as client:
            opened = [
                (await client.post("/v1/conversations", json={}, timeout=10)).json()["id"]
                for _ in range(N_CONVERSATIONS)
            ]
            work = [converse(client, one, acknowledged) for one in opened]
            await asyncio.gather(kill_amid(process), *work)
        return opened

    conversations = asyncio.run(story())
    assert len(acknowledged) == N_CONVERSATIONS * N_MESSAGES
    assert len(n_acknowledged_at_kill) == N_KILLS
    assert n_acknowledged_at_kill[-1] < len(acknowledged)  # it was killed amid them
    space = Workspace.open(tmp_path / "space")
    with space, space.engine.connect() as connection:
        for conversation in conversations:
            turns = ledger.turns(connection, conversation)
            assert [turn.number for turn in turns] == list(range(2 * N_MESSAGES))
            for number in range(N_MESSAGES):
                text = f"message {number} of {conversation}"
                asked, answered = turns[2 * number : 2 * number + 2]
                assert (asked.author, asked.text) == ("visitor", text)
                assert (answered.author, answered.text) == ("assistant", f"you said {text}")
                assert acknowledged[conversation, f"m{number}"] == [answered.text]


def wait_for(client: httpx.Client, *, n_listeners: int) -> None:
    deadline_s = time.monotonic() + 10
    while (found := client.get("/listeners").json()) != n_listeners:
        assert time.monotonic() < deadline_s, f"{found} listen"
        time.sleep(0.02)


def test_who_disconnects_amid_a_stream_is_not_listened_for_any_more(start: Start) -> None:
    process, address = start()
    with httpx.Client(base_url=address, timeout=10) as client:
        opened = client.post("/v1/conversations", json={}).json()["id"]
        with client.stream("GET", f"/v1/conversations/{opened}/events") as response:
            lines = response.iter_lines()  # kept: the stream ends with it
            assert next(lines) == "retry: 2000"
            wait_for(client, n_listeners=1)
        wait_for(client, n_listeners=0)
        said = client.post(f"/v1/conversations/{opened}/turns", json={"text": "still there?"})
        assert said.json()["answers"][0]["text"] == "you said still there?"
        large = {"text": "x" * 1_000_001}
        refused = client.post(f"/v1/conversations/{opened}/turns", json=large)
        assert refused.status_code == 413
        assert process.poll() is None
