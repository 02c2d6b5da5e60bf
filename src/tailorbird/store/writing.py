"""One thread that writes, and commits together what comes together.

A commit waits for the disk, which takes as long for fifty messages as for one. While one commit
is under way the next changes gather, and go into the one after it.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

from tailorbird.errors import StoreError, TailorbirdError, UnavailableError
from tailorbird.store.workspace import Workspace

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Change = Callable[[Connection], Result]
"""Reads and writes within one transaction; it may be run again where that one failed."""

OF_ONE_CHANGE = (IntegrityError, DataError, ProgrammingError, InterfaceError)
"""Failures that one change brings about, and the others with it need not share."""


@dataclass(slots=True)
class _Waiting:
    change: Change[Any]
    future: Future[Any]
    seen: Callable[[Any], None] | None = None

    def make(self, connection: Connection) -> Any:
        """Its result, told to whoever wants to see it before it is on disk."""
        result = self.change(connection)
        if self.seen is not None:
            self.seen(result)
        return result


class Writer:
    """Makes changes to the database of a workspace: each whole or not at all, none out of order.

    `write` returns once its change is on disk. A change that raises takes nobody with it. Where
    the disk is full or locked every change of that commit raises UnavailableError, and none of
    them happened.
    """

    def __init__(
        self, workspace: Workspace, *, max_together: int = 256, max_waiting: int = 10_000
    ) -> None:
        self._workspace = workspace
        self._max_together = max_together
        self._max_waiting = max_waiting
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self.n_commits = 0
        self.n_changes = 0
        self._thread = threading.Thread(target=self._run, name="tailorbird-writer", daemon=True)
        self._thread.start()

    async def write(
        self, change: Change[Result], *, seen: Callable[[Result], None] | None = None
    ) -> Result:
        """The result of *change* once it is on disk; the event loop goes on meanwhile.

        *seen* is called in the writer's thread with what is about to be written. It may come to
        nothing, and it may be made again and be another: only the result counts.
        """
        return await asyncio.wrap_future(self.submit(change, seen=seen))

    def submit(
        self, change: Change[Result], *, seen: Callable[[Result], None] | None = None
    ) -> Future[Result]:
        """The same for threads: a future that holds the result."""
        future: Future[Result] = Future()
        with self._lock:
            if self._is_closed:
                raise UnavailableError("the service is closing", cure="try again soon")
            if self._queue.qsize() >= self._max_waiting:
                raise UnavailableError("too much waits to be written", cure="try again soon")
            self._queue.put(_Waiting(change, future, seen))
        return future

    def close(self) -> None:
        """Write what still waits, then end."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            first = self._queue.get()
            batch: list[_Waiting] = []
            while first is not None:
                batch.append(first)
                if len(batch) == self._max_together:
                    break
                try:
                    first = self._queue.get_nowait()
                except queue.Empty:
                    break
            is_last = first is None
            # Whoever went away while waiting has nothing acknowledged, and leaves nothing behind.
            wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if wanted:
                self._write(wanted)

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = self._commit(batch)
        except Exception as error:
            if len(batch) > 1 and not _is_trouble(error):
                for one in batch:
                    self._write([one])
                return
            for one in batch:
                one.future.set_exception(_for_whoever_waits(error))
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, TailorbirdError):
                one.future.set_exception(outcome)
            else:
                one.future.set_result(outcome)

    def _commit(self, batch: list[_Waiting]) -> list[Any]:
        """The results of all changes, or the error of those that were refused."""
        outcomes: list[Any] = []
        with self._workspace.writing() as session:
            connection = session.connection()
            if len(batch) == 1:  # what it raises undoes the whole transaction, which is its own
                outcomes.append(batch[0].make(connection))
                batch = []
            for one in batch:
                connection.exec_driver_sql("SAVEPOINT one_change")
                try:
                    outcomes.append(one.make(connection))
                except TailorbirdError as error:
                    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one_change")
                    outcomes.append(error)
                connection.exec_driver_sql("RELEASE SAVEPOINT one_change")
        self.n_commits += 1
        self.n_changes += len(outcomes)
        return outcomes


def _is_trouble(error: Exception) -> bool:
    """Whether the database itself failed: full, locked, damaged, gone."""
    return isinstance(error, StoreError) and not isinstance(error.__cause__, OF_ONE_CHANGE)


def _for_whoever_waits(error: Exception) -> Exception:
    """An error of its own for each, which tells no paths; the log has the whole story."""
    if not _is_trouble(error):
        return error
    log.error("nothing could be written: %s", error)
    unavailable = UnavailableError(
        "nothing can be kept right now, so nothing was done", cure="send it again in a while"
    )
    unavailable.__cause__ = error
    return unavailable
