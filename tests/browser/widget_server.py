"""A service desk for tests of the widget: its routes, kept in memory, behind the real guard."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tailorbird.app import listen
from tailorbird.assistants.service_desk.http.widget_routes import widget_routes
from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.serving.access import open_access
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences

ANSWERS = {
    "en": (
        ("You can send it back within 30 days.", "returns.md › How long"),
        ("The money is back within 5 days.", "returns.md › Refunds"),
    ),
    "zh": (
        ("商品可在 30 天内退回。", "退货政策.md › 退货期限"),
        ("退款将在 5 天内到账。", "退货政策.md › 退款"),
    ),
}


@dataclass
class FakeDesk:
    """What the service knows, and how it behaves; tests read and turn it."""

    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    thumbs: list[dict[str, Any]] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    failing: str = ""
    """``before``: fails and keeps nothing; ``after``: keeps the message and fails then."""
    n_failed: int = 0
    is_over: bool = False

    def add(self, conversation: str, author: str, text: str, **more: Any) -> dict[str, Any]:
        said = self.turns[conversation]
        turn = {"id": f"{conversation}-{len(said)}", "number": len(said), "author": author}
        turn |= {"time": "2026-01-01T00:00:00Z", "text": text, "client_id": None, "decision": None}
        said.append(turn | more)
        return said[-1]

    def say(self, conversation: str, text: str, client_id: str) -> dict[str, Any]:
        said = self.turns[conversation]
        known = [turn for turn in said if turn["client_id"] == client_id]
        turn = known[0] if known else self.add(conversation, "visitor", text, client_id=client_id)
        answers = [one for one in said if one["decision"] == f"d-{client_id}"]
        pairs = ANSWERS["zh" if "退" in text else "en"]
        if not answers and self.status[conversation] == "assistant":
            words = ("" if "退" in text else " ").join(one for one, _ in pairs)
            answers = [self.add(conversation, "assistant", words, decision=f"d-{client_id}")]
        sentences = [{"text": one, "source": source, "passage": "p"} for one, source in pairs]
        decision = {"id": f"d-{client_id}", "sentences": sentences, "suggestions": []}
        return {
            "turn": turn,
            "answers": answers,
            "status": self.status[conversation],
            "decision": decision if answers else None,
        }


def app_of(desk: FakeDesk, settings: ServingSettings, access: AccessSettings) -> FastAPI:
    app = FastAPI()
    refuse_in_sentences(app)
    app.include_router(widget_routes())

    @app.post("/v1/conversations", status_code=201)
    async def open_one(asked: dict[str, Any]) -> dict[str, Any]:
        conversation = f"c{len(desk.turns)}"
        desk.turns[conversation], desk.status[conversation] = [], "assistant"
        return {"id": conversation, "status": "assistant"}

    @app.get("/v1/conversations/{conversation}")
    async def state(conversation: str) -> Response:
        if conversation not in desk.turns:
            return JSONResponse({"error": {"message": "gone", "where": "x"}}, 404)
        return JSONResponse({"id": conversation, "status": desk.status[conversation]})

    @app.post("/v1/conversations/{conversation}/turns")
    async def say(conversation: str, asked: dict[str, Any]) -> Response:
        if conversation not in desk.turns:
            return JSONResponse({"error": {"message": "gone", "where": "x"}}, 404)
        if desk.failing == "after":
            desk.say(conversation, asked["text"], asked["client_id"])
        if desk.failing:
            desk.n_failed += 1
            return JSONResponse({"error": {"message": "later", "where": "x"}}, 503)
        return JSONResponse(desk.say(conversation, asked["text"], asked["client_id"]))

    @app.get("/v1/conversations/{conversation}/events")
    async def events(conversation: str, after: int = -1) -> Response:
        if conversation not in desk.turns:
            return JSONResponse({"error": {"message": "gone", "where": "x"}}, 404)
        return StreamingResponse(_stream(desk, conversation, after), media_type="text/event-stream")

    @app.post("/v1/conversations/{conversation}/person")
    async def person(conversation: str, asked: dict[str, Any]) -> dict[str, Any]:
        desk.status[conversation] = "waiting"
        return {"id": conversation, "status": "waiting"}

    @app.post("/v1/feedback")
    async def feedback(asked: dict[str, Any]) -> dict[str, Any]:
        desk.thumbs.append(asked)
        return {"decision": asked["decision"]}

    app.add_middleware(Guard, settings=settings, policies={}, access=open_access(settings, access))
    return app


async def _stream(desk: FakeDesk, conversation: str, after: int) -> AsyncIterator[str]:
    status = ""
    yield "retry: 2000\n\n"
    while not desk.is_over and conversation in desk.turns:
        for turn in desk.turns[conversation][after + 1 :]:
            yield f"id: {turn['number']}\nevent: turn\ndata: {json.dumps(turn)}\n\n"
            after = turn["number"]
        if desk.status[conversation] != status:
            status = desk.status[conversation]
            yield f"event: status\ndata: {json.dumps({'status': status, 'agent': None})}\n\n"
        await asyncio.sleep(0.02)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """*app* on a port of this machine, in a thread; yields its address."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)
    listener.close()
