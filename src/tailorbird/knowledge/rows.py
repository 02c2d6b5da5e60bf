"""Documents and their pieces in the database: what is read and written, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tailorbird.knowledge.chunking import searched_text
from tailorbird.knowledge.documents import Document
from tailorbird.records import Passage
from tailorbird.store.tables import ChunkRow, DocumentRow, utc_now

BATCH = 64
"""Texts embedded between two words about progress."""
_AT_ONCE = 500
"""Names in one query: databases bound how many there may be."""


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """A piece as it is kept."""

    passage: Passage
    searched: str
    encoder: str
    vector: bytes | None

    @property
    def id(self) -> str:
        """The piece's own."""
        return self.passage.id


def documents(session: Session) -> dict[str, tuple[str, datetime]]:
    """Hash and time of each document: what changes where a document does."""
    query = select(DocumentRow.name, DocumentRow.hash, DocumentRow.updated)
    return {name: (hash_, updated) for name, hash_, updated in session.execute(query)}


def pieces(session: Session, names: Sequence[str]) -> dict[str, list[StoredPiece]]:
    """The pieces of the named documents, in their order."""
    found: dict[str, list[StoredPiece]] = {name: [] for name in names}
    for i in range(0, len(names), _AT_ONCE):
        query = (
            select(ChunkRow, DocumentRow.title)
            .join(DocumentRow, DocumentRow.name == ChunkRow.document)
            .where(ChunkRow.document.in_(names[i : i + _AT_ONCE]))
            .order_by(ChunkRow.document, ChunkRow.number)
        )
        for row, title in session.execute(query):
            passage = Passage(
                row.id, row.document, row.heading, row.text, 0.0, question=row.question
            )
            searched = searched_text(title, row.heading, row.question, row.text)
            found[row.document].append(StoredPiece(passage, searched, row.encoder, row.vector))
    return found


def vectors(session: Session, name: str, encoder: str) -> dict[str, bytes]:
    """What *encoder* has made of the pieces of one document, by their ids."""
    query = select(ChunkRow.id, ChunkRow.vector).where(
        ChunkRow.document == name, ChunkRow.encoder == encoder, ChunkRow.vector.is_not(None)
    )
    return {id_: vector for id_, vector in session.execute(query) if vector is not None}


def put_vectors(session: Session, encoder: str, made: Mapping[str, bytes]) -> None:
    """Keep new vectors of pieces; those that are gone meanwhile are left out."""
    for id_, vector in made.items():
        change = update(ChunkRow).where(ChunkRow.id == id_)
        session.execute(change.values(encoder=encoder, vector=vector))


def replace(session: Session, document: Document, chunks: Iterable[ChunkRow]) -> bool:
    """Put a document in the place of the one of its name; whether there was none."""
    facts: dict[str, Any] = {
        "hash": document.hash,
        "kind": document.kind,
        "title": document.title,
        "n_bytes": document.n_bytes,
    }
    row = session.get(DocumentRow, document.name)
    if row is None:
        session.add(DocumentRow(name=document.name, **facts))
    else:
        for field, value in (facts | {"updated": utc_now()}).items():
            setattr(row, field, value)
        session.execute(delete(ChunkRow).where(ChunkRow.document == document.name))
    session.flush()  # pieces refer to their document
    session.add_all(chunks)
    return row is None
