"""Answers that look right and are not: what BM25 takes for an answer, and people did not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import missing_extra
from tailorbird.knowledge.evidence import terms
from tailorbird.records import Candidate, Example


class WordIndex:
    """BM25 over texts, by the `terms` of the support model.

    Robertson and Zaragoza 2009, with bm25s' defaults (Lù 2024, arXiv 2407.03618). Raises
    MissingExtraError where bm25s is not installed.

    >>> WordIndex(["send it back", "pay by card"]).scores("how do I pay").argmax().item()
    1
    """

    def __init__(self, texts: Sequence[str]) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise missing_extra("bm25s", extra="knowledge") from error
        self.n_texts = len(texts)
        self._index = bm25s.BM25()
        self._index.index([list(terms(text)) or [""] for text in texts], show_progress=False)
        self._known = set(self._index.vocab_dict)

    def scores(self, question: str) -> NDArray[np.float32]:
        """(M,) one score a text; 0 where they share no word."""
        known = [term for term in terms(question) if term in self._known]
        if not known:
            return np.zeros(self.n_texts, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)

    def best(self, question: str, k: int) -> list[int]:
        """The *k* texts with the highest scores above 0, best first."""
        scores = self.scores(question)
        order = np.argsort(-scores, kind="stable")[:k]
        return [int(i) for i in order if scores[i] > 0]


def with_hard_negatives(
    pairs: Sequence[Example], answers: Sequence[str], *, n: int
) -> list[Example]:
    """Each pair with the *n* of the *answers* that BM25 puts first and its question never got.

    >>> pairs = [Example("pay by card?", second="Yes, pay by card."), Example("hi", second="Hello")]
    >>> rows = with_hard_negatives(pairs, ["Yes, pay by card.", "A card for pay phones"], n=1)
    >>> [[one.text for one in row.candidates] for row in rows]
    [['A card for pay phones'], []]
    """
    if n <= 0:
        return list(pairs)
    index, right = WordIndex(answers), _right(pairs)
    rows = []
    for pair in pairs:
        own = right[pair.text]
        found = index.best(pair.text, n + len(own))
        hard = [answers[i] for i in found if answers[i] not in own][:n]
        rows.append(
            Example(
                pair.text, second=pair.second, candidates=tuple(Candidate(t, 0.0) for t in hard)
            )
        )
    return rows


def _right(pairs: Sequence[Example]) -> Mapping[str, set[str]]:
    """Question → all answers that it got."""
    right: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        right[pair.text].add(pair.second)
    return right
