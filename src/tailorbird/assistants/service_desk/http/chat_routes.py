"""``POST /v1/chat/completions`` and ``GET /v1/models``: the assistant for clients of OpenAI's form.

The client sends the whole conversation each time and keeps it; conversations that a person may
take over are at ``/v1/conversations``. Messages of the roles system, developer and tool are read
by nobody: what the assistant may say is not up to who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.decision import Sentence
from tailorbird.assistants.service_desk.http.chat import Answers, Audits, Chat, text_of
from tailorbird.assistants.service_desk.http.chat_errors import ChatRoute, refusal_of
from tailorbird.assistants.service_desk.http.chat_schemas import (
    MODEL,
    AnswerMessage,
    ChatCompletion,
    ChatErrorResponse,
    ChatRequest,
    Choice,
    Explanation,
    ModelEntry,
    ModelList,
    Usage,
    chunk,
)
from tailorbird.config import ServingSettings
from tailorbird.errors import NotFoundError, RequestError
from tailorbird.serving.access import Person, needs, user_named
from tailorbird.text import cut_words

T = TypeVar("T")
Visitor = Annotated[Person, needs("visitor")]

LOOK_S = 0.25
"""How often it is looked whether the client is still there."""
DESCRIPTIONS = {
    400: "The body is not JSON, has the wrong form, or breaks a limit.",
    401: "The API key is missing or wrong.",
    403: "The key may not do this.",
    404: "There is no such model.",
    413: "The body is too large.",
    500: "The service failed.",
    503: "Loading, overloaded or shutting down; try again after Retry-After seconds.",
}


def chat_routes(
    attendant: Answers,
    *,
    serving: ServingSettings,
    desk: DeskSettings,
    audit: Audits | None = None,
) -> APIRouter:
    """The routes, for *attendant*; each decision is written to *audit*."""
    chat = Chat(attendant, serving=serving, desk=desk, audit=audit)
    router = APIRouter(prefix="/v1", tags=["chat"], route_class=ChatRoute)
    started = int(time.time())
    entry = ModelEntry(id=MODEL, created=started)

    @router.post(
        "/chat/completions",
        summary="Answer a conversation (OpenAI's form)",
        response_model=ChatCompletion,
        responses=_refusals(400, 401, 403, 413, 500, 503),
        description=(
            f"Up to {desk.max_messages:,} messages of {serving.max_text_chars:,} characters. With "
            "`stream`, server-sent events of `chat.completion.chunk`, the last of which holds "
            "`tailorbird`, then `[DONE]`. Parameters of language models are accepted and ignored."
        ),
    )
    async def complete(body: ChatRequest, request: Request, person: Visitor) -> Any:
        body = body.model_copy(update={"user": _user_of(person, body)})
        if not body.stream:
            return await _while_there(request, _complete(chat, body))
        events = _events(chat, body)
        # Whatever is wrong with the request is known with the first event: it has its own status.
        first: str = await _while_there(request, anext(events))
        return _EventStream(first, events)

    @router.get("/models", summary="Names of the assistant", responses=_refusals(401, 403))
    async def models(person: Visitor) -> ModelList:
        return ModelList(data=[entry])

    @router.get("/models/{name}", summary="One of them", responses=_refusals(401, 403, 404))
    async def model(name: str, person: Visitor) -> ModelEntry:
        if name != MODEL:
            raise NotFoundError("is no model here", where=name[:100], cure=f"known: {MODEL}")
        return entry

    return router


def _user_of(person: Person, body: ChatRequest) -> str | None:
    """Whom it is for; what the client calls them may have spaces around it."""
    return user_named(person, (body.user or "").strip() or None)


async def _complete(chat: Chat, request: ChatRequest) -> ChatCompletion:
    async with contextlib.aclosing(chat.answer(request)) as parts:
        async for part in parts:
            if not isinstance(part, Sentence):
                decision, decision_id = part
    return ChatCompletion(
        id=f"chatcmpl-{decision_id}",
        created=int(time.time()),
        model=MODEL,
        choices=[Choice(message=AnswerMessage(content=decision.text))],
        usage=_usage(request, decision.text),
        tailorbird=Explanation.of(decision, decision_id),
    )


async def _events(chat: Chat, request: ChatRequest) -> AsyncGenerator[str]:
    """The answer as server-sent events; what fails after the first is an event, too."""
    answer_id, created = f"chatcmpl-{uuid4().hex}", int(time.time())
    said = ""
    try:
        async with contextlib.aclosing(chat.answer(request)) as parts:
            async for part in parts:
                if isinstance(part, Sentence):
                    delta: dict[str, Any] = {"content": _next_to(said, part.text)}
                    if not said:
                        delta["role"] = "assistant"
                    said += delta["content"]
                    yield _event(chunk(answer_id, created, delta))
                    continue
                decision, decision_id = part
                last = chunk(answer_id, created, {}, finish="stop")
                yield _event(
                    {**last, "tailorbird": Explanation.of(decision, decision_id).model_dump()}
                )
    except Exception as error:
        if not said:
            raise
        yield _event(refusal_of(error)[1])
        return
    if request.stream_options and request.stream_options.include_usage:
        usage = _usage(request, said).model_dump()
        yield _event({**chunk(answer_id, created, {}), "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


class _EventStream(StreamingResponse):
    """Server-sent events that end at once when the client goes away, whatever they wait for."""

    def __init__(self, first: str, events: AsyncGenerator[str]) -> None:
        self._first = first
        self._events = events
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._all(), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()

    async def _all(self) -> AsyncIterator[str]:
        yield self._first
        async for event in self._events:
            yield event


async def _while_there(request: Request, work: Coroutine[Any, Any, T] | Any) -> T:
    """The result of *work*, which is given up when the client is gone."""
    task: asyncio.Task[T] = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=LOOK_S)
            if done:
                return task.result()
            if await request.is_disconnected():
                raise RequestError("the client has gone", where="connection")
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _next_to(said: str, text: str) -> str:
    """*text* as it follows what was *said*: with a space, but in Chinese."""
    is_chinese = bool(said) and "\u2e80" <= said[-1] <= "\uffef"
    return text if not said or is_chinese else f" {text}"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _usage(request: ChatRequest, answer: str) -> Usage:
    asked = sum(len(cut_words(text_of(message, ""))) for message in request.messages)
    said = len(cut_words(answer))
    return Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ChatErrorResponse, "description": DESCRIPTIONS[status]}
        for status in statuses
    }
