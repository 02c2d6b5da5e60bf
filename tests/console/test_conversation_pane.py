"""Two agents at one conversation, closer together than a page can show it."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from nicegui import Client, ui

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.console.conversation import ConversationPane
from tailorbird.console.words import WORDS
from tailorbird.serving.access import Person
from tailorbird.store import Workspace

SERVER = Path(__file__).parents[1] / "browser" / "desk_server.py"
desk_app: Callable[..., Any] = runpy.run_path(str(SERVER))["desk_app"]


async def leave() -> None:
    raise AssertionError("nobody leaves")


async def said(client: Client) -> str:
    """All text that stands on the page, once what was to be drawn anew is."""
    for _ in range(10):
        await asyncio.sleep(0)
    texts = (element._props.get("innerHTML", "") for element in client.elements.values())
    return "\n".join(text for text in texts if isinstance(text, str))


def test_who_takes_a_conversation_too_late_is_told_who_was_first(tmp_path: Path) -> None:
    async def both(desk: ServiceDesk) -> tuple[str, str]:
        opened = await desk.conversations.open("li.lei")
        await desk.desk.request(opened.id)
        with Client(ui.page("/pane"), request=None) as client:
            pane = ConversationPane(desk, WORDS["en"], lambda: "bo", Person("bo", "agent"))
            pane.build(leave)
            await pane.load(opened.id)
            before = await said(client)
            await desk.desk.take(opened.id, "ada")
            await pane.take()
            return before, await said(client)

    with Workspace.open(tmp_path) as workspace:
        app = desk_app(workspace)
        with TestClient(app) as running:
            assert running.portal is not None
            before, after = running.portal.call(both, app.state.desk)
    assert "Take it" in before
    assert "ada was first and has it now." in after
    assert "Take it" not in after
