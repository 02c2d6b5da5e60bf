"""Looking at sources: when, how often after failures, and from where on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tailorbird.assistants.opinion.gathering.gatherer import Gatherer
from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.polite import Politely
from tailorbird.connectors.web import WebAnswer
from tailorbird.errors import ConfigError, ConflictError, NotFoundError, SourceError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow

from .conftest import Now

URL = "https://api.example/posts"


class Server:
    """Answers a list of posts, or fails."""

    def __init__(self) -> None:
        self.n_posts = 1
        self.error: Exception | None = None
        self.status, self.headers = 200, dict[str, str]()
        self.asked: list[str] = []

    def __call__(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> WebAnswer:
        self.asked.append(url)
        if self.error is not None:
            raise self.error
        posts = [{"id": n, "text": f"post {n}"} for n in range(self.n_posts)]
        return WebAnswer(self.status, self.headers, json.dumps(posts).encode(), url)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def gatherer(workspace: Workspace, server: Server, now: Now) -> Gatherer:
    polite = Politely(server, spacing_s=0)
    return Gatherer(workspace, Intake(workspace, clock=now), polite, clock=now)


def n_posts(workspace: Workspace) -> int:
    with workspace.sessions() as session:
        return session.scalar(select(func.count()).select_from(PostRow)) or 0


def test_a_source_is_looked_at_when_it_is_due_and_only_then(
    gatherer: Gatherer, server: Server, now: Now
) -> None:
    gatherer.add_source("api", "json", URL, every_s=600)
    (look,) = gatherer.poll_due()
    assert (look.taken.n_new, look.error) == (1, "")
    assert look.next_poll == now() + timedelta(seconds=600)
    assert gatherer.poll_due() == []
    now.move(seconds=601)
    server.n_posts = 3
    (look,) = gatherer.poll_due()
    assert (look.taken.n_new, look.taken.n_known) == (2, 1)


def test_a_source_that_is_down_for_a_day_is_left_alone_longer_and_read_on_when_it_is_back(
    gatherer: Gatherer, workspace: Workspace, server: Server, now: Now
) -> None:
    gatherer.add_source("api", "json", URL, every_s=300)
    gatherer.poll_due()
    server.error = SourceError("does not answer in time", where=URL)
    server.asked.clear()
    waits = []
    began = now()
    while now() - began < timedelta(days=1):
        now.moment = gatherer.table.get("api").next_poll or now()
        (look,) = gatherer.poll_due()
        assert "does not answer in time" in look.error
        assert look.next_poll is not None
        waits.append((look.next_poll - now()).total_seconds())
    assert waits[:6] == [300, 600, 1200, 2400, 3600, 3600]
    assert len(server.asked) < 30
    row = gatherer.table.get("api")
    assert row.n_failures == len(waits)
    assert row.last_error.startswith("https://api.example/posts: does not answer in time")
    assert row.last_ok == began
    server.error, server.n_posts = None, 50  # what came meanwhile
    now.moment = row.next_poll or now()
    (look,) = gatherer.poll_due()
    assert (look.taken.n_new, n_posts(workspace)) == (49, 50)
    assert (gatherer.table.get("api").n_failures, gatherer.table.get("api").last_error) == (0, "")


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7200"}, 7200),
        (
            {
                "retry-after": "Thu, 05 Nov 2026 15:00:00 GMT",
                "date": "Thu, 05 Nov 2026 12:00:00 GMT",
            },
            10800,
        ),
        ({"retry-after": "10"}, 300),
        ({"retry-after": "99999999"}, 86400),
        ({"retry-after": "soon"}, 300),
        ({}, 300),
    ],
)
def test_a_server_that_asks_to_wait_is_left_alone_as_long(
    gatherer: Gatherer, server: Server, now: Now, headers: dict[str, str], wait_s: float
) -> None:
    gatherer.add_source("api", "json", URL, every_s=300)
    server.status, server.headers = 429, headers
    (look,) = gatherer.poll_due()
    assert "answers 429" in look.error
    assert look.next_poll == now() + timedelta(seconds=wait_s)


def test_one_failing_source_does_not_stop_the_others(
    gatherer: Gatherer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nno json\n', "utf-8")
    gatherer.add_source("file", "file", str(tmp_path / "a.jsonl"))
    gatherer.add_source("gone", "file", str(tmp_path / "gone.jsonl"))
    gatherer.add_source("api", "json", URL)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gatherer, "_fetch", broken)
    looks = {look.source: look for look in gatherer.poll_due()}
    assert looks["file"].taken.n_new == 1
    assert str(looks["file"].taken.rejects[0]) == "a.jsonl:2: is no JSON; write one object a line"
    assert "cannot be read (No such file" in looks["gone"].error
    assert looks["api"].error == "failed: ZeroDivisionError; the log says why"


def test_a_look_that_is_interrupted_before_its_posts_are_kept_is_done_again(
    gatherer: Gatherer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n', "utf-8")
    gatherer.add_source("file", "file", str(tmp_path / "a.jsonl"))
    with monkeypatch.context() as patch:
        patch.setattr(gatherer.intake, "take", lambda *_: 1 / 0)
        assert gatherer.poll("file").error
    assert gatherer.table.get("file").cursor == {}
    assert gatherer.poll("file").taken.n_new == 1
    assert gatherer.poll("file").taken.n_known == 0  # read on from there


def test_a_paused_source_is_not_looked_at(gatherer: Gatherer) -> None:
    gatherer.add_source("api", "json", URL)
    gatherer.pause("api")
    assert gatherer.poll_due() == []
    gatherer.pause("api", is_paused=False)
    assert len(gatherer.poll_due()) == 1
    gatherer.remove("api")
    assert gatherer.sources() == []


def test_wrong_sources_are_refused_when_they_are_added(gatherer: Gatherer) -> None:
    gatherer.add_source("api", "json", URL)
    with pytest.raises(ConflictError, match="there is a source 'api' already"):
        gatherer.add_source("api", "feed", URL)
    with pytest.raises(ConfigError, match="'rss' is no kind of source; known: file, feed, json"):
        gatherer.add_source("x", "rss", URL)
    with pytest.raises(ConfigError, match="did you mean 'fields'"):
        gatherer.add_source("x", "json", URL, settings={"feilds": {}})
    with pytest.raises(ConfigError, match="every 1 s is too often"):
        gatherer.add_source("x", "json", URL, every_s=1)
    with pytest.raises(ConfigError, match="is no name"):
        gatherer.add_source("a/b", "json", URL)
    with pytest.raises(ConfigError, match="headers is not a table"):
        gatherer.add_source("x", "json", URL, settings={"headers": {"a": "b\r\nc: d"}})
    with pytest.raises(NotFoundError, match="did you mean 'api'"):
        gatherer.poll("aip")


def test_a_host_is_asked_one_thing_at_a_time_and_spaced() -> None:
    clock_s = [100.0]
    slept: list[float] = []

    def sleep(wait_s: float) -> None:
        slept.append(wait_s)
        clock_s[0] += wait_s

    polite = Politely(Server(), spacing_s=2.0, clock=lambda: clock_s[0], sleep=sleep)
    for url in (
        "https://a.example/1",
        "https://a.example/2",
        "https://b.example/",
        "https://A.example/",
    ):
        polite(url, {})
        clock_s[0] += 0.5
    assert slept == [1.5, 1.0]


def test_the_loop_looks_again_and_again_and_survives_errors(
    gatherer: Gatherer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def look() -> list[object]:
        looked.append(1)
        if len(looked) == 2:
            raise RuntimeError("broken")
        return []

    monkeypatch.setattr(gatherer, "poll_due", look)

    async def run_a_while() -> None:
        task = asyncio.create_task(gatherer.run(look_s=0.001))
        while len(looked) < 4:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run_a_while())
