"""Processes that tune jobs side by side, one torch thread each.

Each loads the base by its path and reads the states of frozen layers from the mapped file. It is
given one job after another, so that a process that dies takes one job with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch

from tailorbird.errors import TuningError
from tailorbird.hardware import release_memory
from tailorbird.jobs.doing import Listening, do_job, failed
from tailorbird.jobs.files import JobFiles
from tailorbird.jobs.job import Base, Job, JobResult
from tailorbird.jobs.shared_base import SharedBase
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example, StepReport

MAX_TRIES = 2
"""A job whose process dies is tried so often: the first time it may have been somebody else's."""
WIND_UP_S = 20.0
"""So long a process that is to stop may take to keep the state of its job."""
LOOK_EVERY_S = 0.2
KEPT_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}
"""Sizes of bf16 products whose code a process keeps, 0.65 MB each; batches of one kind of job have
fewer. oneDNN's own limit is 1,024."""
GIVE_BACK_EVERY_S = 3.0
"""After so many seconds of work a process gives back what jobs have freed: 150 MB of holes after
forty small jobs, between what is kept of sizes of products. More often costs, page by page."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a process needs to tune jobs; it is sent to each."""

    base: Base
    pool: Sequence[Example]
    folder: Path
    dtype: str
    trunk_folder: Path
    file_bytes: int
    memory_bytes: int
    """For states of frozen layers where no file may hold them."""

    def open(self, say: Callable[[str], None] = lambda _: None) -> SharedBase:
        """The base, not loaded yet."""
        memory_bytes = 0 if self.file_bytes else self.memory_bytes  # the mapped file is for all
        cache = TrunkCache(memory_bytes, self.trunk_folder, file_bytes=self.file_bytes, say=say)
        return SharedBase(self.base, self.pool, dtype=self.dtype, cache=cache)


class _Finished(NamedTuple):
    """A job is done (or kept, for another call, where the result is None)."""

    result: JobResult | None


class _Over(NamedTuple):
    """Keep the state of the job, and tune no more.

    It comes through the line, like all else: a lock or an event that processes share is never
    given back by one that is killed while it holds it.
    """


@contextmanager
def _without_main() -> Iterator[None]:
    """Within the block a new process does not run the caller's script again, whatever it is.

    It needs nothing of it, and scripts would have to keep their work behind ``__name__``.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Within the block a new process finds *values*, unless the caller has set them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class _Worker:
    """A process, the line to it, and the job that it has."""

    def __init__(self, place: Workplace, *, is_heard: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        arguments = (theirs, place, is_heard)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        with _without_main(), _environment(KEPT_PRODUCTS):
            self.process.start()
        theirs.close()  # so that the line ends when the process does
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        self.send(job)

    def send(self, message: Job | bool | _Over) -> None:
        """Send it; one that died meanwhile is found by its line's end."""
        with suppress(OSError):
            self.line.send(message)

    def end(self) -> None:
        """Let go of the process, by force where it does not listen."""
        self.line.close()
        self.process.join(1.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def in_processes(
    place: Workplace, jobs: Sequence[Job], n_workers: int, listening: Listening
) -> Iterator[JobResult]:
    """Tune *jobs* in *n_workers* processes; yields results in the order in which they end.

    When the generator is closed, or `listening.stop` says so, what was begun is kept.

    Raises TuningError where processes end one after another without a result.
    """
    crew = _Crew(place, jobs, listening)
    try:
        crew.workers += [crew.worker() for _ in range(min(n_workers, len(jobs)))]
        while not listening.stop():
            crew.hand_out()
            busy = {worker.line: worker for worker in crew.workers if worker.job is not None}
            if not busy:
                return
            for line in wait(list(busy), LOOK_EVERY_S):
                result = crew.hear(busy[line])  # type: ignore[index]
                if result is not None:
                    yield result
    finally:
        crew.wind_up()


class _Crew:
    """The processes, and the jobs that nobody has yet."""

    def __init__(self, place: Workplace, jobs: Sequence[Job], listening: Listening) -> None:
        self.place = place
        self.listening = listening
        self.queue = deque(jobs)
        self.tries: Counter[str] = Counter()
        self.workers: list[_Worker] = []
        self.n_lost = 0  # processes since the last result

    def worker(self) -> _Worker:
        """Another process."""
        return _Worker(self.place, is_heard=self.listening.on_report is not None)

    def hand_out(self) -> None:
        """Give each idle process a job, as long as there are any."""
        for worker in self.workers:
            if worker.job is None and self.queue:
                job = self.queue.popleft()
                self.tries[job.name] += 1
                worker.give(job)

    def hear(self, worker: _Worker) -> JobResult | None:
        """Take what *worker* has to say: a result, a report to be answered, or that it is dead."""
        job = worker.job
        assert job is not None
        try:
            said = worker.line.recv()
        except (EOFError, OSError):
            return self.replace(worker, job)
        if isinstance(said, StepReport):
            worker.send(self.listening.ends(job, said))
            return None
        assert isinstance(said, _Finished)
        worker.job, self.n_lost = None, 0
        return said.result

    def replace(self, worker: _Worker, job: Job) -> JobResult | None:
        """Let another process stand in for one that died; the job's failure, if it is one."""
        worker.end()
        self.workers.remove(worker)
        self.n_lost += 1
        code = worker.process.exitcode or 0
        how = f"by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with code {code}"
        if self.n_lost > MAX_TRIES * (1 + len(self.workers)):
            raise TuningError(
                f"{self.n_lost} processes ended one after another, the last {how}",
                cure="use one worker, which tunes in this process, to see why",
            )
        self.workers.append(self.worker())
        if self.tries[job.name] < MAX_TRIES:
            self.queue.append(job)
            return None
        error = TuningError(
            f"its process ended {how}, {MAX_TRIES} times",
            cure="where memory was short, take fewer workers or smaller batches; then call again",
        )
        place = self.place
        return failed(job, JobFiles(place.folder, place.base, place.pool), error)

    def wind_up(self) -> None:
        """Let every process keep the state of the job that it has, and end it."""
        busy = [worker for worker in self.workers if worker.job is not None]
        for worker in busy:
            worker.send(_Over())
        until_s = time.monotonic() + WIND_UP_S
        for worker in busy:
            with suppress(EOFError, OSError):
                while worker.line.poll(max(0.0, until_s - time.monotonic())):
                    if isinstance(worker.line.recv(), _Finished):
                        break  # else a report, to which the message above is the answer
        for worker in self.workers:
            worker.end()


def _serve(line: Connection, place: Workplace, is_heard: bool) -> None:
    """What a process does: tune the jobs that come through *line* until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent says what to do
    torch.set_num_threads(1)
    shared, files = place.open(), JobFiles(place.folder, place.base, place.pool)
    is_over = False

    def ask(_: str, report: StepReport) -> bool:
        nonlocal is_over
        try:
            line.send(report)
            answer = line.recv()
        except (EOFError, OSError):  # nobody is there any more: the state is to be kept
            answer = _Over()
        is_over = isinstance(answer, _Over)
        return answer is True

    def stop() -> bool:
        """While a job is tuned nothing comes but the end, the line's own too."""
        return is_over or line.poll()

    listening, given_back_s = Listening(ask if is_heard else None, stop), time.process_time()
    try:
        while isinstance(job := line.recv(), Job):
            line.send(_Finished(do_job(shared, job, files, listening)))
            if time.process_time() - given_back_s > GIVE_BACK_EVERY_S:
                release_memory(collect=False)
                given_back_s = time.process_time()
    except (EOFError, OSError):
        return  # nobody is there any more
