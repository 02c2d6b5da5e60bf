"""The assistant thinks while the disk is waited for, and nobody is told what is not on it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select
from sqlalchemy.exc import OperationalError

from tailorbird.assistants.service_desk.answering.decision import Decision, Sentence
from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import TurnRow

ANSWER = Decision("template", "Within 5 days.", (Sentence("Within 5 days."),), "en")


def n_turns(workspace: Workspace) -> int | None:
    with workspace.sessions() as session:
        return session.scalar(select(func.count()).select_from(TurnRow))


def test_thinking_begins_before_the_message_is_on_disk(tmp_path: Path) -> None:
    has_begun, is_watched = threading.Event(), threading.Event()

    async def respond(conversation: str, turns: Sequence[Any], user: str | None) -> Decision:
        has_begun.set()
        return ANSWER

    async def story(workspace: Workspace) -> None:
        desk = ServiceDesk(workspace, respond)
        async with desk.running():
            conversation = await desk.conversations.open()
            is_watched.set()
            found = await desk.exchange(conversation.id, "when is my money back")
        assert [turn.text for turn in found.answers] == ["Within 5 days."]

    with Workspace.open(tmp_path) as workspace:

        @event.listens_for(workspace.engine, "commit")
        def wait(connection: Connection) -> None:
            assert not is_watched.is_set() or has_begun.wait(10)

        asyncio.run(story(workspace))
        assert n_turns(workspace) == 2


def test_what_could_not_be_kept_is_not_thought_to_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    is_full = threading.Event()

    async def respond(conversation: str, turns: Sequence[Any], user: str | None) -> Decision:
        said.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            said.append("left")
            raise
        return ANSWER

    async def story(workspace: Workspace) -> None:
        desk = ServiceDesk(workspace, respond)
        async with desk.running():
            conversation = await desk.conversations.open()
            with desk.books.events.subscribe(conversation.id) as news:
                is_full.set()
                with pytest.raises(UnavailableError, match="nothing can be kept right now"):
                    await desk.exchange(conversation.id, "when is my money back")
                is_full.clear()
                assert await news.get(0) is None
            await asyncio.sleep(0)

    with Workspace.open(tmp_path) as workspace:

        @event.listens_for(workspace.engine, "commit")
        def fail(connection: Connection) -> None:
            if is_full.is_set():
                error = sqlite3.OperationalError("database or disk is full")
                raise OperationalError("COMMIT", None, error)

        asyncio.run(story(workspace))
        assert n_turns(workspace) == 0
    assert said in ([], ["begun", "left"])
