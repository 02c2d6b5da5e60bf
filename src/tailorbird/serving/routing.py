"""What routes of assistants share: who asks, and how they are refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from tailorbird.serving.access import Person, needs
from tailorbird.serving.schemas import ErrorResponse

Visitor = Annotated[Person, needs("visitor")]
Agent = Annotated[Person, needs("agent")]

REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "The key is not for this.",
    404: "What the request names is not there.",
    409: "Somebody else was first, or it is too late.",
    413: "The body is too large.",
    415: "The body was not sent as JSON.",
    422: "The request breaks a limit or has the wrong form.",
    429: "Too many requests; try again after Retry-After seconds.",
    500: "The service failed.",
    503: "Nothing can be kept or answered right now; nothing was done.",
}


def router(prefix: str, tag: str) -> APIRouter:
    """A router whose OpenAPI document names every refusal."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": about} for status, about in REFUSALS.items()
    }
    return APIRouter(prefix=prefix, tags=[tag], responses=responses)
