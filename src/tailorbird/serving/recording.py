"""Remembers what was served, off the hot path: a thread masks and stores it in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tailorbird.data import mask_pii
from tailorbird.serving.engine import Answer
from tailorbird.store import ServedRow, Workspace, record_served

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """One answered request."""

    texts: tuple[str, ...]
    answer: Answer
    user: str | None
    time: datetime
    latency_ms: float


class Recorder:
    """Hands what was served to *write*, in batches, in one thread of its own.

    `put` never waits. What *write* cannot take (a locked or full disk) is kept and tried again;
    above *max_waiting* texts the oldest are given up, and the log says how many. `close` returns
    once everything is written.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Served]], object],
        *,
        interval_s: float = 1.0,
        max_waiting: int = 100_000,
    ) -> None:
        self._write = write
        self._interval_s = interval_s
        self._max_waiting = max_waiting
        self._waiting: deque[Served] = deque()
        self._n_waiting = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tailorbird-recorder", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Texts not yet written."""
        return self._n_waiting

    def put(self, served: Served) -> None:
        """Take in one answered request; returns at once."""
        n_lost = 0
        with self._lock:
            self._waiting.append(served)
            self._n_waiting += len(served.texts)
            while self._n_waiting > self._max_waiting and len(self._waiting) > 1:
                n_lost += len(self._waiting[0].texts)
                self._n_waiting -= len(self._waiting.popleft().texts)
        if n_lost:
            log.error("%d served texts could not be recorded: nothing could be written", n_lost)

    def close(self) -> None:
        """Write what is left; the log says where that fails."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._interval_s):
            self._flush()
        if not self._flush() and not self._flush():
            log.error("%d served texts could not be recorded at the end", self._n_waiting)

    def _flush(self) -> bool:
        """Write all that waits; False where that failed, and it waits on."""
        with self._lock:
            batch = list(self._waiting)
        if not batch:
            return True
        started_s = time.perf_counter()
        try:
            self._write(batch)
        except Exception:
            log.exception("%d served requests could not be recorded, will try again", len(batch))
            return False
        with self._lock:
            for served in batch:
                # Given up by `put` in the meantime: it has left the queue already.
                if self._waiting and self._waiting[0] is served:
                    self._n_waiting -= len(self._waiting.popleft().texts)
        log.debug("recorded %d requests in %.3f s", len(batch), time.perf_counter() - started_s)
        return True


def recorder_for(workspace: Workspace, **options: Any) -> Recorder:
    """A recorder that stores every text in *workspace*, its PII masked."""

    def write(batch: Sequence[Served]) -> None:
        record_served(workspace, [row for served in batch for row in _rows(served)])

    return Recorder(write, **options)


def _rows(served: Served) -> Iterator[ServedRow]:
    for text, prediction in zip(served.texts, served.answer.predictions, strict=True):
        yield ServedRow(
            time=served.time,
            user=served.user,
            text=mask_pii(text),
            intent=prediction.intent,
            confidence=prediction.confidence,
            in_scope=prediction.in_scope,
            answer=prediction.answer,
            bundle_id=served.answer.bundle,
            latency_ms=served.latency_ms,
        )
