"""Answers from passages: their own sentences, or a language model's that they bear out.

Every sentence names the passage it is from; one that has none is not sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tailorbird.assistants.service_desk.answering.decision import Sentence
from tailorbird.assistants.service_desk.answering.grounding import (
    content_words,
    coverage,
    sentences_of,
    source_of,
    supporting,
    whole,
)
from tailorbird.records import Passage

MAX_SENTENCES_COMPARED = 40
"""Of all passages together: what the encoder reads for one answer."""
CLOSE = 0.75
"""A further sentence is taken where its score is this share of the best one's."""
HEADING_SHARE = 0.5
"""How much a word counts that stands in a sentence's heading, not in the sentence."""
ANSWER_CHARS = 1500
"""Longer answers of a question-answer pair are cut after a sentence."""


class Embeds(Protocol):
    """What compares sentences by meaning; the encoder of a knowledge base is one."""

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) rows of length 1."""
        ...


def supported(
    question: str, passages: Sequence[Passage], *, min_support: float, min_overlap: float
) -> list[Passage]:
    """The passages that may answer *question*, best first.

    Where somebody has judged them (`Passage.support` of any is above 0), those from *min_support*;
    else those that have a share *min_overlap* of the question's content words.
    """
    if any(passage.support > 0 for passage in passages):
        kept = [passage for passage in passages if passage.support >= min_support]
        return sorted(kept, key=lambda passage: -passage.support)
    words = content_words(question)
    return [passage for passage in passages if coverage(words, whole(passage)) >= min_overlap > 0]


def extract(
    question: str,
    passages: Sequence[Passage],
    *,
    encoder: Embeds | None = None,
    max_sentences: int = 3,
) -> tuple[Sentence, ...]:
    """The sentences of *passages* (best first) that answer *question*, as they stand there.

    A question-answer pair that comes first gives its answer. Else sentences are scored by the share
    of the question's words they have, together with the encoder's similarity where there is one;
    the best and those close to it are given, each passage's in their order.
    """
    if not passages:
        return ()
    if passages[0].question:
        return _answer(passages[0])
    found = [(p, s) for p in passages for s in sentences_of(p.text)][:MAX_SENTENCES_COMPARED]
    if not found:
        return ()
    scores = _scores(question, found, encoder)
    best = max(scores)
    order = sorted(range(len(found)), key=lambda i: (-scores[i], i))
    texts: set[str] = set()
    kept: list[int] = []
    for i in order[: len(found)]:
        is_new = found[i][1] not in texts
        if is_new and len(kept) < max_sentences and (not kept or scores[i] >= CLOSE * best > 0):
            kept.append(i)
            texts.add(found[i][1])
    first = kept[0]
    ids = [id(passage) for passage, _ in found]
    # The best sentence's passage speaks first; within a passage the order is the author's.
    kept.sort(key=lambda i: (ids[i] != ids[first], i))
    return tuple(_cited(found[i][1], found[i][0]) for i in kept)


def verify(text: str, passages: Sequence[Passage]) -> Sentence | None:
    """A generated sentence with the passage that bears it out; None where none does."""
    passage = supporting(text, passages)
    return None if passage is None else _cited(text, passage)


def _cited(text: str, passage: Passage) -> Sentence:
    return Sentence(text, source_of(passage), passage.id)


def _answer(passage: Passage) -> tuple[Sentence, ...]:
    """An answer as somebody wrote it, up to a length."""
    kept: list[Sentence] = []
    n_chars = 0
    for text in sentences_of(passage.text):
        n_chars += len(text)
        if kept and n_chars > ANSWER_CHARS:
            break
        kept.append(_cited(text[:ANSWER_CHARS], passage))
    return tuple(kept)


def _scores(
    question: str, found: Sequence[tuple[Passage, str]], encoder: Embeds | None
) -> list[float]:
    """One number a sentence; the rank of its passage decides between equals."""
    words = content_words(question)
    scores = []
    for passage, text in found:
        own = coverage(words, text)
        with_heading = coverage(words, f"{passage.heading}\n{text}")
        scores.append(own + HEADING_SHARE * (with_heading - own))
    if encoder is None:
        return scores
    asked = encoder.embed([question], is_query=True)[0]  # (D,)
    texts = encoder.embed([text for _, text in found], is_query=False)  # (N, D)
    near = texts @ asked  # (N,)
    # Encoders differ in how high unrelated texts come out; only the differences say something.
    spread = float(near.max() - near.min()) or 1.0
    near = (near - near.min()) / spread
    return [0.5 * score + 0.5 * float(other) for score, other in zip(scores, near, strict=True)]
