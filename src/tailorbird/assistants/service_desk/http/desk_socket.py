"""The WebSocket of one agent: heartbeats come in, events go out.

The server sends ``{"type": "hello", "heartbeat_s": …, "agents": […], "conversations": […]}``, then
one object an event: its type, the conversation's id and status, and ``card`` (of one that wants a
person) or ``turn``. The client sends ``{"type": "heartbeat"}`` at least every ``heartbeat_s``
seconds. What agents do goes over HTTP, where it can be refused in sentences.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from tailorbird.assistants.service_desk.conversing.desk import Desk
from tailorbird.assistants.service_desk.conversing.events import DeskEvent, Subscription
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.errors import NotFoundError

HEARTBEAT_S = 10.0
"""How often a client should send one: two may be lost before its agent counts as away."""
MAX_MESSAGE_CHARS = 4096


async def watch_desk(socket: WebSocket, desk: Desk, agent: str) -> None:
    """Serve *socket* until either side ends it."""
    await socket.accept()
    with desk.books.events.subscribe() as news:  # before the list is read: nothing falls between
        await desk.heartbeat(agent)
        sending = asyncio.create_task(_send(socket, desk, news))
        try:
            await _hear(socket, desk, agent)
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending  # RuntimeError: it spoke to a socket that had just gone


async def _hear(socket: WebSocket, desk: Desk, agent: str) -> None:
    while True:
        text = await socket.receive_text()
        problem = _problem_with(text)
        if problem:
            await socket.send_json({"type": "error", "message": problem})
        else:
            await desk.heartbeat(agent)


def _problem_with(text: str) -> str:
    """Why *text* is no heartbeat; empty: it is one."""
    if len(text) > MAX_MESSAGE_CHARS:
        return f"has {len(text):,} characters and {MAX_MESSAGE_CHARS:,} are allowed"
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON"
    kind = message.get("type") if isinstance(message, dict) else None
    return "" if kind == "heartbeat" else 'is not {"type": "heartbeat"}'


async def _send(socket: WebSocket, desk: Desk, news: Subscription) -> None:
    await socket.send_text(json.dumps(await _hello(desk), ensure_ascii=False))
    async for event in news:
        if event.kind == "missed":  # too much at once: the whole list again
            message = await _hello(desk)
        else:
            message = await _message(event, desk)
        await socket.send_text(json.dumps(message, ensure_ascii=False))


async def _hello(desk: Desk) -> dict[str, Any]:
    cards = [schemas.DeskCard.of(card).model_dump(mode="json") for card in await desk.waiting()]
    agents = desk.presence.agents
    return {
        "type": "hello",
        "heartbeat_s": HEARTBEAT_S,
        "agents": agents,
        "conversations": cards,
    }


async def _message(event: DeskEvent, desk: Desk) -> dict[str, Any]:
    message: dict[str, Any] = {
        "type": event.kind,
        "conversation": event.conversation,
        "status": event.status,
        "agent": event.agent,
        "reason": event.reason,
    }
    if event.turn is not None:
        message["turn"] = schemas.Turn.of(event.turn).model_dump(mode="json")
    if event.kind == "presence":
        message["agents"] = desk.presence.agents
    if event.kind in ("waiting", "ticket"):
        with contextlib.suppress(NotFoundError):  # forgotten in the meantime
            card = await desk.card(event.conversation)
            message["card"] = schemas.DeskCard.of(card).model_dump(mode="json")
    return message
