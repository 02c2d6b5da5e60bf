"""``/v1/knowledge``: documents in and out, and what a question finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException

from tailorbird.assistants.service_desk.http.knowledge_schemas import (
    AddedDocument,
    Document,
    DocumentList,
    Passage,
    RemovedDocument,
    SearchRequest,
    SearchResponse,
)
from tailorbird.errors import NotFoundError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.serving.access import Person, needs, note_action
from tailorbird.serving.schemas import ErrorResponse

T = TypeVar("T")
Agent = Annotated[Person, needs("agent")]
Admin = Annotated[Person, needs("admin")]

MAX_READING = 2
"""Documents that are read and embedded at once; others wait, and searches do not wait for them."""
REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "The key is of a role that may not do this.",
    404: "There is no document of that name.",
    413: "The document is too large.",
    415: "The body was not sent as JSON.",
    422: "The document or the request cannot be used; the sentence says why.",
    500: "The service failed.",
}
Name = Annotated[
    str, Path(description="The name of the document; its ending says what it is.", max_length=300)
]


def knowledge_routes(base: KnowledgeBase) -> APIRouter:
    """The routes of one knowledge base: agents look, admins change."""
    router = APIRouter(prefix="/v1/knowledge", tags=["knowledge"], responses=_refusals())
    reading = asyncio.Semaphore(MAX_READING)

    async def change(person: Person, action: str, target: str, do: Callable[[], T]) -> T:
        """Do something slow aside, and note who did it."""
        async with reading:
            done = await asyncio.to_thread(do)
        await asyncio.to_thread(note_action, base.workspace, person, action, target)
        return done

    @router.get("/documents", summary="All documents")
    async def documents(person: Agent) -> DocumentList:
        rows, counts = await asyncio.to_thread(lambda: (base.documents(), base.n_chunks()))
        return DocumentList(documents=[Document.of(row, counts.get(row.name, 0)) for row in rows])

    @router.put(
        "/documents/{name:path}",
        summary="Add a document, or replace the one of that name",
        description=f"The body is the document itself, at most {base.limits.max_bytes:,} bytes.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            }
        },
    )
    async def put(name: Name, request: Request, person: Admin) -> AddedDocument:
        content = await _body(request, base.limits.max_bytes)
        added = await change(person, "add document", name, lambda: base.add(name, content))
        return AddedDocument.of(added)

    @router.delete("/documents/{name:path}", summary="Remove a document")
    async def delete(name: Name, person: Admin) -> RemovedDocument:
        def remove() -> None:
            if not base.remove(name):
                raise NotFoundError(
                    f"there is no document {name!r}",
                    where=f"/v1/knowledge/documents/{name}",
                    cure="GET /v1/knowledge/documents lists them",
                )

        await change(person, "remove document", name, remove)
        return RemovedDocument(removed=name)

    @router.post("/search", summary="What a question finds")
    async def search(asked: SearchRequest, person: Agent) -> SearchResponse:
        found = await asyncio.to_thread(base.search, asked.question, k=asked.k)
        return SearchResponse(passages=[Passage.of(one) for one in found])

    return router


async def _body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is larger than *limit* bytes, said or sent."""
    too_large = HTTPException(413, f"is larger than {limit:,} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limit:
            raise too_large
    return bytes(content)


def _refusals() -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ErrorResponse, "description": about} for status, about in REFUSALS.items()
    }
