"""Answers texts with a predictor, joining concurrent requests into batches; knows no HTTP.

One worker thread does the computing, so the event loop stays free. A request that finds the
engine idle is computed at once; one that comes while others are in flight waits for them, at
most ``max_wait_ms``, because a forward pass over eight texts costs far less than eight passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from tailorbird.config import ServingSettings
from tailorbird.errors import BundleError, TailorbirdError, UnavailableError
from tailorbird.records import Prediction

log = logging.getLogger(__name__)

WARM_UP = ("warm up", "预热")
"""Answered once before a predictor is called ready: loads what it loads lazily."""

MAX_SPARED = 31
"""Batches without a wait for others, after waits for others that did not come."""


class Predictor(Protocol):
    """What the engine serves; a Bundle is one, `tailorbird.testing.KeywordPredictor` another."""

    @property
    def id(self) -> str:
        """Names the predictor in every answer it makes."""
        ...

    def predict(self, texts: Sequence[str], /) -> list[Prediction]:
        """One prediction a text, in their order; called in one worker thread."""
        ...


class Adapter(Protocol):
    """What is tuned for one user; the engine hands it back to the predictor it is from."""

    @property
    def hash(self) -> str:
        """Names its weights in every answer that it makes."""
        ...


@runtime_checkable
class PersonalPredictor(Predictor, Protocol):
    """A predictor that knows users; a `PersonalBundle` is one."""

    def adapter_of(self, user: str, /) -> Adapter | None:
        """What *user* is answered with from now on; None: as everybody else. Never waits: it is
        called in the event loop."""
        ...

    def predict_with(self, texts: Sequence[str], adapters: Sequence[Any], /) -> list[Prediction]:
        """One prediction a text, each by the adapter beside it; called in one worker thread."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictions of one request, all made by the same bundle."""

    bundle: str
    predictions: tuple[Prediction, ...]
    adapters: tuple[str, ...] = ()
    """The hash of the adapter that each text was answered with, empty for the shared assistant;
    nothing where all were answered by that."""


@dataclass(slots=True, eq=False)
class _Request:
    texts: Sequence[str]
    adapters: Sequence[Adapter | None]
    """One a text, looked up once, so that all parts of a request see the same versions; or none."""
    predictor: Predictor
    answer: asyncio.Future[Answer]
    predictions: list[Prediction] = field(default_factory=list)
    n_taken: int = 0

    def settle(self, outcome: _Outcome) -> None:
        """Take in the outcome of a part; the last part completes the answer."""
        if self.answer.done():  # the client went away, or an earlier part failed
            return
        if isinstance(outcome, TailorbirdError):
            self.answer.set_exception(outcome)
            return
        self.predictions += outcome
        if len(self.predictions) == len(self.texts):
            names = tuple(adapter.hash if adapter else "" for adapter in self.adapters)
            self.answer.set_result(Answer(self.predictor.id, tuple(self.predictions), names))

    def take(self, n_texts: int) -> _Part:
        """The next *n_texts*."""
        taken = slice(self.n_taken, self.n_taken + n_texts)
        self.n_taken += n_texts
        return _Part(self, self.texts[taken], self.adapters[taken] or (None,) * n_texts)


class _Part(NamedTuple):
    """Texts of one request that go through the same forward pass."""

    request: _Request
    texts: Sequence[str]
    adapters: Sequence[Adapter | None]


class PredictionEngine:
    """Micro-batches concurrent requests to one predictor, which can be replaced while it runs.

    Use as ``async with PredictionEngine(predictor, settings) as engine``, or call `start` and
    `close`. *on_batch* is told the number of texts of every forward pass.
    """

    def __init__(
        self,
        predictor: Predictor | None,
        settings: ServingSettings,
        *,
        on_batch: Callable[[int], None] = lambda n_texts: None,
    ) -> None:
        self._predictor = predictor
        self._settings = settings
        self._on_batch = on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tailorbird-engine")
        self._waiting: deque[_Request] = deque()
        self._n_waiting = 0
        self._in_flight: set[asyncio.Future[Answer]] = set()
        self._arrival = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._is_closing = False
        self._problem: UnavailableError | None = UnavailableError(
            "the bundle is being loaded", cure="try again in a moment"
        )
        # What the last batch saw, to judge whether others are about to come.
        self._last_end_s = float("-inf")
        self._n_expected = 0
        # How often no wait is made after those that were in vain, and how often none was made.
        self._n_spared = self._n_to_spare = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def predictor(self) -> Predictor | None:
        """The one that answers new requests; None while there is none."""
        return self._predictor

    @property
    def problem(self) -> UnavailableError | None:
        """Why new requests cannot be answered right now; None when they can."""
        if self._is_closing:
            return UnavailableError("the service is shutting down", cure="try again in a moment")
        if self._predictor is None:
            return UnavailableError(
                "no bundle is live yet", cure="build one with: tailorbird build LOGS"
            )
        return self._problem

    @property
    def n_waiting(self) -> int:
        """Texts accepted and not yet given to the predictor."""
        return self._n_waiting

    async def start(self) -> None:
        """Begin to work; the predictor is loaded in the background, `problem` says how far."""
        self._worker = asyncio.create_task(self._work(), name="tailorbird-engine")

    async def answer(self, texts: Sequence[str], *, users: Sequence[str | None] = ()) -> Answer:
        """Predict for all *texts* with one and the same predictor.

        Args:
            texts: N.
            users: whose each is, N or none at all. A user's adapter is the one that is in memory
                now; where it is not, the shared assistant answers.

        Raises UnavailableError when no predictor is there, the queue is full, or the engine is
        closing, and BundleError when the predictor fails on these texts.
        """
        predictor = self._predictor
        if self._worker is None or self._is_closing or predictor is None:
            raise self.problem or UnavailableError("the engine was not started")
        if not texts:
            return Answer(predictor.id, ())
        limit = self._settings.max_queue_texts
        # A request longer than the whole queue still gets in when nothing else waits.
        if self._n_waiting and self._n_waiting + len(texts) > limit:
            raise UnavailableError(
                f"{self._n_waiting} texts are waiting and the queue holds {limit}",
                cure="try again in a moment, or raise serving.max_queue_texts",
            )
        adapters = _adapters_of(predictor, users)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._in_flight.add(answer)
        answer.add_done_callback(self._in_flight.discard)
        self._waiting.append(_Request(tuple(texts), adapters, predictor, answer))
        self._n_waiting += len(texts)
        self._arrival.set()
        return await answer

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The predictions of `answer` alone."""
        return list((await self.answer(texts)).predictions)

    async def replace(self, predictor: Predictor) -> None:
        """Answer new requests with *predictor*; those in flight finish on the old one.

        The new one is tried first, beside the old one: BundleError leaves the old one live.
        """
        (outcome,) = await asyncio.to_thread(_predict, predictor, [_WARM_UP])
        if isinstance(outcome, TailorbirdError):
            raise outcome
        self._predictor, self._problem = predictor, None

    async def close(self) -> None:
        """Refuse new requests, finish those in flight, stop the worker."""
        self._is_closing = True
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        await asyncio.to_thread(self._thread.shutdown)

    async def _warm_up(self, predictor: Predictor) -> None:
        loop = asyncio.get_running_loop()
        (outcome,) = await loop.run_in_executor(self._thread, _predict, predictor, [_WARM_UP])
        if self._predictor is not predictor:  # replaced in the meantime
            return
        if isinstance(outcome, TailorbirdError):
            log.error("bundle %s cannot answer", predictor.id, exc_info=outcome)
            self._problem = UnavailableError(outcome.what, cure="tailorbird doctor says more")
        else:
            self._problem = None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        if self._predictor is not None:
            await self._warm_up(self._predictor)
        while True:
            await self._gather()
            parts = self._take()
            if not parts:
                continue
            self._on_batch(sum(len(part.texts) for part in parts))
            groups = [(part.texts, part.adapters) for part in parts]
            outcomes = await loop.run_in_executor(
                self._thread, _predict, parts[0].request.predictor, groups
            )
            self._n_expected, self._last_end_s = len(self._in_flight), loop.time()
            for part, outcome in zip(parts, outcomes, strict=True):
                part.request.settle(outcome)

    async def _gather(self) -> None:
        """Return once there is something to do and, where others are near, they had time to come.

        Clients that wait for their answers come back in step: whoever was in flight when the
        last batch ended is likely to ask again at once. Nobody else was: no reason to wait. Where
        they did not come, the next batches wait for nobody.
        """
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        max_wait_s = self._settings.max_wait_ms / 1000
        is_late = asyncio.get_running_loop().time() - self._last_end_s > max_wait_s
        if is_late or self._is_enough():
            return
        if self._n_spared < self._n_to_spare:
            self._n_spared += 1
            return
        try:
            async with asyncio.timeout(max_wait_s):
                while not self._is_enough():
                    self._arrival.clear()
                    await self._arrival.wait()
            self._n_to_spare = 0
        except TimeoutError:  # people who think before they go on come when they come
            self._n_to_spare = min(MAX_SPARED, 2 * self._n_to_spare + 1)
            self._n_spared = 0

    def _is_enough(self) -> bool:
        """Whether all that were near are here, or as many as a pass takes."""
        has_all = len(self._waiting) >= self._n_expected
        return has_all or self._n_waiting >= self._settings.max_batch_texts

    def _take(self) -> list[_Part]:
        """The next texts for one forward pass: first come, first served, one predictor."""
        parts: list[_Part] = []
        room = self._settings.max_batch_texts
        while self._waiting and room:
            request = self._waiting[0]
            if parts and request.predictor is not parts[0].request.predictor:
                break
            left = len(request.texts) - request.n_taken
            if request.answer.done():  # its client went away, or an earlier part failed
                self._waiting.popleft()
                self._n_waiting -= left
                continue
            n_texts = min(left, room)
            parts.append(request.take(n_texts))
            self._n_waiting -= n_texts
            room -= n_texts
            if n_texts == left:
                self._waiting.popleft()
        return parts


def _adapters_of(predictor: Predictor, users: Sequence[str | None]) -> tuple[Adapter | None, ...]:
    """One a text; nothing where none of them has one, so that the plain way stays plain."""
    if not any(users) or not isinstance(predictor, PersonalPredictor):
        return ()
    known = {user: predictor.adapter_of(user) for user in dict.fromkeys(users) if user}
    adapters = tuple(known.get(user) if user else None for user in users)
    return adapters if any(adapters) else ()


_Group = tuple[Sequence[str], Sequence[Adapter | None]]
_Outcome = list[Prediction] | BundleError | UnavailableError
_WARM_UP: _Group = (WARM_UP, (None,) * len(WARM_UP))


def _predict(predictor: Predictor, groups: Sequence[_Group]) -> list[_Outcome]:
    """One outcome a group; where all together fail, each is tried alone, so that one poisonous
    text fails its own request and no other."""
    texts = [text for group, _ in groups for text in group]
    adapters = [adapter for _, group in groups for adapter in group]
    try:
        if any(adapters) and isinstance(predictor, PersonalPredictor):
            predictions = predictor.predict_with(texts, adapters)
        else:
            predictions = predictor.predict(texts)
        if len(predictions) != len(texts):
            raise BundleError(f"gave {len(predictions)} predictions for {len(texts)} texts")
    except Exception as error:
        if len(groups) > 1:
            return [outcome for group in groups for outcome in _predict(predictor, [group])]
        if isinstance(error, UnavailableError):
            return [error]
        # Wrapped, since an exception such as StopIteration cannot be set on a future.
        failure = BundleError(
            f"the bundle failed: {type(error).__name__}: {error}", where=predictor.id
        )
        failure.__cause__ = error
        return [failure]
    outcomes: list[_Outcome] = []
    for group, _ in groups:
        outcomes.append(predictions[: len(group)])
        predictions = predictions[len(group) :]
    return outcomes
