"""``/v1/decisions``: why the assistant said what it said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tailorbird.assistants.service_desk.conversing.attributing import Attributions
from tailorbird.assistants.service_desk.conversing.audit import Audit
from tailorbird.assistants.service_desk.http import schemas
from tailorbird.assistants.service_desk.http.attribution_schemas import Attribution
from tailorbird.errors import ConfigError, NotFoundError
from tailorbird.serving.routing import Agent, router

Intent = Annotated[
    str, Query(max_length=200, description="Why it was, or was not, this one; else the decided.")
]


def decision_routes(audit: Audit, attributions: Attributions) -> APIRouter:
    """``GET /v1/decisions/ID`` and ``GET /v1/decisions/ID/attribution``."""
    routes = router("/v1/decisions", "decisions")

    @routes.get("/{decision}", summary="Why was that said?")
    async def why(person: Agent, decision: str) -> schemas.Decision:
        return schemas.Decision.of(await audit.find(decision))

    @routes.get("/{decision}/attribution", summary="Which words made it that intent?")
    async def attribution(person: Agent, decision: str, intent: Intent = "") -> Attribution:
        try:
            return Attribution.of(await attributions.of(decision, intent=intent))
        except ConfigError as error:
            raise NotFoundError(error.what, where="intent", cure=error.cure) from error

    return routes
