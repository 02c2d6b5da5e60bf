"""What all routes of opinion monitoring share: who asks, moments, and how they are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tailorbird.serving.access import Person, needs
from tailorbird.serving.schemas import ErrorResponse

PREFIX = "/v1/opinion"
FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Posts are from between; times outside are typing errors, and break the arithmetic of zones."""
MAX_NAME_CHARS = 200
REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "The key or the secret is not for this.",
    404: "What the request names is not there.",
    409: "It is too late for that.",
    413: "The body is too large.",
    415: "The body was not sent as JSON.",
    422: "The request breaks a limit or has the wrong form.",
    429: "Too many requests; try again after Retry-After seconds.",
    500: "The service failed.",
    503: "Nothing can be kept right now; nothing was done.",
}

Visitor = Annotated[Person, needs("visitor")]
Agent = Annotated[Person, needs("agent")]
Admin = Annotated[Person, needs("admin")]
Sentiment = Literal["negative", "neutral", "positive"]


def _checked(text: str) -> str:
    """*text*, if it can be kept and shown: not blank, no NUL, no half of a surrogate pair."""
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "holds half of a surrogate pair")
    return text


def _in_range(time: datetime) -> datetime:
    naive = time.replace(tzinfo=None)  # its zone may push it over the edge of what there is
    if not FIRST.replace(tzinfo=None) <= naive <= LAST.replace(tzinfo=None):
        raise PydanticCustomError("moment", "is not between 1970 and 2200")
    return time.astimezone(UTC)


def _stripped(text: str) -> str:
    return text.strip()


Checked = AfterValidator(_checked)
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), Checked, AfterValidator(_stripped)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Id = Annotated[str, Field(max_length=64), Checked]
Limit = Annotated[int, Query(ge=1, le=200, description="At most so many.")]
NameAsked = Annotated[str, Query(max_length=MAX_NAME_CHARS)]


class Asked(BaseModel):
    """The base of all requests: a key nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


def router(tag: str = "opinion") -> APIRouter:
    """A router whose OpenAPI document names every refusal."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": about} for status, about in REFUSALS.items()
    }
    return APIRouter(prefix=PREFIX, tags=[tag], responses=responses)
