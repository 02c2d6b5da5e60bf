"""The documents of a workspace, and the pieces of them that fit a question.

The database is the truth: a document with its pieces and their vectors is one transaction, so that
either the old one or the new one is there, whatever interrupts. Indexes are in memory alone, and
follow the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from sqlalchemy import func, select

from tailorbird.knowledge import rows
from tailorbird.knowledge.chunking import Piece, cut
from tailorbird.knowledge.documents import (
    Document,
    Limits,
    check_name,
    hash_of,
    read_document,
)
from tailorbird.knowledge.encoding import Embeds
from tailorbird.knowledge.shelf import Entry, Shelf
from tailorbird.knowledge.uploads import Uploads
from tailorbird.knowledge.words import without_strange
from tailorbird.records import Passage
from tailorbird.store import Workspace
from tailorbird.store.tables import ChunkRow, DocumentRow

N_RERANKED = 20
"""Passages that a reranker reads for one question."""
MAX_QUESTION_CHARS = 2000
"""Of a question that are looked at: nobody asks more at once."""
FOLLOW_S = 1.0
"""A search sees what other processes changed so much later."""

Progress = Callable[[int, int], None]


class Reranks(Protocol):
    """Reads a question and passages together: slower than comparing vectors, and better.

    One that is false is left aside (`reranking.KeptReranker` where none is chosen).
    """

    def scores(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """One a text; higher is better."""


class Supports(Protocol):
    """Says whether passages answer a question at all."""

    def probabilities(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        """One a passage, calibrated, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a document that was given."""

    name: str
    status: Literal["added", "changed", "unchanged"]
    kind: str
    n_chunks: int
    n_embedded: int
    """Pieces that are new; the vectors of others are kept."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The database as it was looked at, and what was made of it."""

    documents: Mapping[str, tuple[str, datetime]]
    entries: Mapping[str, Sequence[Entry]]
    shelf: Shelf


class KnowledgeBase:
    """The documents of one workspace, searched with one encoder; threads may share it.

    Nothing is loaded before the first search or addition.
    """

    def __init__(
        self,
        workspace: Workspace,
        encoder: Embeds,
        *,
        reranker: Reranks | None = None,
        support: Supports | None = None,
        limits: Limits | None = None,
        on_progress: Progress = lambda n_done, n_all: None,
    ) -> None:
        self.workspace = workspace
        self.encoder = encoder
        self.reranker = reranker
        self.support = support
        self.limits = limits or Limits()
        self._on_progress = on_progress
        self._seen: _Seen | None = None
        self._looked_s = 0.0
        self._following = threading.Lock()

    @cached_property
    def uploads(self) -> Uploads:
        """Documents that are taken in aside."""
        return Uploads(
            self.workspace,
            lambda name, content, progress: self.add(name, content, on_progress=progress),
        )

    def add(self, name: str, content: bytes, *, on_progress: Progress | None = None) -> Added:
        """Keep a document, in place of the one of that name.

        One with the same bytes is left alone; of one that changed only the new pieces are embedded.
        *on_progress* hears of them in place of the one that hears of all; what it raises ends it.

        Raises KnowledgeError that says what is wrong with the document; the old one then stays.
        """
        check_name(name)
        same = self._unchanged(name, hash_of(content))
        progress = on_progress or self._on_progress
        return same or self._keep(read_document(name, content, limits=self.limits), progress)

    def remove(self, name: str) -> bool:
        """Forget a document; False where there is none of that name."""
        with self.workspace.writing() as session:
            row = session.get(DocumentRow, name)
            if row is None:
                return False
            session.delete(row)
        self._show()
        return True

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        with self.workspace.sessions() as session:
            return list(session.scalars(select(DocumentRow).order_by(DocumentRow.name)))

    def n_chunks(self) -> dict[str, int]:
        """How many pieces each document has."""
        count = select(ChunkRow.document, func.count()).group_by(ChunkRow.document)
        with self.workspace.sessions() as session:
            return {row[0]: row[1] for row in session.execute(count)}

    def passages(self) -> list[Passage]:
        """All pieces, as `support_fitting.fit_support` wants them."""
        return [entry.passage() for entry in self._follow().shelf.entries]

    def search(self, question: str, *, k: int = 5, reranks: bool = True) -> list[Passage]:
        """At most *k* passages that fit the *question* best, best first.

        Orders by meaning and by words are fused; where there is a reranker, it orders the first
        `N_RERANKED` anew, unless told not to. ``support`` is filled in where there is something
        that knows it.
        """
        reranker = (self.reranker or None) if reranks else None
        question = question.strip()[:MAX_QUESTION_CHARS]
        shelf = self._follow().shelf
        if not question or not shelf.entries or k < 1:
            return []
        wanted = max(k, N_RERANKED) if reranker is not None else k
        found = self._found(shelf, question, wanted)
        if reranker is not None:
            texts = [f"{one.question}\n{one.text}" if one.question else one.text for one in found]
            scores = reranker.scores(question, texts)
            ranked = [replace(one, score=float(s)) for one, s in zip(found, scores, strict=True)]
            found = sorted(ranked, key=lambda one: -one.score)
        found = found[:k]
        if self.support is not None:
            sure = self.support.probabilities(question, found)
            found = [replace(one, support=float(p)) for one, p in zip(found, sure, strict=True)]
        return found

    def _found(self, shelf: Shelf, question: str, n: int) -> list[Passage]:
        """What *shelf* has for the *question*, and how much the words it lacks are in the way."""
        without, strange = without_strange(question, shelf.words)
        asked = [question, without] if 0 < strange < 1 else [question]
        vectors = self.encoder.embed(asked, is_query=True)  # (1 or 2, D)
        found = shelf.search(question, vectors[0], n)
        if not strange:
            return list(found)
        eased = vectors[-1] - vectors[0]  # (D,) nothing where all that tells is strange
        return [replace(one, eased=float(shelf.vector(one.id) @ eased)) for one in found]

    def refresh(self) -> None:
        """Follow what this or any other process has changed; cheap where nothing has."""
        with self._following:
            self._look()

    def _show(self) -> None:
        """Let searches see a change of this process; one that has not searched yet need not."""
        if self._seen is not None:
            self.refresh()

    def _follow(self) -> _Seen:
        """What is known, looked at again where that was some time ago."""
        if self._seen is None:
            self.refresh()
        elif time.monotonic() - self._looked_s > FOLLOW_S and self._following.acquire(
            blocking=False  # whoever looks already does it for all
        ):
            try:
                self._look()
            finally:
                self._following.release()
        assert self._seen is not None
        return self._seen

    def _look(self) -> None:
        """Read the documents that changed, and make the indexes anew."""
        known = self._seen.documents if self._seen else {}
        self._looked_s = time.monotonic()
        with self.workspace.sessions() as session:  # one snapshot
            documents = rows.documents(session)
            changed = [name for name, facts in documents.items() if known.get(name) != facts]
            found = rows.pieces(session, changed)
        if self._seen is not None and not changed and len(known) == len(documents):
            return
        vectors = self._vectors([piece for pieces in found.values() for piece in pieces])
        kept = self._seen.entries if self._seen else {}
        entries = {
            name: [Entry.of(piece.passage, vectors[piece.id]) for piece in found[name]]
            if name in found
            else kept[name]
            for name in documents
        }
        shelf = Shelf(entry for pieces in entries.values() for entry in pieces)
        self._seen = _Seen(documents, entries, shelf)

    def _vectors(self, pieces: Sequence[rows.StoredPiece]) -> dict[str, np.ndarray]:
        """The vectors of *pieces*, made where another encoder made what is kept."""
        if not pieces:
            return {}
        mine = self.encoder.hash
        others = [piece for piece in pieces if piece.encoder != mine or piece.vector is None]
        made = self._embed([piece.searched for piece in others], self._on_progress)
        new = {piece.id: row for piece, row in zip(others, made, strict=True)}
        if new:
            with self.workspace.writing() as session:
                rows.put_vectors(session, mine, new)
        stored = {piece.id: piece.vector for piece in pieces if piece.vector is not None}
        return {name: as_vector(row) for name, row in (stored | new).items()}

    def _embed(self, texts: Sequence[str], on_progress: Progress) -> list[bytes]:
        """(D,) fp16 of each text, as it is stored."""
        made: list[bytes] = []
        for i in range(0, len(texts), rows.BATCH):
            on_progress(i, len(texts))
            part = self.encoder.embed(texts[i : i + rows.BATCH], is_query=False)
            made += [row.astype("<f2").tobytes() for row in part]
        return made

    def _unchanged(self, name: str, hash_: str) -> Added | None:
        with self.workspace.sessions() as session:
            row = session.get(DocumentRow, name)
            if row is None or row.hash != hash_:
                return None
            n_chunks = session.scalar(
                select(func.count()).select_from(ChunkRow).where(ChunkRow.document == name)
            )
        return Added(name, "unchanged", row.kind, n_chunks or 0, 0)

    def _keep(self, document: Document, on_progress: Progress) -> Added:
        """Embed what is new of a *document*, then put all of it in the place of the old one."""
        pieces = cut(document)
        with self.workspace.sessions() as session:
            vectors = rows.vectors(session, document.name, self.encoder.hash)
        new = [piece for piece in pieces if piece.id not in vectors]
        made = self._embed([piece.searched for piece in new], on_progress)
        vectors |= {piece.id: row for piece, row in zip(new, made, strict=True)}
        with self.workspace.writing() as session:
            is_new = rows.replace(session, document, self._rows(document, pieces, vectors))
        self._show()
        status: Literal["added", "changed"] = "added" if is_new else "changed"
        return Added(document.name, status, document.kind, len(pieces), len(new))

    def _rows(
        self, document: Document, pieces: Iterable[Piece], vectors: Mapping[str, bytes]
    ) -> list[ChunkRow]:
        return [
            ChunkRow(
                id=piece.id,
                document=document.name,
                number=piece.number,
                heading=piece.heading,
                question=piece.question,
                text=piece.text,
                encoder=self.encoder.hash,
                vector=vectors[piece.id],
            )
            for piece in pieces
        ]


def as_vector(stored: bytes) -> np.ndarray:
    """(D,) fp32 of a vector as it is stored."""
    return np.frombuffer(stored, dtype="<f2").astype(np.float32)
