"""What goes over the wire about documents and passages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird import records
from tailorbird.knowledge.uploads import State
from tailorbird.knowledge.uploads import Upload as Taken
from tailorbird.serving.access import said
from tailorbird.serving.schemas import ErrorDetail
from tailorbird.store.tables import DocumentRow


class Document(BaseModel):
    """One document of the knowledge base."""

    name: str
    kind: str = Field(description="markdown, text, html, pdf, docx or qa.")
    title: str
    n_chunks: int = Field(description="Pieces that are searched.")
    n_bytes: int
    updated: datetime

    @classmethod
    def of(cls, row: DocumentRow, n_chunks: int) -> Self:
        """What *row* says."""
        return cls(
            name=row.name,
            kind=row.kind,
            title=row.title,
            n_chunks=n_chunks,
            n_bytes=row.n_bytes,
            updated=row.updated,
        )


class DocumentList(BaseModel):
    """All documents, by name."""

    documents: list[Document]


class AddedDocument(BaseModel):
    """What became of a document that was sent."""

    name: str
    status: Literal["added", "changed", "unchanged"]
    kind: str
    n_chunks: int
    n_embedded: int = Field(description="Pieces that are new.")

    @classmethod
    def of(cls, upload: Taken) -> Self:
        """What became of an upload that is done."""
        return cls.model_validate({key: getattr(upload, key) for key in cls.model_fields})


class Upload(BaseModel):
    """A document on its way in."""

    id: str
    name: str
    who: str = Field(description="Whose key sent it.")
    n_bytes: int
    created: datetime
    updated: datetime
    state: State = Field(
        description="waiting, reading; once it is over: done, failed, cancelled, or lost, where "
        "the service ended twice while it was read."
    )
    n_done: int = Field(description="Pieces that are embedded.")
    n_all: int = Field(description="Of so many that are new; 0: not read yet.")
    status: str = Field(description="Of one that is done: added, changed or unchanged.")
    n_chunks: int
    error: ErrorDetail | None = Field(description="Why it failed, or is lost.")

    @classmethod
    def of(cls, upload: Taken) -> Self:
        """The upload as it goes out."""
        keys = [key for key in cls.model_fields if key != "error"]
        error = upload.error
        detail = error and ErrorDetail(
            message=said(error["what"]), where=error["where"], cure=said(error["cure"]) or None
        )
        values = {key: getattr(upload, key) for key in keys}
        return cls.model_validate(values | {"error": detail or None})


class UploadList(BaseModel):
    """Uploads of the last week, the newest first."""

    uploads: list[Upload]


class RemovedDocument(BaseModel):
    """Which document is no more."""

    removed: str


class SearchRequest(BaseModel):
    """A question, to see what would be found for it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"question": "多久能退款？", "k": 3}]}
    )

    question: str = Field(min_length=1, max_length=8000)
    k: int = Field(default=5, ge=1, le=50, description="Passages at most.")


class Passage(BaseModel):
    """A piece of a document that fits a question."""

    id: str
    document: str
    heading: str = Field(description="All headings above it; empty: none.")
    question: str = Field(description="Of a question with its answer: the question.")
    text: str
    score: float = Field(description="Higher is better; comparable within one search.")
    support: float = Field(description="Probability that it answers the question, in [0, 1].")

    @classmethod
    def of(cls, passage: records.Passage) -> Self:
        """The same over the wire."""
        return cls(
            id=passage.id,
            document=passage.document,
            heading=passage.heading,
            question=passage.question,
            text=passage.text,
            score=passage.score,
            support=passage.support,
        )


class SearchResponse(BaseModel):
    """What fits a question, best first."""

    passages: list[Passage]
