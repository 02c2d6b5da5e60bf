"""The service: checks a request, lets the engine answer it, counts and remembers the answer.

The routes and the console both speak to it, so both keep the same rules.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, overload, runtime_checkable

from tailorbird.apart import Process
from tailorbird.config import ServingSettings
from tailorbird.errors import RequestError
from tailorbird.serving.engine import Answer, PredictionEngine, Predictor
from tailorbird.serving.explainer import Explainer
from tailorbird.serving.meters import Meters
from tailorbird.serving.recording import Recorder, Served

MAX_USER_CHARS = 200


@runtime_checkable
class Movable(Protocol):
    """A predictor that may compute in another process; a Bundle is one."""

    def apart_in(self, process: Process, /) -> Predictor:
        """The same, computing in *process*."""
        ...


class Service:
    """One engine with its rules around it; made by `tailorbird.app.create_app`.

    Predictors that can compute in *process*, where one is given, do.
    """

    def __init__(
        self,
        predictor: Predictor | None,
        settings: ServingSettings,
        *,
        recorder: Recorder | None = None,
        process: Process | None = None,
    ) -> None:
        self.settings = settings
        self.process = process
        predictor = self._apart(predictor)
        self.meters = Meters()
        self.engine = PredictionEngine(predictor, settings, on_batch=self.meters.count_batch)
        self.explainer = Explainer(lambda: self.engine.predictor)
        self._recorder = recorder
        self.meters.watch(
            queue=lambda: self.engine.n_waiting,
            unrecorded=lambda: recorder.n_waiting if recorder else 0,
        )
        if process is not None:
            self.meters.watch_process(process)
        if predictor is not None:
            self.meters.show_bundle(predictor.id)

    async def predict(self, texts: Sequence[str], *, user: str | None = None) -> Answer:
        """The answer to *texts*, by the adapter of *user* where there is one in memory.

        Raises RequestError where they break a limit, UnavailableError where nothing can be
        answered now.
        """
        check_request(texts, user, self.settings)
        started_s = time.perf_counter()
        users = () if user is None else (user,) * len(texts)
        answer = await self.engine.answer(texts, users=users)
        latency_ms = 1000 * (time.perf_counter() - started_s)
        self.meters.count_answer(answer)
        if self._recorder is not None:
            now = datetime.now(UTC)
            self._recorder.put(Served(tuple(texts), answer, user, now, latency_ms))
        return answer

    def without_records(self) -> Service:
        """The same engine, limits and meters, for who keeps what was said themselves."""
        other = copy.copy(self)
        other._recorder = None
        return other

    async def start(self) -> None:
        """Begin to work; what is served is loaded in the background."""
        if self.process is not None:
            self.process.start()
        await self.engine.start()

    async def replace(self, predictor: Predictor) -> None:
        """Serve *predictor* from now on; see `PredictionEngine.replace`."""
        before = self.engine.predictor
        await self.engine.replace(self._apart(predictor))
        await _close(before)
        self.meters.show_bundle(predictor.id)

    async def close(self) -> None:
        """Finish what is in flight and write what is not yet recorded."""
        self.explainer.close()
        await self.engine.close()
        await _close(self.engine.predictor)
        if self.process is not None:
            await asyncio.to_thread(self.process.close)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    @overload
    def _apart(self, predictor: Predictor) -> Predictor: ...

    @overload
    def _apart(self, predictor: Predictor | None) -> Predictor | None: ...

    def _apart(self, predictor: Predictor | None) -> Predictor | None:
        """*predictor*, in the process for models where there is one and it can be there."""
        if self.process is None or not isinstance(predictor, Movable):
            return predictor
        return predictor.apart_in(self.process)


async def _close(predictor: Predictor | None) -> None:
    """Let a predictor that holds files let go of them; requests in flight do not need them."""
    close = getattr(predictor, "close", None)
    if close is not None:
        await asyncio.to_thread(close)


def check_request(texts: Sequence[str], user: str | None, settings: ServingSettings) -> None:
    """RequestError where a request breaks a limit: where, what was found, what to do."""
    if not texts:
        raise RequestError("is empty", where="texts", cure="send at least one text")
    if len(texts) > settings.max_texts:
        raise RequestError(
            f"has {len(texts):,} texts and {settings.max_texts:,} are allowed",
            where="texts",
            cure="send them in several requests",
        )
    for row, text in enumerate(texts):
        _check_text(text, f"texts[{row}]", settings.max_text_chars)
        if not text.strip():
            raise RequestError("is empty", where=f"texts[{row}]", cure="leave it out")
    if user is not None:
        _check_text(user, "user", MAX_USER_CHARS)
        if not user.strip():
            raise RequestError("is empty", where="user", cure="leave it out")


def _check_text(text: str, where: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise RequestError(
            f"has {len(text):,} characters and {max_chars:,} are allowed",
            where=where,
            cure="shorten it",
        )
    if "\0" in text:
        raise RequestError("holds a NUL character", where=where, cure="remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError(
            "holds half of a surrogate pair", where=where, cure="send whole characters as UTF-8"
        )
