"""What the load on the service desk counts as lost, as calm, and as said twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from benchmarks.desk_check import Kept, Message, lost, percentile, read_book
from benchmarks.desk_load import figures, is_calm
from benchmarks.desk_people import Line, Tally
from benchmarks.desk_setup import Server

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.store import Workspace
from tailorbird.store.tables import ConversationRow
from tailorbird.store.writing import Writer

HELLO = Message("c", "m", "visitor", "hello", turn="t", answers=("a",))
TURN, ANSWER = Kept("t", "m", "visitor", "hello"), Kept("a", "re:t:0", "assistant", "hi")


@pytest.mark.parametrize(
    "turns",
    [
        [ANSWER],
        [TURN],
        [TURN, TURN._replace(id="t2"), ANSWER],
        [TURN._replace(id="t2"), ANSWER],
        [TURN._replace(text="hell"), ANSWER],
        [TURN, ANSWER, Kept("b", "re:t:1", "system", "hi again")],
        [TURN._replace(author="agent"), ANSWER],
    ],
    ids=["gone", "unanswered", "twice", "renamed", "altered", "answered twice", "another's"],
)
def test_a_message_that_is_not_there_as_it_was_acknowledged_is_lost(turns: list[Kept]) -> None:
    assert lost([HELLO], {"c": [TURN, ANSWER]}) == []
    assert lost([HELLO], {"c": turns}) == ["m"]


def test_what_stands_in_the_database_is_read_as_the_service_wrote_it(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as space:
        row = ConversationRow(user=None, channel="api", language="", opened_by="")
        writer = Writer(space)
        writer.submit(lambda c: ledger.add(c, row)).result()
        turn = ledger.turn_of(row.id, "visitor", "你好", ledger.Names("m"))
        writer.submit(lambda c: ledger.say(c, turn)).result()
        writer.close()
    assert read_book(tmp_path / "tailorbird.db") == {
        row.id: [Kept(turn.id, "m", "visitor", "你好")]
    }


def test_messages_that_met_the_kill_are_counted_apart() -> None:
    def said(sent_s: float, ms: float, n_tries: int = 1, kind: str = "template") -> Message:
        return Message("c", "m", "visitor", "hi", sent_s, ms, n_tries, kind)

    before, across, again = said(1, 20), said(9.99, 9000, 3), said(12, 8000, 2)
    after, document = said(20, 40), said(21, 900, kind="knowledge")
    assert [is_calm(one, 10, 20) for one in (before, across, again, after)] == [1, 0, 0, 1]
    tally = Tally(acknowledged=[before, across, again, after, document])
    down = {"killed_s": 10.0, "back_s": 20.0, "server_cpu_s": 1.0, "client_cpu_s": 0.5}
    found = figures(tally, down, 10.0)
    assert found["p95_ms"] == 40
    assert found["n_of"] == {"knowledge": 1, "template": 2}
    assert (found["retried"], found["messages_per_s"], found["down_s"]) == (2, 0.5, 10.0)


def test_the_95th_percentile_of_hundred_is_the_95th() -> None:
    assert percentile([float(i) for i in range(100, 0, -1)], 0.95) == 95
    assert percentile([7.0], 0.95) == 7


async def _say_through(failures: list[int]) -> tuple[Message, Tally, list[Any]]:
    """Say one message to a service that first fails so: a status, or 0 for a cut connection."""
    received: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(await request.json())
        if failures:
            status = failures.pop(0)
            if status == 0:
                assert request.transport is not None
                request.transport.abort()
            return web.json_response({}, status=status or 500)
        turn = {"id": "t"}
        return web.json_response({"turn": turn, "answers": [{"id": "a"}], "decision": None})

    app = web.Application()
    app.router.add_post("/say", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    tally, message = Tally(), Message("c", "m", "visitor", "hello")
    try:
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            await Line(session, tally).say(message, "/say")
    finally:
        await runner.cleanup()
    return message, tally, received


def test_what_got_no_answer_is_sent_again_under_the_same_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.desk_people.RETRY_S", 0.0)
    message, tally, received = asyncio.run(_say_through([0, 503, 429]))
    assert received == [{"text": "hello", "client_id": "m"}] * 4
    assert (message.n_tries, message.turn, message.answers) == (4, "t", ("a",))
    assert tally.acknowledged == [message]
    assert tally.statuses == {503: 1, 429: 1}


def test_what_is_refused_for_good_is_not_acknowledged() -> None:
    message, tally, received = asyncio.run(_say_through([409]))
    assert (len(received), message.turn, tally.acknowledged) == (1, "", [])


def test_a_killed_server_is_started_again_on_its_port_and_its_seconds_add_up(
    tmp_path: Path,
) -> None:
    program = (
        "import http.server, sys; sum(range(10**7));"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[-1])),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    server = Server(["-c", program], log=tmp_path / "log", ready="/")
    server.start()
    server.kill()
    once_s = server.cpu_s
    server.start()
    server.stop()
    assert 0 < once_s < server.cpu_s
