"""The support model of a knowledge base, fitted to its documents and again when they change."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import replace

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.base import KnowledgeBase
from tailorbird.knowledge.encoding import open_encoder
from tailorbird.knowledge.kept_reranker import KeptReranker
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.records import Passage
from tailorbird.store import Workspace
from tailorbird.store.files import to_json_bytes, write_atomically

FILE = "support.json"
"""In the workspace: the model, and which documents it was fitted to."""


class OwnSupport:
    """Judges the passages of *base*; a `Supports`.

    It starts with the coefficients that come with the package. `follow` fits it to the documents,
    which takes a few hundred searches, and leaves it alone where they have not changed; the model
    before answers meanwhile.
    """

    def __init__(self, base: KnowledgeBase) -> None:
        self._base = base
        self._path = base.workspace.path / FILE
        self._model = LearnedSupport.default()
        self._documents = ""
        self._following = threading.Lock()

    @property
    def threshold(self) -> float:
        """Below it nothing is answered."""
        return self._model.threshold

    def probabilities(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """In [0, 1], one for each of the *passages*."""
        return self._model.probabilities(question, passages)

    def follow(self) -> bool:
        """Fit to the documents as they are; whether anything had to be done."""
        with self._following:
            documents = self._signature()
            if documents == self._documents:
                return False
            self._model = self._kept(documents) or self._fitted()
            self._documents = documents
            kept = {"documents": documents, "model": self._model.to_json()}
            write_atomically(self._path, to_json_bytes(kept, where=str(self._path)))
            return True

    def _signature(self) -> str:
        """Names the documents, and what compares them; without any, no encoder is loaded."""
        rows = self._base.documents()
        hashed = hashlib.sha256(self._base.encoder.hash.encode() if rows else b"")
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

    def _fitted(self) -> LearnedSupport:
        # Only here: it imports scikit-learn, which a start would wait seconds for.
        from tailorbird.knowledge.support_fitting import MIN_PIECES, fit_support

        pieces = self._base.passages() if self._base.documents() else []
        if len(pieces) < MIN_PIECES:
            return LearnedSupport.default().knowing(pieces)
        return fit_support(pieces, lambda question, k: self._unjudged(question, k))

    def _unjudged(self, question: str, k: int) -> list[Passage]:
        # Not put into order by a reranker, which takes minutes for hundreds of questions: what is
        # learned from are cosines and words, and these are the same in any order.
        found = self._base.search(question, k=k, reranks=False)
        return [replace(one, support=0.0) for one in found]


def open_base(workspace: Workspace) -> tuple[KnowledgeBase, OwnSupport]:
    """The documents of *workspace* with all that it remembers, and what judges a find."""
    base = KnowledgeBase(workspace, open_encoder(workspace), reranker=KeptReranker(workspace))
    support = OwnSupport(base)
    base.support = support
    return base, support
