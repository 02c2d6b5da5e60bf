"""The service desk under load: 200 conversations at once, hand-overs, and a kill -9 amid it.

``tailorbird serve`` runs in a process of its own with a MiniLM bundle of Banking77's 77 intents,
the documents and the rules of the examples, two agents with keys, and visitors without. The load
comes from this process, on the same processors: its own seconds are printed beside the server's.

- The load: ``--people`` visitors for ``--seconds``. Each reads an answer and thinks for
  ``--think-s`` (drawn evenly, 5 to 10 seconds unless said: 200 people send about 26 messages a
  second), says 3 to 7 messages, and another comes; each window hears its conversation over
  server-sent events. In one of twenty conversations a person is asked for, and rules and doubts
  hand over some more; the agents hear of it over their WebSocket, take, answer and close.
- In the middle the server is killed (SIGKILL) and started again at once. Whoever got no answer
  sends the same message under the same ``client_id`` until there is one.
- ``lost_messages``: acknowledged ones, of visitors and agents, that are not there exactly once,
  with exactly what was answered to them; looked up over HTTP after the restart, and in the
  database once the server has ended.
- ``p95_ms``: of messages that were answered with the template of their intent, from sending to
  the answer on disk and back. Messages that were on their way when the server was killed, or sent
  before it was back, are no part of it: ``retried`` says how many, ``down_s`` how long it was away.
- ``saturated_messages_per_s``: visitors who never think, ``--busy`` at once.
- ``ratio_vs_pipeline``: texts per second of ``POST /v1/predict`` over those of a
  ``transformers.pipeline`` of the same model behind a plain FastAPI route; a text a request,
  ``--concurrency`` at once, each server alone, in turn; medians of ``--rounds``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.desk_check import Kept, Message, lost, percentile, read_book
from benchmarks.desk_people import Agent, Habits, Line, Tally, Visitor
from benchmarks.desk_setup import Place, Server, export_peer, make_place
from benchmarks.rounds import SCREEN, folder_option, show
from benchmarks.sets import SETS

N_WARM = 50
"""Requests before the clock of a ratio."""


def session_to(address: str) -> aiohttp.ClientSession:
    """As many connections as there are windows."""
    return aiohttp.ClientSession(
        address,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
    )


async def load(server: Server, place: Place, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of the load, of the crowd that never thinks, and what was lost."""
    tally, crowd_tally = Tally(), Tally()
    gc.collect()
    gc.freeze()  # a collection of all that is imported here would keep the people waiting
    async with session_to(server.address) as session:
        down = await _people(server, place, session, tally, options)
        busy = await _crowd(server, place, session, crowd_tally, options)
        acknowledged = tally.acknowledged + crowd_tally.acknowledged
        over_http = lost(acknowledged, await _asked_for(session, acknowledged, place.agents[0]))
    await asyncio.to_thread(server.stop)
    in_database = lost(acknowledged, read_book(place.workspace / "tailorbird.db"))
    if missing := sorted({*over_http, *in_database}):
        SCREEN.print(f"lost: {', '.join(missing[:10])}", markup=False)
    return {
        "lost_messages": len(missing),
        "lost_over_http": len(over_http),
        "lost_in_database": len(in_database),
        "acknowledged": len(acknowledged),
        **figures(tally, down, options.seconds),
        **busy,
    }


async def _people(
    server: Server,
    place: Place,
    session: aiohttp.ClientSession,
    tally: Tally,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Let people talk, kill the server in the middle; when it went away and came back."""
    stop = asyncio.Event()
    habits = Habits(think_s=tuple(options.think_s), wants_person=options.hand_overs)
    line = Line(session, tally)
    desks = [Agent(Line(session, tally, key=key), seed=i) for i, key in enumerate(place.agents)]
    agents = [asyncio.create_task(desk.attend()) for desk in desks]
    visitors = [
        asyncio.create_task(Visitor(line, place.texts, habits, seed=i).come_and_go(stop))
        for i in range(options.people)
    ]
    cpu_s, own_s = server.cpu_s, time.process_time()
    down = {"killed_s": 0.0, "back_s": 0.0}
    await asyncio.sleep(options.seconds / 2)
    if not options.no_kill:
        down["killed_s"] = time.monotonic()
        server.kill()
        await asyncio.to_thread(server.start)
        down["back_s"] = time.monotonic()
    await asyncio.sleep(max(0, options.seconds / 2 - (down["back_s"] - down["killed_s"])))
    stop.set()
    await asyncio.gather(*visitors)
    for agent in agents:
        agent.cancel()
    await asyncio.gather(*agents, return_exceptions=True)
    down["server_cpu_s"] = server.cpu_s - cpu_s
    down["client_cpu_s"] = time.process_time() - own_s
    return down


def figures(tally: Tally, down: dict[str, float], seconds: float) -> dict[str, Any]:
    """What the messages of visitors say; those that met the kill are counted apart."""
    said = [one for one in tally.acknowledged if one.author == "visitor"]
    calm = [one for one in said if is_calm(one, down["killed_s"], down["back_s"])]
    of_kind: dict[str, list[float]] = {}
    for one in calm:
        of_kind.setdefault(one.kind or "kept", []).append(one.ms)
    intents = of_kind.get("template", [])
    return {
        "p95_ms": percentile(intents, 0.95),
        "p50_ms": percentile(intents, 0.5),
        "p99_ms": percentile(intents, 0.99),
        "p95_ms_of": {kind: percentile(ms, 0.95) for kind, ms in sorted(of_kind.items())},
        "n_of": {kind: len(ms) for kind, ms in sorted(of_kind.items())},
        "messages_per_s": len(said) / seconds,
        "retried": len(said) - len(calm),
        "down_s": down["back_s"] - down["killed_s"],
        "server_cpu_s": down["server_cpu_s"],
        "client_cpu_s": down["client_cpu_s"],
        "refused": {str(status): n for status, n in sorted(tally.statuses.items())},
        **tally.counts,
    }


def is_calm(message: Message, killed_s: float, back_s: float) -> bool:
    """Whether a message was answered before the server was killed, or sent once it was back.

    >>> hello = Message("c", "m", "visitor", "hi", sent_s=10.0, ms=500.0, n_tries=1)
    >>> is_calm(hello, 11, 15), is_calm(hello, 10.2, 15), is_calm(hello, 2, 9)
    (True, False, True)
    """
    answered_s = message.sent_s + message.ms / 1000
    return message.n_tries == 1 and (answered_s <= killed_s or message.sent_s >= back_s)


async def _crowd(
    server: Server,
    place: Place,
    session: aiohttp.ClientSession,
    tally: Tally,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Messages per second of visitors who never think."""
    stop = asyncio.Event()
    habits = Habits(think_s=(0.0, 0.0), wants_person=0.0)
    cpu_s, own_s, started_s = server.cpu_s, time.process_time(), time.monotonic()
    line = Line(session, tally)
    crowd = [
        asyncio.create_task(Crowded(line, place.texts, habits, seed=i).come_and_go(stop))
        for i in range(options.busy)
    ]
    await asyncio.sleep(options.busy_s)
    stop.set()
    await asyncio.gather(*crowd)
    spent_s, n = time.monotonic() - started_s, max(1, len(tally.acknowledged))
    return {
        "saturated_messages_per_s": n / spent_s,
        "saturated_p95_ms": percentile([one.ms for one in tally.acknowledged], 0.95),
        "server_cpu_ms_per_message": 1000 * (server.cpu_s - cpu_s) / n,
        "client_cpu_ms_per_message": 1000 * (time.process_time() - own_s) / n,
    }


class Crowded(Visitor):
    """A program that says one thing after another, and hears answers in the responses alone."""

    async def _hear(self, conversation: str) -> None:
        """No stream."""

    async def _with_agent(self, conversation: str, stop: asyncio.Event) -> None:
        """Nobody waits: another conversation is opened."""


async def _asked_for(
    session: aiohttp.ClientSession, acknowledged: Sequence[Message], key: str
) -> dict[str, list[Kept]]:
    """All conversations that somebody spoke in, as the service gives them now."""
    book: dict[str, list[Kept]] = {}
    headers = {"Authorization": f"Bearer {key}"}
    for conversation in {one.conversation for one in acknowledged}:
        path = f"/v1/conversations/{conversation}/turns"
        async with session.get(path, headers=headers) as response:
            found = await response.json()
        book[conversation] = [
            Kept(turn["id"], turn["client_id"] or "", turn["author"], turn["text"])
            for turn in found["turns"]
        ]
    return book


async def throughput(
    server: Server, path: str, body: Callable[[str], Any], place: Place, seconds: float, n: int
) -> dict[str, float]:
    """Texts per second of *n* clients that each send the next text once they have an answer."""
    headers = {"Authorization": f"Bearer {place.program}"}
    taken_ms: list[float] = []

    async def client(number: int, n_times: int, end_s: float) -> None:
        k = number
        while n_times and time.monotonic() < end_s:
            start_s = time.monotonic()
            text = place.texts[k % len(place.texts)]
            async with session.post(path, json=body(text), headers=headers) as response:
                response.raise_for_status()
                await response.read()
            taken_ms.append(1000 * (time.monotonic() - start_s))
            k, n_times = k + n, n_times - 1

    async with session_to(server.address) as session:
        await asyncio.gather(*(client(i, -(-N_WARM // n), time.monotonic() + 60) for i in range(n)))
        taken_ms.clear()
        cpu_s, start_s = server.cpu_s, time.monotonic()
        await asyncio.gather(*(client(i, -1, start_s + seconds) for i in range(n)))
        spent_s = time.monotonic() - start_s
    return {
        "texts_per_s": len(taken_ms) / spent_s,
        "p95_ms": percentile(taken_ms, 0.95),
        "cpu_ms_per_text": 1000 * (server.cpu_s - cpu_s) / len(taken_ms),
    }


def compare(place: Place, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of ours and of the peer in each of ``--peer-dtypes``."""
    model, log = export_peer(place, folder / "peer"), folder / "server.log"
    sides: dict[str, tuple[Callable[[], Server], str, Callable[[str], Any]]] = {
        "ours": (lambda: Server.ours(place, log=log), "/v1/predict", lambda t: {"texts": [t]})
    }
    for dtype in options.peer_dtypes:
        make_peer = partial(Server.peer, model, dtype, log=log)
        sides[f"pipeline {dtype}"] = (make_peer, "/predict", lambda t: {"text": t})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (make, path, body) in sides.items():
            server = make()
            server.start()
            given = (place, options.ratio_s, options.concurrency)
            row = asyncio.run(throughput(server, path, body, *given))
            server.stop()
            found[name].append(row)
            SCREEN.print(f"{name}: {row['texts_per_s']:,.1f} texts/s", markup=False)
    return {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in found.items()
    }


def options_of() -> argparse.Namespace:
    """What was given."""
    parser = folder_option(__doc__, folder=SETS["banking77"].folder)
    parser.add_argument("--people", type=int, default=200, help="conversations at once")
    parser.add_argument("--seconds", type=float, default=120, help="of the load")
    parser.add_argument("--think-s", type=float, nargs=2, default=[5.0, 10.0], help="from, to")
    parser.add_argument("--hand-overs", type=float, default=0.05, help="share that asks for one")
    parser.add_argument("--no-kill", action="store_true", help="let the server live")
    parser.add_argument("--busy", type=int, default=64, help="visitors who never think")
    parser.add_argument("--busy-s", type=float, default=10)
    parser.add_argument("--concurrency", type=int, default=64, help="clients of the ratio")
    parser.add_argument("--ratio-s", type=float, default=10, help="of each side")
    parser.add_argument("--rounds", type=int, default=1, help="of the ratio; 0: none")
    parser.add_argument("--peer-dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--no-knowledge", action="store_true", help="no documents and no rules")
    parser.add_argument("--encoder", default="e5", help="of the documents")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="the model answers in",
    )
    parser.add_argument("--folder", type=Path, help="where the workspace is made")
    return parser.parse_args()


def main() -> None:
    """Make a workspace, serve it, load it, compare, print."""
    options = options_of()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        place = make_place(options, folder)
        SCREEN.print(f"the bundle is right in {place.accuracy:.1%} of the test rows", markup=False)
        server = Server.ours(place, log=folder / "server.log")
        start_s = server.start()
        try:
            result = asyncio.run(load(server, place, options)) | {"start_s": start_s}
            SCREEN.print(json.dumps(result, indent=1), markup=False)
        finally:
            server.kill()
        sides = compare(place, folder, options) if options.rounds else {}
    for key, name in (("ratio_vs_pipeline", "float32"), ("ratio_vs_pipeline_bf16", "bfloat16")):
        peer = sides.get(f"pipeline {name}")
        if peer:
            result[key] = sides["ours"]["texts_per_s"] / peer["texts_per_s"]
    result["loadavg"] = os.getloadavg()
    show(sides, result)


if __name__ == "__main__":
    main()
