"""Group commits: each change whole or not at all, on disk before it is acknowledged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.errors import ConflictError, UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import ConversationRow
from tailorbird.store.writing import Writer


@pytest.fixture
def writer(workspace: Workspace) -> Iterator[Writer]:
    made = Writer(workspace)
    yield made
    made.close()


def adding(name: str) -> Callable[[Connection], str]:
    def change(connection: Connection) -> str:
        ledger.add(connection, ConversationRow(id=name))
        return name

    return change


def n_conversations(workspace: Workspace) -> int:
    with workspace.sessions() as session:
        return session.scalar(select(func.count()).select_from(ConversationRow)) or 0


class Held:
    """A change that keeps the writer busy until the test lets it go."""

    def __init__(self) -> None:
        self.is_running, self.may_end = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        self.is_running.set()
        assert self.may_end.wait(10)


def test_changes_that_come_together_share_one_commit(workspace: Workspace, writer: Writer) -> None:
    held = Held()
    first = writer.submit(held)
    held.is_running.wait(10)
    futures = [writer.submit(adding(f"c{k}")) for k in range(50)]
    held.may_end.set()
    assert [future.result(10) for future in (first, *futures)][1:] == [f"c{k}" for k in range(50)]
    assert (writer.n_commits, writer.n_changes) == (2, 51)
    assert n_conversations(workspace) == 50


def test_what_is_acknowledged_is_seen_by_whoever_opens_the_file(
    workspace: Workspace, writer: Writer
) -> None:
    writer.submit(adding("one")).result(10)
    with Workspace.open(workspace.path) as other:
        assert n_conversations(other) == 1


def test_a_refused_change_leaves_nothing_and_takes_nobody_with_it(
    workspace: Workspace, writer: Writer
) -> None:
    def refused(connection: Connection) -> None:
        adding("half")(connection)
        raise ConflictError("no")

    held = Held()
    writer.submit(held)
    held.is_running.wait(10)
    before, bad, after = (
        writer.submit(adding("a")),
        writer.submit(refused),
        writer.submit(adding("b")),
    )
    held.may_end.set()
    with pytest.raises(ConflictError, match="no"):
        bad.result(10)
    assert (before.result(10), after.result(10)) == ("a", "b")
    assert writer.n_commits == 2
    assert n_conversations(workspace) == 2


@pytest.mark.parametrize("change", [adding("twice"), lambda connection: 1 / 0])
def test_a_broken_change_takes_nobody_with_it(
    workspace: Workspace, writer: Writer, change: Callable[[Connection], Any]
) -> None:
    writer.submit(adding("twice")).result(10)
    held = Held()
    writer.submit(held)
    held.is_running.wait(10)
    before, bad, after = (
        writer.submit(adding("a")),
        writer.submit(change),
        writer.submit(adding("b")),
    )
    held.may_end.set()
    assert bad.exception(10) is not None
    assert (before.result(10), after.result(10)) == ("a", "b")
    assert n_conversations(workspace) == 3


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_kept(
    workspace: Workspace, writer: Writer
) -> None:
    writer.submit(adding("before")).result(10)
    with workspace.engine.connect() as connection:
        n_pages = connection.execute(text("PRAGMA page_count")).scalar()
    limit = [n_pages]

    @event.listens_for(workspace.engine, "begin")
    def fill(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit[0]}")

    def large(connection: Connection) -> None:
        ledger.add(connection, ConversationRow(id="large", reason="x" * 1_000_000))

    held = Held()
    writer.submit(held)
    held.is_running.wait(10)
    futures = [writer.submit(adding("small")), writer.submit(large)]
    held.may_end.set()
    for future in futures:
        with pytest.raises(UnavailableError, match="nothing can be kept right now") as refused:
            future.result(10)
        assert "full" in str(refused.value.__cause__)
        assert str(workspace.path) not in str(refused.value)
    assert n_conversations(workspace) == 1
    limit[0] = 10**6
    writer.submit(large).result(10)  # there is room again
    assert n_conversations(workspace) == 2


def test_whoever_went_away_leaves_nothing_behind(workspace: Workspace, writer: Writer) -> None:
    held = Held()
    writer.submit(held)
    held.is_running.wait(10)
    gone = writer.submit(adding("gone"))
    assert gone.cancel()
    held.may_end.set()
    writer.submit(adding("here")).result(10)
    assert n_conversations(workspace) == 1


def test_too_much_waiting_is_refused(workspace: Workspace) -> None:
    writer = Writer(workspace, max_waiting=1)
    held = Held()
    writer.submit(held)
    held.is_running.wait(10)
    writer.submit(adding("one"))
    with pytest.raises(UnavailableError, match="too much waits"):
        writer.submit(adding("two"))
    held.may_end.set()
    writer.close()
    assert n_conversations(workspace) == 1  # what was taken in is written, also at the end


def test_a_closed_writer_takes_nothing(writer: Writer) -> None:
    writer.close()
    with pytest.raises(UnavailableError, match="closing"):
        writer.submit(adding("late"))


def test_the_event_loop_goes_on_while_the_disk_is_slow(writer: Writer) -> None:
    held = Held()

    async def story() -> int:
        writing = asyncio.create_task(writer.write(held))
        n_turns_of_the_loop = 0
        while not held.is_running.is_set():
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
            n_turns_of_the_loop += 1
        assert not writing.done()
        held.may_end.set()
        await writing
        return n_turns_of_the_loop

    assert asyncio.run(story()) == 100
