"""The routes of prediction and of those who watch over the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request

from tailorbird.serving.access import LOCAL, Access, Person, open_access, user_named
from tailorbird.serving.access_routes import access_routes
from tailorbird.serving.docs import add_docs
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.serving.schemas import (
    ErrorResponse,
    Health,
    PredictRequest,
    PredictResponse,
    Readiness,
)
from tailorbird.serving.service import Service

REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "From a page that may not do this, or for a user whom the key may not name.",
    413: "The body is too large.",
    415: "The body was not sent as JSON.",
    422: "The request breaks a limit or has the wrong form.",
    429: "Too many requests or wrong keys; try again after Retry-After seconds.",
    500: "The service failed.",
    503: "Loading, overloaded or shutting down; try again after Retry-After seconds.",
}
OF_KEYS = {401, 403, 429}
"""Told only by services that have keys."""


def add_service(
    app: FastAPI, service: Service, *, policies: Mapping[str, str], access: Access | None = None
) -> None:
    """Put the routes of *service* on *app*, refusals in sentences, and the guard around it all.

    *policies* gives the Content-Security-Policy of other pages of the app, by path prefix. With
    *access* come the routes for sessions and keys; without, only the key of the settings counts.
    """
    admits = access or open_access(service.settings)
    refuse_in_sentences(app)
    app.include_router(prediction_routes(service, needs_key=admits.needs_keys))
    app.include_router(watching_routes(service))
    if access is not None:
        app.include_router(access_routes(access))
    add_docs(app)
    # The one added last is the outermost: refusals of the guard are counted too.
    app.add_middleware(Guard, settings=service.settings, policies=policies, access=admits)
    app.add_middleware(service.meters.timed)


def prediction_routes(service: Service, *, needs_key: bool) -> APIRouter:
    """``POST /v1/predict``."""
    settings = service.settings
    statuses = [status for status in REFUSALS if needs_key or status not in OF_KEYS]
    # `Guard` checks the key; here it is only told to the OpenAPI document.
    key = [Security(HTTPBearer(auto_error=False))] if needs_key else []
    router = APIRouter(
        prefix="/v1", tags=["prediction"], dependencies=key, responses=_refusals(*statuses)
    )

    @router.post(
        "/predict",
        summary="Understand texts",
        response_description="One prediction a text, in their order.",
        description=(
            f"Up to {settings.max_texts:,} texts of {settings.max_text_chars:,} characters, "
            f"{settings.max_body_bytes:,} bytes together."
        ),
    )
    async def predict(request: PredictRequest, asked: Request) -> PredictResponse:
        person: Person = getattr(asked.state, "person", LOCAL)
        user = user_named(person, request.user)
        answer = await service.predict(request.texts, user=user)
        return PredictResponse.of(answer)

    return router


def watching_routes(service: Service) -> APIRouter:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    router = APIRouter(tags=["watching"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="alive")

    @router.get("/readyz", summary="Can it answer?", responses=_refusals(503))
    async def readyz() -> Readiness:
        problem, predictor = service.engine.problem, service.engine.predictor
        if problem is not None or predictor is None:
            raise problem or AssertionError("no problem, yet no predictor")
        return Readiness(status="ready", bundle=predictor.id)

    @router.get("/metrics", summary="What Prometheus reads", response_class=Response)
    async def metrics() -> Response:
        return Response(service.meters.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ErrorResponse, "description": REFUSALS[status]} for status in statuses
    }
