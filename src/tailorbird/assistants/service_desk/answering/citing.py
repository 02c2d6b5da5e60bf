"""Answers from documents: searched, judged, and said in a model's words or in their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.composing import extract, supported, verify
from tailorbird.assistants.service_desk.answering.decision import Sentence
from tailorbird.assistants.service_desk.answering.parts import Parts, min_support_of
from tailorbird.assistants.service_desk.answering.reasons import Explained
from tailorbird.records import Passage

log = logging.getLogger(__name__)


class Citing:
    """What the documents of *parts* say; every sentence with its passage."""

    def __init__(self, parts: Parts, settings: DeskSettings) -> None:
        self.parts = parts
        self.settings = settings

    @property
    def min_support(self) -> float:
        """The probability of support from which a passage answers."""
        return min_support_of(self.parts.knowledge, self.settings.min_support)

    async def search(self, question: str, told: Explained) -> list[Passage]:
        """The passages that fit *question*; none where the search fails, which *told* is told."""
        knowledge = self.parts.knowledge
        if knowledge is None:
            return []
        try:
            return await asyncio.to_thread(knowledge.search, question, k=self.settings.n_passages)
        except Exception:
            log.exception("the documents could not be searched; it is answered without them")
            told.note("search_failed")
            return []

    def supporting(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """Those of *passages* that support an answer, best first."""
        return supported(
            question,
            passages,
            min_support=self.min_support,
            min_overlap=self.settings.min_overlap,
        )

    async def extracted(self, question: str, passages: Sequence[Passage]) -> tuple[Sentence, ...]:
        """The passages' own sentences."""
        return await asyncio.to_thread(
            extract,
            question,
            passages,
            encoder=self.parts.encoder,
            max_sentences=self.settings.max_sentences,
        )

    async def generated(
        self, question: str, passages: Sequence[Passage], told: Explained
    ) -> AsyncGenerator[Sentence]:
        """What the language model writes and a passage bears out, sentence by sentence.

        Nothing without a model, or where it fails, is busy, or does not know the language: *told*
        is told which.
        """
        language = told.asked.language
        scribe = self.parts.scribe
        if scribe is None:
            return
        if language not in scribe.model.languages:
            told.note("writer_language")
            return
        if scribe.is_busy:
            told.note("writer_busy")
            return
        n_dropped = 0
        given: set[str] = set()
        try:
            async with aclosing(scribe.sentences(question, passages, language=language)) as texts:
                async for text in texts:
                    if text in given:
                        break  # a small model that repeats itself goes on doing so
                    sentence = verify(text, passages)
                    if sentence is None:
                        n_dropped += 1
                        continue
                    yield sentence
                    given.add(text)
                    if len(given) == self.settings.max_sentences:
                        break
        except Exception:
            log.exception("the language model failed; the documents' own sentences are given")
            told.note("writer_failed")
        if n_dropped:
            told.note("unsupported", n=n_dropped)
