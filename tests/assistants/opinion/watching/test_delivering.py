"""Alerts arrive at a receiver, once, even after it was down and the process died."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tailorbird.assistants.opinion.watching import Deliverer, acknowledge, silence
from tailorbird.assistants.opinion.watching.delivering import check_channels
from tailorbird.errors import ConfigError, NotFoundError, RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, DeliveryRow, utc_now

NOW = utc_now()


class Receiver:
    """A local server that keeps what it gets, or says that it is broken."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.is_broken = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(500 if receiver.is_broken else 200)
                self.end_headers()
                if not receiver.is_broken:
                    receiver.got.append(json.loads(body))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_address[1]}/hook-secret-7"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()
    one.thread.join()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def add_alert(workspace: Workspace, topic: str = "食品", group: str = "") -> str:
    story = {
        "observed": 31,
        "expected": 2.5,
        "ratio": 12.4,
        "end": "",
        "texts": [{"id": "p1", "title": "奶粉召回，多名儿童不适", "url": "", "time": ""}],
        "words": ["奶粉", "召回"],
    }
    row = AlertRow(
        topic=topic,
        since=datetime(2026, 3, 1, 8, tzinfo=UTC),
        until=datetime(2026, 3, 1, 12, tzinfo=UTC),
        level="critical",
        story=story,
    )
    with workspace.writing() as session:
        session.add(row)
        session.flush()
        row.group = group or row.id
    return row.id


def test_an_alert_arrives_once(workspace: Workspace, receiver: Receiver) -> None:
    add_alert(workspace)
    deliverer = Deliverer(workspace, {"team": receiver.url})
    assert deliverer.deliver_due() == 1
    assert deliverer.deliver_due() == 0
    (message,) = receiver.got
    assert message["title"] == "严重：“食品”负面信息升至平时的 12 倍"
    assert "共有 31 条负面信息" in message["message"]
    assert "奶粉召回，多名儿童不适" in message["message"]
    assert message["type"] == "failure"


def test_it_is_tried_again_with_growing_waits_and_by_another_process(
    workspace: Workspace, receiver: Receiver
) -> None:
    add_alert(workspace)
    clock, channels = Clock(), {"team": receiver.url}
    receiver.is_broken = True
    waits = []
    for _ in range(3):
        assert Deliverer(workspace, channels, clock=clock).deliver_due() == 0
        with workspace.sessions() as session:
            (row,) = session.query(DeliveryRow)
        assert row.next_try is not None
        waits.append((row.next_try - clock.now).total_seconds())
        assert Deliverer(workspace, channels, clock=clock).deliver_due() == 0  # not yet due
        clock.now = row.next_try
    assert waits == [60.0, 120.0, 240.0]
    assert row.n_tries == 3
    assert row.error
    assert "secret" not in row.error
    receiver.is_broken = False
    assert Deliverer(workspace, channels, clock=clock).deliver_due() == 1
    assert len(receiver.got) == 1
    with workspace.sessions() as session:
        (row,) = session.query(DeliveryRow)
    assert (row.arrived, row.next_try, row.error) == (clock.now, None, "")


def test_a_delivery_that_another_process_has_taken_is_left_to_it(workspace: Workspace) -> None:
    add_alert(workspace)
    clock, sent = Clock(), []

    def send(url: str, title: str, body: str, level: str) -> str:
        # While this one is sending, a second process looks for work.
        assert Deliverer(workspace, {"team": "x://"}, clock=clock, send=send).deliver_due() == 0
        sent.append(title)
        return ""

    assert Deliverer(workspace, {"team": "x://"}, clock=clock, send=send).deliver_due() == 1
    assert len(sent) == 1


def test_what_belongs_together_is_one_message(workspace: Workspace) -> None:
    first = add_alert(workspace)
    add_alert(workspace, topic="监管", group=first)
    sent = []

    def send(url: str, title: str, body: str, level: str) -> str:
        sent.append(body)
        return ""

    assert Deliverer(workspace, {"a": "x://", "b": "y://"}, send=send).deliver_due() == 2
    assert len(sent) == 2  # one a channel
    assert "相关：严重：“监管”" in sent[0]


def test_a_silence_holds_a_message_back_until_it_ends(workspace: Workspace) -> None:
    add_alert(workspace)
    clock = Clock()
    silence(workspace, topic="食品", until=NOW + timedelta(hours=2), author="Li")
    deliverer = Deliverer(workspace, {"a": "x://"}, clock=clock, send=lambda *args: "")
    assert deliverer.deliver_due() == 0
    clock.now += timedelta(hours=3)
    assert deliverer.deliver_due() == 1


def test_an_acknowledged_alert_is_not_sent(workspace: Workspace) -> None:
    alert = add_alert(workspace)
    deliverer = Deliverer(workspace, {"a": "x://"}, send=lambda *args: "down")
    assert deliverer.deliver_due() == 0
    assert acknowledge(workspace, alert[:8], by="Li").status == "acknowledged"
    assert acknowledge(workspace, alert, by="Wang").acknowledged_by == "Li"
    late = Clock()
    late.now += timedelta(days=1)
    assert Deliverer(workspace, {"a": "x://"}, clock=late, send=lambda *args: "").deliver_due() == 0


def test_a_silence_says_what_is_wrong_with_it(workspace: Workspace) -> None:
    with pytest.raises(RequestError, match="names a topic or an entity"):
        silence(workspace, until=NOW + timedelta(days=1), author="Li")
    with pytest.raises(RequestError, match="in the past"):
        silence(workspace, topic="a", until=NOW - timedelta(days=1), author="Li")
    with pytest.raises(NotFoundError, match="there is no alert 'zz'"):
        acknowledge(workspace, "zz", by="Li")


def test_an_unknown_kind_of_channel_is_named_without_its_address() -> None:
    with pytest.raises(ConfigError, match="address of team") as caught:
        check_channels({"team": "nothing://secret", "good": "json://127.0.0.1/"})
    assert "secret" not in str(caught.value)
