"""``/v1/knowledge``: documents in and out, and what a question finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tailorbird.assistants.service_desk.http.knowledge_schemas import (
    AddedDocument,
    Document,
    DocumentList,
    Passage,
    RemovedDocument,
    SearchRequest,
    SearchResponse,
    Upload,
    UploadList,
)
from tailorbird.errors import NotFoundError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.uploads import Upload as Taken
from tailorbird.knowledge.uploads import Uploads
from tailorbird.serving.access import Person, needs, note_action
from tailorbird.serving.schemas import ErrorResponse

T = TypeVar("T")
Agent = Annotated[Person, needs("agent")]
Admin = Annotated[Person, needs("admin")]

WAIT_S = 10.0
"""So long a request waits for its document, before it is told to look later."""
REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "The key is of a role that may not do this.",
    404: "There is no document or upload of that name.",
    409: "The upload is over already.",
    413: "The document is too large.",
    415: "The body was not sent as JSON.",
    422: "The document or the request cannot be used; the sentence says why.",
    500: "The service failed.",
    503: "Too many documents wait to be read; nothing was kept.",
}
Name = Annotated[
    str, Path(description="The name of the document; its ending says what it is.", max_length=300)
]


def knowledge_routes(base: KnowledgeBase) -> APIRouter:
    """The routes of one knowledge base: agents look, admins change."""
    router = APIRouter(prefix="/v1/knowledge", tags=["knowledge"], responses=_refusals(*REFUSALS))

    async def change(person: Person, action: str, target: str, do: Callable[[], T]) -> T:
        """Do something slow aside, and note who did it."""
        done = await asyncio.to_thread(do)
        await asyncio.to_thread(note_action, base.workspace, person, action, target)
        return done

    @router.get("/documents", summary="All documents")
    async def documents(person: Agent) -> DocumentList:
        rows, counts = await asyncio.to_thread(lambda: (base.documents(), base.n_chunks()))
        return DocumentList(documents=[Document.of(row, counts.get(row.name, 0)) for row in rows])

    _add_uploads(router, base)

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


def _add_uploads(router: APIRouter, base: KnowledgeBase) -> None:
    uploads = base.uploads

    @router.put(
        "/documents/{name:path}",
        summary="Add a document, or replace the one of that name",
        description=(
            f"The body is the document itself, at most {base.limits.max_bytes:,} bytes. What takes "
            f"longer than {WAIT_S:g} s is read on aside, and answered with 202 and the address of "
            "the upload; with the header Prefer: respond-async at once."
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            }
        },
        response_model=AddedDocument,
        responses={202: {"model": Upload, "description": "It is read aside."}},
    )
    async def put(
        name: Name, request: Request, person: Admin, prefer: Annotated[str, Header()] = ""
    ) -> Any:
        content = await _body(request, base.limits.max_bytes)
        upload = await asyncio.to_thread(uploads.put, name, content, who=person.name)
        wait_s = 0.0 if "respond-async" in prefer.lower() else WAIT_S
        upload = await _wait(uploads, upload, wait_s)
        if upload.state == "done":
            return AddedDocument.of(upload)
        if upload.problem is not None:
            raise upload.problem
        where = {"Location": f"/v1/knowledge/uploads/{upload.id}"}
        content_now = Upload.of(upload).model_dump(mode="json")
        return JSONResponse(content_now, 202, headers=where)

    @router.get("/uploads", summary="Documents that are being taken in, and what became of others")
    async def list_uploads(person: Agent) -> UploadList:
        found = await asyncio.to_thread(uploads.list)
        return UploadList(uploads=[Upload.of(one) for one in found])

    @router.get("/uploads/{upload}", summary="How far one is")
    async def show(upload: str, person: Agent) -> Upload:
        return Upload.of(await asyncio.to_thread(uploads.get, upload))

    @router.delete("/uploads/{upload}", summary="Do not take it in")
    async def cancel(upload: str, person: Admin) -> Upload:
        return Upload.of(await asyncio.to_thread(uploads.cancel, upload))


async def _wait(uploads: Uploads, upload: Taken, wait_s: float) -> Taken:
    """How *upload* stands once it is over, or after *wait_s*."""
    end_s = time.monotonic() + wait_s
    pause_s = 0.01
    while not upload.is_over and time.monotonic() < end_s:
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.25)
        upload = await asyncio.to_thread(uploads.get, upload.id)
    return upload


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


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ErrorResponse, "description": REFUSALS[status]} for status in statuses
    }
