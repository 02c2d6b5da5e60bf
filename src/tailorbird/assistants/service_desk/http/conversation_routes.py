"""``/v1/conversations``: open one, say something, hear what is said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse

from tailorbird.assistants.service_desk.conversing.conversations import Conversations
from tailorbird.assistants.service_desk.conversing.desk import Desk
from tailorbird.assistants.service_desk.conversing.exchange import Exchange
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.assistants.service_desk.http.ownership import opened_by
from tailorbird.serving.access import user_named
from tailorbird.serving.routing import Visitor, router
from tailorbird.store.tables import TurnRow

MAX_WAIT_S = 25.0
"""Below the half minute after which proxies give up."""

After = Annotated[
    int, Query(ge=-1, le=2**31 - 1, description="Only turns with a higher number; -1: all.")
]


def conversation_routes(conversations: Conversations, desk: Desk, exchange: Exchange) -> APIRouter:
    """Everything a visitor does; *exchange* lets the assistant answer."""
    routes = router("/v1/conversations", "conversations")
    _add_talking(routes, conversations, exchange)
    _add_hearing(routes, conversations)

    @routes.post("/{conversation}/person", summary="Ask for a person")
    async def ask_for_person(
        person: Visitor, conversation: str, request: schemas.PersonRequest
    ) -> schemas.Conversation:
        await conversations.get(conversation, opened_by=opened_by(person))
        return schemas.Conversation.of(await desk.request(conversation, request.reason))

    @routes.post("/{conversation}/rating", summary="Rate the whole conversation")
    async def rate(
        person: Visitor, conversation: str, request: schemas.RateRequest
    ) -> schemas.Conversation:
        await conversations.get(conversation, opened_by=opened_by(person))
        return schemas.Conversation.of(await conversations.rate(conversation, request.value))

    return routes


def _add_talking(routes: APIRouter, conversations: Conversations, exchange: Exchange) -> None:
    @routes.post("", status_code=201, summary="Open a conversation")
    async def open_one(person: Visitor, request: schemas.OpenRequest) -> schemas.Conversation:
        user = user_named(person, request.user)
        row = await conversations.open(
            user, request.channel, request.language, opened_by=person.name
        )
        return schemas.Conversation.of(row)

    @routes.get("/{conversation}", summary="How it stands")
    async def state(person: Visitor, conversation: str) -> schemas.Conversation:
        row = await conversations.get(conversation, opened_by=opened_by(person))
        return schemas.Conversation.of(row)

    @routes.post("/{conversation}/turns", summary="Say something, and get the answer")
    async def say(
        person: Visitor, conversation: str, request: schemas.SayRequest
    ) -> schemas.SayResponse:
        done = await exchange(
            conversation,
            request.text,
            client_id=request.client_id,
            opened_by=opened_by(person),
        )
        return schemas.SayResponse.of(done)


def _add_hearing(routes: APIRouter, conversations: Conversations) -> None:
    @routes.get(
        "/{conversation}/turns",
        summary="Read what was said",
        description="With wait_s the request waits until there is something (long polling).",
    )
    async def turns(
        person: Visitor,
        conversation: str,
        after: After = -1,
        wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
    ) -> schemas.Turns:
        await conversations.get(conversation, opened_by=opened_by(person))
        found = await conversations.wait(conversation, after, wait_s)
        return schemas.Turns(turns=[schemas.Turn.of(row) for row in found])

    @routes.get(
        "/{conversation}/events",
        summary="Hear what is said (server-sent events)",
        description="Events turn (its id is the number of the turn) and status. A client that "
        "comes back with Last-Event-ID goes on where it was cut off, and gets a 204 where nothing "
        "will follow.",
        responses={204: {"description": "Closed, and all was told."}},
        response_class=StreamingResponse,
    )
    async def events(
        person: Visitor,
        conversation: str,
        after: After = -1,
        last_event_id: Annotated[str, Header()] = "",
    ) -> Response:
        row = await conversations.get(conversation, opened_by=opened_by(person))
        is_back = last_event_id.isascii() and last_event_id.isdecimal()
        begin = min(int(last_event_id[:10]), 2**31 - 1) if is_back else after
        if is_back and row.status == "closed" and not await conversations.turns(row.id, begin):
            return Response(status_code=204)  # by which an EventSource knows not to come back
        return StreamingResponse(
            _stream(conversations, conversation, begin),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _stream(
    conversations: Conversations, conversation: str, after: int
) -> AsyncIterator[str]:
    """Server-sent events, as the HTML standard (section 9.2) writes them."""
    yield "retry: 2000\n\n"
    async for one in conversations.follow(conversation, after):
        if one is None:
            yield ": nothing new\n\n"
        elif isinstance(one, TurnRow):
            body = schemas.Turn.of(one).model_dump_json()
            yield f"id: {one.number}\nevent: turn\ndata: {body}\n\n"
        else:
            body = json.dumps({"status": one.status, "agent": one.agent}, ensure_ascii=False)
            yield f"event: status\ndata: {body}\n\n"
