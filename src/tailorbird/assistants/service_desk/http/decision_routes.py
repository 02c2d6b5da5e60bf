"""``/v1/decisions``: why the assistant said what it said."""

from __future__ import annotations

from fastapi import APIRouter

from tailorbird.assistants.service_desk.conversing.audit import Audit
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.assistants.service_desk.http.routing import Agent, router


def decision_routes(audit: Audit) -> APIRouter:
    """``GET /v1/decisions/ID``."""
    routes = router("/v1/decisions", "decisions")

    @routes.get("/{decision}", summary="Why was that said?")
    async def why(person: Agent, decision: str) -> schemas.Decision:
        return schemas.Decision.of(await audit.find(decision))

    return routes
