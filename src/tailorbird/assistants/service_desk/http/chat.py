"""A request of OpenAI's form as a conversation, checked, answered, and written down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol
from uuid import uuid4

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.decision import Decision, Said, Sentence, Turn
from tailorbird.assistants.service_desk.http.chat_schemas import ChatMessage, ChatRequest
from tailorbird.config import ServingSettings
from tailorbird.errors import RequestError

MAX_USER_CHARS = 200
AUTHORS = {"user": "visitor", "assistant": "assistant"}


class Answers(Protocol):
    """What answers conversations; an `Attendant` does."""

    def answer(
        self, turns: Sequence[Turn], *, user: str | None = None
    ) -> AsyncGenerator[Sentence | Decision]:
        """The sentences of the answer, and last the decision."""
        ...


class Audits(Protocol):
    """Where decisions are written."""

    async def write(
        self, decision: Decision, /, *, text: str, user: str | None, latency_ms: float
    ) -> str:
        """Keep *decision* about *text*; returns its id."""
        ...


class Chat:
    """Checks a request, lets the attendant answer it, and has the decision written down."""

    def __init__(
        self,
        attendant: Answers,
        *,
        serving: ServingSettings,
        desk: DeskSettings,
        audit: Audits | None = None,
    ) -> None:
        self._attendant = attendant
        self._serving = serving
        self._desk = desk
        self._audit = audit

    def turns(self, request: ChatRequest) -> list[Said]:
        """The conversation in *request*; RequestError where it breaks a limit."""
        if len(request.messages) > self._desk.max_messages:
            raise RequestError(
                f"has {len(request.messages):,} messages, and {self._desk.max_messages:,} are "
                "allowed",
                where="messages",
                cure="leave out the oldest",
            )
        _check_text(request.user or "", "user", MAX_USER_CHARS)
        turns = []
        for number, message in enumerate(request.messages):
            where = f"messages[{number}].content"
            text = text_of(message, where)
            _check_text(text, where, self._serving.max_text_chars)
            if message.role in AUTHORS and text.strip():
                turns.append(Said(AUTHORS[message.role], text))
        if not turns or turns[-1].author != "visitor":
            raise RequestError(
                "must end with a text of the user", where="messages", cure='as {"role": "user", …}'
            )
        return turns

    async def answer(self, request: ChatRequest) -> AsyncGenerator[Sentence | tuple[Decision, str]]:
        """The sentences of the answer, and last the decision with its id."""
        turns, started_s = self.turns(request), time.perf_counter()
        user = (request.user or "").strip() or None
        async with contextlib.aclosing(self._attendant.answer(turns, user=user)) as parts:
            async for part in parts:
                if isinstance(part, Sentence):
                    yield part
                    continue
                decision_id = uuid4().hex
                if self._audit is not None:
                    latency_ms = 1000 * (time.perf_counter() - started_s)
                    decision_id = await self._audit.write(
                        part, text=turns[-1].text, user=user, latency_ms=latency_ms
                    )
                yield part, decision_id


def text_of(message: ChatMessage, where: str) -> str:
    """The words of a message; RequestError where there is more than words in it."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for part in message.content:
        if part.type not in ("text", "input_text") or part.text is None:
            raise RequestError(
                f"holds a part of the type {part.type[:40]!r}", where=where, cure="send text alone"
            )
    return "\n".join(part.text or "" for part in message.content)


def _check_text(text: str, where: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise RequestError(
            f"has {len(text):,} characters and {max_chars:,} are allowed",
            where=where,
            cure="shorten it",
        )
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError(
            "holds a NUL or half of a surrogate pair", where=where, cure="send whole characters"
        )
