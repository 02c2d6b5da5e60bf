"""Refusals in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tailorbird.errors import (
    ConflictError,
    ForbiddenError,
    KnowledgeError,
    NotFoundError,
    RequestError,
    TailorbirdError,
    UnavailableError,
)
from tailorbird.serving.access import error_said, said

log = logging.getLogger(__name__)

STATUSES = {
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    RequestError: 400,
    KnowledgeError: 400,
    UnavailableError: 503,
}
"""The first that an error is one of; any other is a 500."""
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
RETRY_AFTER_S = 1
FAILED = "the service failed on this request; its log says why"


def chat_error(status: int, message: str, *, param: str | None = None) -> dict[str, Any]:
    """The body of a refusal.

    >>> chat_error(400, "is empty", param="messages")["error"]["type"]
    'invalid_request_error'
    """
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": said(message), "type": kind, "param": param, "code": None}}


def refusal_of(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body for *error*; what went wrong inside stays in the log."""
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return error.status_code, chat_error(error.status_code, str(error.detail))
    status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 500)
    if status == 500 or not isinstance(error, TailorbirdError):
        log.error("a chat request failed", exc_info=error)
        return 500, chat_error(500, FAILED)
    return status, chat_error(status, error_said(error), param=error.where or None)


class ChatRoute(APIRoute):
    """A route whose refusals have OpenAI's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with its errors caught."""
        handle = super().get_route_handler()

        async def handle_or_refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                status, body = refusal_of(error)
                headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
                return JSONResponse(body, status, headers=headers)

        return handle_or_refuse


def _of_validation(error: RequestValidationError) -> tuple[int, dict[str, Any]]:
    problem = error.errors()[0]
    parts = [part for part in problem["loc"] if part != "body"]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    where = where.removeprefix(".")
    if problem["type"] == "json_invalid":
        return 400, chat_error(400, f"the body is not JSON: {problem['ctx']['error']}")
    if not where:
        message = "the body must be a JSON object, sent with content-type: application/json"
        return 400, chat_error(400, message)
    message = "is missing" if problem["type"] == "missing" else str(problem["msg"])
    return 400, chat_error(400, f"{where}: {message}", param=where)
