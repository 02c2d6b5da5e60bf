"""``/v1/desk``: what agents do, over HTTP, and what they are told, over a WebSocket."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, WebSocket

from tailorbird.assistants.service_desk.conversing.desk import Desk
from tailorbird.assistants.service_desk.conversing.drafts import Drafts
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.assistants.service_desk.http.desk_socket import watch_desk
from tailorbird.errors import ForbiddenError
from tailorbird.serving.routing import Agent, Visitor, router

Which = Annotated[
    Literal["waiting", "mine", "all"], Query(description="Those that want a person, or mine.")
]
Force = Annotated[bool, Query(description="Take it from whoever has it; for admins.")]
Status = Annotated[Literal["new", "accepted", "rejected", "all"], Query()]


def desk_routes(desk: Desk, drafts: Drafts) -> APIRouter:
    """Everything an agent does with conversations and drafts, and the WebSocket ``/v1/desk``."""
    routes = router("/v1/desk", "desk")
    _add_conversations(routes, desk)
    _add_drafts(routes, drafts)

    @routes.post("/heartbeat", summary="I am here for the next half minute")
    async def heartbeat(person: Agent) -> schemas.Agents:
        return schemas.Agents(agents=await desk.heartbeat(person.name))

    @routes.websocket("")
    async def watch(socket: WebSocket, person: Visitor) -> None:
        if not person.may("agent"):
            await socket.close(1008, f"{person.name} is {person.role}, and this is for agents")
            return
        await watch_desk(socket, desk, person.name)

    return routes


def _add_conversations(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/conversations", summary="What waits, or what is mine")
    async def list_conversations(person: Agent, which: Which = "waiting") -> schemas.DeskList:
        if which == "waiting":
            cards = await desk.waiting()
        elif which == "mine":
            cards = await desk.mine(person.name)
        else:
            cards = await desk.everything()
        shown = [schemas.DeskCard.of(card) for card in cards]
        return schemas.DeskList(conversations=shown, agents=desk.presence.agents)

    @routes.get("/conversations/{conversation}", summary="History, suggestions and sources")
    async def show(person: Agent, conversation: str) -> schemas.DeskCard:
        return schemas.DeskCard.of(await desk.card(conversation))

    @routes.post("/conversations/{conversation}/take", summary="I answer this one")
    async def take(person: Agent, conversation: str, force: Force = False) -> schemas.Conversation:
        if force and not person.may("admin"):
            raise ForbiddenError("only admins take from others", where="force", cure="ask one")
        row = await desk.take(conversation, person.name, force=force)
        return schemas.Conversation.of(row)

    @routes.post("/conversations/{conversation}/answer", summary="Answer the visitor")
    async def answer(
        person: Agent, conversation: str, request: schemas.AnswerRequest
    ) -> schemas.Turn:
        row = await desk.answer(
            conversation, person.name, request.text, client_id=request.client_id
        )
        return schemas.Turn.of(row)

    @routes.post("/conversations/{conversation}/give-back", summary="The assistant goes on")
    async def give_back(person: Agent, conversation: str) -> schemas.Conversation:
        return schemas.Conversation.of(await desk.give_back(conversation, person.name))

    @routes.post("/conversations/{conversation}/close", summary="Close it")
    async def close(person: Agent, conversation: str) -> schemas.Conversation:
        return schemas.Conversation.of(await desk.close(conversation, person.name))


def _add_drafts(routes: APIRouter, drafts: Drafts) -> None:
    @routes.post(
        "/conversations/{conversation}/drafts",
        status_code=201,
        summary="Make a draft of an answer of mine",
    )
    async def make(
        person: Agent, conversation: str, request: schemas.DraftRequest
    ) -> schemas.Draft:
        return schemas.Draft.of(await drafts.make(conversation, person.name, request.turn))

    @routes.get("/drafts", summary="Drafts to be judged")
    async def list_drafts(person: Agent, status: Status = "new") -> schemas.DraftList:
        found = await drafts.list(None if status == "all" else status)
        return schemas.DraftList(drafts=[schemas.Draft.of(row) for row in found])

    @routes.patch("/drafts/{draft}", summary="Change a draft")
    async def edit(person: Agent, draft: str, request: schemas.EditRequest) -> schemas.Draft:
        row = await drafts.edit(
            draft, question=request.question, answer=request.answer, intent=request.intent
        )
        return schemas.Draft.of(row)

    @routes.post("/drafts/{draft}/accept", summary="Let the assistant learn it")
    async def accept(person: Agent, draft: str) -> schemas.Draft:
        return schemas.Draft.of(await drafts.accept(draft, person.name))

    @routes.post("/drafts/{draft}/reject", summary="Learn nothing from it")
    async def reject(person: Agent, draft: str) -> schemas.Draft:
        return schemas.Draft.of(await drafts.reject(draft, person.name))
