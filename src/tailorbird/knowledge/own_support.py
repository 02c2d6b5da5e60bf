"""The support model of a knowledge base, fitted to its documents and again when they change."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tailorbird.apart import Process
from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.base import KnowledgeBase
from tailorbird.knowledge.encoding import open_encoder
from tailorbird.knowledge.kept_reranker import KeptReranker
from tailorbird.knowledge.remembering import Remembered
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.records import Example, Passage
from tailorbird.store import Workspace
from tailorbird.store.files import to_json_bytes, write_atomically

log = logging.getLogger(__name__)

FILE = "support.json"
"""In the workspace: the model, and which documents it was fitted to."""


class _ClosedError(Exception):
    """Nobody needs any more what is being fitted."""


class OwnSupport:
    """Judges the passages of *base*; a `Supports`.

    It starts with the coefficients that come with the package. `follow` fits it to the documents,
    which takes a few hundred searches, and leaves it alone where they have not changed; the model
    before answers meanwhile.
    """

    def __init__(
        self, base: KnowledgeBase, *, asked: Callable[[], Sequence[Example]] = tuple
    ) -> None:
        """Judge the passages of *base*; *asked* gives questions of people with their answers."""
        self._base = base
        self._asked = asked
        self._path = base.workspace.path / FILE
        self._model = LearnedSupport.default()
        self._documents = ""
        self._following = threading.Lock()
        self._closing = threading.Event()

    @property
    def threshold(self) -> float:
        """Below it nothing is answered."""
        return self._model.threshold

    def probabilities(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """In [0, 1], one for each of the *passages*."""
        return self._model.probabilities(question, passages)

    def follow(self, *, rest: float = 0.0) -> bool:
        """Fit to the documents as they are; whether anything was done.

        After each search it rests for *rest* times as long as that took: beside visitors who wait
        for answers, two thirds of the time at 2. `close` ends it where it is.
        """
        with self._following:
            documents = self._signature()
            if documents == self._documents:
                return False
            try:
                self._model = self._kept(documents) or self._fitted(rest)
            except _ClosedError:
                return False
            self._documents = documents
            kept = {"documents": documents, "model": self._model.to_json()}
            write_atomically(self._path, to_json_bytes(kept, where=str(self._path)))
            return True

    def close(self) -> None:
        """Leave what is being fitted; the next process fits it anew."""
        self._closing.set()

    def _signature(self) -> str:
        """Names the documents, what compares them and where a fit starts, which versions change.

        Without documents no encoder is loaded.
        """
        rows = self._base.documents()
        hashed = hashlib.sha256(json.dumps(LearnedSupport.default().to_json()).encode())
        hashed.update(self._base.encoder.hash.encode() if rows else b"")
        for row in rows:
            hashed.update(f"\n{row.name}\t{row.hash}".encode())
        return hashed.hexdigest()

    def _kept(self, documents: str) -> LearnedSupport | None:
        """What an earlier process fitted to the same documents."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            if kept["documents"] != documents:
                return None
            return LearnedSupport.from_json(kept["model"], where=str(self._path))
        except (OSError, ValueError, KeyError, TypeError, KnowledgeError):
            return None

    def _fitted(self, rest: float) -> LearnedSupport:
        # Only here: it imports scikit-learn, which a start would wait seconds for.
        from tailorbird.knowledge.support_fitting import MIN_PIECES, fit_support

        pieces = self._base.passages() if self._base.documents() else []
        if len(pieces) < MIN_PIECES:
            return LearnedSupport.default().knowing(pieces)
        return fit_support(
            pieces,
            lambda question, k: self._unjudged(question, k, rest),
            asked=self._asked(),
        )

    def _unjudged(self, question: str, k: int, rest: float = 0.0) -> list[Passage]:
        # Not put into order by a reranker, which takes minutes for hundreds of questions: what is
        # learned from are cosines and words, and these are the same in any order.
        started_s = time.perf_counter()
        found = self._base.search(question, k=k, reranks=False)
        if self._closing.wait(rest * (time.perf_counter() - started_s)):
            raise _ClosedError
        return [replace(one, support=0.0) for one in found]


def open_base(
    workspace: Workspace, *, process: Process | None = None
) -> tuple[KnowledgeBase, OwnSupport]:
    """The documents of *workspace* with all that it remembers, and what judges a find.

    Vectors are computed in *process*, where one is given.
    """
    encoder = open_encoder(workspace)
    embeds = Remembered(encoder if process is None else encoder.apart_in(process))
    base = KnowledgeBase(workspace, embeds, reranker=KeptReranker(workspace))
    support = OwnSupport(base, asked=lambda: _held_out(encoder.place[0]))
    base.support = support
    return base, support


def _held_out(folder: Path) -> list[Example]:
    """What the encoder in *folder* was not tuned on; a damaged file takes nothing else along."""
    from tailorbird.knowledge.tuning import held_out  # only here: it imports what tunes

    try:
        return held_out(folder)
    except KnowledgeError as error:
        log.warning("%s", error)
        return []
