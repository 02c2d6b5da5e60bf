"""A process of one's own for objects that compute: started when needed, and again where it dies.

What it holds it can always be told anew: this side keeps how each object is made. So a process
that was killed costs the time to make its objects again, and no question is lost.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from tailorbird.apart import child
from tailorbird.errors import UnavailableError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from tailorbird.apart.child import main; main(sys.argv[1:])"
)
"""Modules are found where this process finds them, and nowhere else."""
MANY_TEXTS = 16
"""From here on a pass takes long enough for all processors."""
WIND_UP_S = 2.0
"""How long a process may take to end by itself."""


class Lane(IntEnum):
    """Questions of one lane wait for each other; those of others do not wait for them."""

    ANSWER = 0
    """What somebody waits for: short, and first."""
    SEARCH = 1
    """What somebody waits for, and takes longer."""
    MAKE = 2
    """Loading what the others need."""
    ASIDE = 3
    """What can wait: it gives way to all others."""


LOWER_BY = {Lane.ASIDE: child.LOWER_BY}


class Placed:
    """An object in a `Process`, made there when it is first asked.

    In the arguments of a question it stands for the object itself.
    """

    def __init__(self, process: Process, number: int, make: Callable[[], Any]) -> None:
        self._process = process
        self.make = make
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return child.found, (self.number,)

    def ask(
        self,
        lane: Lane,
        function: Callable[Concatenate[Any, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """What *function* gives with the object and *arguments*, computed over there.

        All of it must be picklable: the function by its name. Raises what it raises,
        UnavailableError where its process ended twice over it, or the service is closing.
        """
        question = child.Question(function, (self, *arguments), named)
        return self._process.ask(lane, question)  # type: ignore[no-any-return]


class Process:
    """Holds objects in a process of its own; made by `open_process`, ended by `close`.

    Threads may share it. The process ends with this one, however this one ends.

    Args:
        n_threads: of a product in it, at most. Unless somebody wants all of them for much work at
            once (`threads_for`), it takes one less: requests need a processor, too.
        modules: what it imports at its start, before it is asked for anything.
    """

    def __init__(self, n_threads: int, *, modules: Sequence[str] = ()) -> None:
        self.n_threads = n_threads
        self.n_starts = 0
        self._modules = tuple(modules)
        self._numbers = itertools.count()
        self._placed: weakref.WeakValueDictionary[int, Placed] = weakref.WeakValueDictionary()
        self._gone: deque[int] = deque()
        self._child: _Child | None = None
        self._starting = threading.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._child.pid if self._child is not None else None

    def threads_for(self, n_texts: int) -> int:
        """How many threads shall share the products of a pass over *n_texts*.

        A few texts are as fast with fewer, and threads that have to wait for a processor make
        each other wait.
        """
        return self.n_threads if n_texts >= MANY_TEXTS else max(1, self.n_threads - 1)

    def start(self) -> None:
        """Start it before it is asked; returns at once."""
        self._living()

    def place(self, make: Callable[[], Any]) -> Placed:
        """An object that *make*, which must be picklable, gives over there when it is needed.

        It is let go of there once it is here.
        """
        number = next(self._numbers)
        placed = Placed(self, number, make)
        self._placed[number] = placed
        weakref.finalize(placed, self._gone.append, number)
        return placed

    def close(self) -> None:
        """End the process; what is still asked is refused."""
        with self._starting:
            self._is_closed = True
            ended, self._child = self._child, None
        if ended is not None:
            ended.end()

    def ask(self, lane: Lane, question: child.Question) -> Any:
        """What comes of *question*; see `Placed.ask`."""
        question = question._replace(gone=self._forgotten())
        n_lost = 0
        while True:
            living = self._living()
            try:
                reply = living.ask(lane, question)
            except (EOFError, OSError) as error:
                n_lost += 1
                self._lost(living, error, is_last=n_lost > 1)
                continue
            if reply.status == "missing":
                self._provide(reply.value)
            elif reply.status == "failed":
                raise reply.value
            else:
                return reply.value

    def _provide(self, number: int) -> None:
        """Have an object made; what it needs itself is found missing then, and made first."""
        make = self._placed[number].make
        self.ask(Lane.MAKE, child.Question(make, (), {}, make=number))

    def _forgotten(self) -> tuple[int, ...]:
        gone = []
        with contextlib.suppress(IndexError):
            while True:
                gone.append(self._gone.popleft())
        return tuple(gone)

    def _living(self) -> _Child:
        with self._starting:
            if self._is_closed:
                raise UnavailableError("the service is closing", cure="try again in a moment")
            if self._child is None:
                self._child = _Child(self.threads_for(1), self._modules)
                self.n_starts += 1
            return self._child

    def _lost(self, lost: _Child, error: Exception, *, is_last: bool) -> None:
        """Another process shall take the place of *lost*, which ended while it was asked."""
        with self._starting:
            if self._child is lost:
                self._child = None
                how = lost.end()
                if not self._is_closed:
                    log.error("the process of the models ended (%s); another is started", how)
        if is_last and not self._is_closed:
            raise UnavailableError(
                "the process of the models ended twice over this",
                cure="try again in a moment; where memory is short, set computing.process = 'off'",
            ) from error


class _Child:
    """One process, and the lines to it."""

    def __init__(self, n_threads: int, modules: Sequence[str]) -> None:
        pairs = [socket.socketpair() for _ in range(len(Lane) + 1)]
        theirs = [end.fileno() for _, end in pairs]
        lanes = [f"{theirs[lane]}:{LOWER_BY.get(lane, 0)}" for lane in Lane]
        words = [sys.executable, "-P", "-c", START, json.dumps(sys.path)]
        words += [*lanes, str(theirs[-1]), ",".join(modules)]
        # A session of its own: Ctrl-C in a terminal is for this process, which ends it in time.
        self._process = subprocess.Popen(
            words,
            env=_environment(n_threads),
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True,
        )
        for _, end in pairs:
            end.close()
        lines = [Connection(ours.detach()) for ours, _ in pairs]
        self._lanes, self._leash = lines[:-1], lines[-1]
        self._turns = [threading.Lock() for _ in Lane]

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def ask(self, lane: Lane, question: child.Question) -> child.Reply:
        """The reply; EOFError or OSError where the process ends before it."""
        with self._turns[lane]:
            line = self._lanes[lane]
            line.send(question)
            reply: child.Reply = line.recv()
        return reply

    def end(self) -> str:
        """Let the process end, by force where it does not; how it ended."""
        self._leash.close()
        try:
            code = self._process.wait(WIND_UP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for line, turn in zip(self._lanes, self._turns, strict=True):
            with turn:  # whoever still listens hears the end of the line
                line.close()
        return f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"code {code}"


def open_process(
    wanted: Literal["auto", "on", "off"], *, n_threads: int = 0, modules: Sequence[str] = ()
) -> Process | None:
    """A process for models where one is *wanted*; ``auto``: where there are two processors.

    Args:
        wanted: as ``computing.process``.
        n_threads: of products; 0: as many as there are processors. `OMP_NUM_THREADS` may make
            them fewer.
        modules: what it imports at its start.
    """
    n_processors = count_processors()
    is_possible = os.name == "posix"
    if wanted == "off" or not is_possible or (wanted == "auto" and n_processors < 2):
        return None
    said = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(said) if said.isdecimal() and int(said) else n_processors
    return Process(n_threads or min(limit, n_processors), modules=modules)


def count_processors() -> int:
    """Those that this process may use."""
    has_mask = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_mask else os.cpu_count() or 1


def _environment(n_threads: int) -> Mapping[str, str]:
    """That of this process, with so many threads for products, which sleep while they wait."""
    threads = {name: str(n_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    quiet = {"OMP_WAIT_POLICY": "PASSIVE"}
    if n_threads == 1:
        quiet["TOKENIZERS_PARALLELISM"] = "false"
    return {**os.environ, **quiet, **threads}


def _has_descriptor(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
