"""``/v1/feedback``: what people think of an answer, and what it should have been."""

from __future__ import annotations

from fastapi import APIRouter

from tailorbird.assistants.service_desk.conversing.audit import Audit
from tailorbird.assistants.service_desk.conversing.conversations import Conversations
from tailorbird.assistants.service_desk.conversing.drafts import Drafts
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.assistants.service_desk.http.ownership import opened_by
from tailorbird.errors import RequestError
from tailorbird.serving.routing import Visitor, router

THUMBS = {"up": 1.0, "down": -1.0}


def feedback_routes(audit: Audit, conversations: Conversations, drafts: Drafts) -> APIRouter:
    """``POST /v1/feedback``; what visitors correct is a draft until an agent has accepted it."""
    routes = router("/v1/feedback", "feedback")

    @routes.post("", summary="Say what you think of an answer")
    async def give(person: Visitor, request: schemas.FeedbackRequest) -> schemas.FeedbackResponse:
        given = (request.thumb, request.chosen, request.correction, request.intent)
        if all(one is None for one in given):
            raise RequestError(
                "says nothing", where="body", cure="give thumb, chosen, correction or intent"
            )
        row = await audit.find(request.decision)
        is_agent = person.may("agent")
        if not is_agent and row.conversation_id is not None:
            await conversations.get(row.conversation_id, opened_by=opened_by(person))
        value = THUMBS[request.thumb] if request.thumb else None
        if value is None and request.chosen is not None:
            value = 1.0
        draft = None
        if request.correction is not None and not is_agent:
            draft = await drafts.propose(
                row.text,
                request.correction,
                author=person.name,
                conversation_id=row.conversation_id,
            )
        row = await audit.feedback(
            request.decision,
            value=value,
            correction=(request.correction or request.chosen) if is_agent else None,
            intent=request.intent if is_agent else None,
        )
        return schemas.FeedbackResponse(
            decision=row.id,
            feedback=row.feedback,
            correction=row.correction,
            intent=row.meant,
            draft=draft.id if draft else None,
        )

    return routes
