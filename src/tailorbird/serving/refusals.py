"""Every refusal has one form: ``{"error": {"message", "where", "cure"?}}``, a sentence each."""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from tailorbird.errors import (
    ConflictError,
    ForbiddenError,
    KnowledgeError,
    NotFoundError,
    RequestError,
    TailorbirdError,
    UnavailableError,
)
from tailorbird.serving.languages import said

log = logging.getLogger(__name__)

STATUSES = {ForbiddenError: 403, NotFoundError: 404, ConflictError: 409}
CURES = {
    401: "send the header Authorization: Bearer KEY",
    404: "GET /docs lists the routes",
    413: "send fewer or shorter texts in one request",
}
RETRY_AFTER_S = 1


def refusal(
    status: int,
    message: str,
    *,
    where: str,
    cure: str = "",
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response of one refused request, in the language that it asked for."""
    cure = said(cure or CURES.get(status, ""))
    error = {"message": said(message), "where": where, "cure": cure}
    if not error["cure"]:
        del error["cure"]
    return JSONResponse({"error": error}, status, headers=dict(headers or {}))


def refuse_in_sentences(app: FastAPI) -> None:
    """Turn every error that reaches *app* into a refusal."""
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(KnowledgeError, _on_request_error)
    app.add_exception_handler(UnavailableError, _on_unavailable)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(TailorbirdError, _on_failure)
    app.add_exception_handler(Exception, _on_failure)


def sentence_of(
    problem: Mapping[str, Any], *, is_json: bool, form: type[BaseModel] | None = None
) -> tuple[int, str, str, str]:
    """Status, where, message and cure for one validation *problem* as pydantic describes it.

    *form* is what the body should have been; its first example and its keys make the cure.
    """
    example, keys = _example_of(form), list(form.model_fields) if form else []
    kind, found = problem["type"], problem.get("input")
    location = [part for part in problem["loc"] if part != "body"]
    where = _path(location)
    if kind == "json_invalid":
        return 400, "body", f"is not JSON: {problem['ctx']['error']}", example
    if not location:
        if not is_json:
            cure = "send the header content-type: application/json"
            return 415, "body", "must be sent as JSON", cure
        return 422, "body", f"must be a JSON object, not {_kind(found)}", example
    if kind == "missing":
        return 422, where, "is missing", example
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), keys, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}"
        return 422, where, "is not a key of this request", cure
    if kind in ("list_type", "string_type"):
        allowed = "a list of texts" if kind == "list_type" else "a text"
        return 422, where, f"must be {allowed}, not {_kind(found)}", example
    return 422, where, str(problem["msg"]), ""


def _form_of(request: Request) -> type[BaseModel] | None:
    """What the route takes as its body; None: nothing, or nothing with keys."""
    field = getattr(request.scope.get("route"), "body_field", None)
    form = getattr(getattr(field, "field_info", None), "annotation", None)
    return form if isinstance(form, type) and issubclass(form, BaseModel) else None


def _example_of(form: type[BaseModel] | None) -> str:
    """The first example of *form* as a cure; empty where it has none."""
    extra = form.model_config.get("json_schema_extra") if form else None
    examples = extra.get("examples") if isinstance(extra, dict) else None
    if not isinstance(examples, list) or not examples:
        return ""
    return f"as {json.dumps(examples[0], ensure_ascii=False)}"


def _path(location: Sequence[str | int]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _kind(value: Any) -> str:
    """What JSON calls the type of *value*."""
    names = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a number")


async def _on_request_error(request: Request, error: Any) -> JSONResponse:
    status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 422)
    return refusal(status, error.what, where=error.where or request.url.path, cure=error.cure)


async def _on_unavailable(request: Request, error: Any) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    where = error.where or request.url.path
    return refusal(503, error.what, where=where, cure=error.cure, headers=headers)


async def _on_invalid(request: Request, error: Any) -> JSONResponse:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    is_json = content_type == "application/json" or content_type.endswith("+json")
    status, where, message, cure = sentence_of(
        error.errors()[0], is_json=is_json, form=_form_of(request)
    )
    return refusal(status, message, where=where, cure=cure)


async def _on_http_error(request: Request, error: Any) -> JSONResponse:
    message = str(error.detail)
    if error.status_code == 404:
        message = "there is nothing here"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"{request.method} is not allowed here; use {allowed}"
    where = "body" if error.status_code in (400, 413) else request.url.path
    return refusal(error.status_code, message, where=where, headers=error.headers)


async def _on_failure(request: Request, error: Exception) -> JSONResponse:
    """What went wrong inside stays in the log; the client learns that it was not their fault."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "the service failed on this request; its log says why"
    return refusal(500, message, where=request.url.path)
