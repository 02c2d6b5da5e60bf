"""What a process of `tailorbird.apart` does: make objects, and ask them what the other side asks.

It is given its ends of some socket pairs. Each lane has a thread, which answers one question after
another. The last pair says nothing: it ends when the process at the other side does, however that
happens, and then this one ends as well. Nobody but the process that started this one holds the
other ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

LOWER_BY = 10
"""How much a lane that gives way does so, in steps of `nice`."""

log = logging.getLogger(__name__)


class Question(NamedTuple):
    """What goes to the process."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    make: int | None = None
    """The number under which the result is kept here; None: it is sent back."""
    gone: tuple[int, ...] = ()
    """Objects that nobody needs any more."""


class Reply(NamedTuple):
    """What comes back."""

    status: Literal["done", "failed", "missing"]
    value: Any
    """The result, the exception, or the number of the object that is not here."""


class MissingError(Exception):
    """An object that is named was never made here."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


_objects: dict[int, Any] = {}


def found(number: int) -> Any:
    """The object of that number; what is pickled of a `Placed` calls this."""
    try:
        return _objects[number]
    except KeyError:
        raise MissingError(number) from None


def answer(question: Question) -> Reply:
    """What comes of a question."""
    for number in question.gone:
        _objects.pop(number, None)
    if question.make in _objects:  # two lanes missed it at once
        return Reply("done", None)
    try:
        result = question.function(*question.arguments, **question.named)
    except Exception as error:
        return Reply("failed", error)
    if question.make is None:
        return Reply("done", result)
    _objects[question.make] = result
    return Reply("done", None)


def serve(line: Connection, lower_by: int = 0) -> None:
    """Answer what comes through *line* until it ends."""
    if lower_by and sys.platform == "linux":  # where threads have priorities of their own
        with contextlib.suppress(OSError):
            own = (os.PRIO_PROCESS, threading.get_native_id())
            os.setpriority(*own, os.getpriority(*own) + lower_by)  # beyond 19 it is 19
    with contextlib.suppress(EOFError, OSError):
        while True:
            try:
                reply = answer(line.recv())
            except (EOFError, OSError):
                raise
            except MissingError as error:  # found while the arguments were read
                reply = Reply("missing", error.number)
            except Exception as error:  # what is asked for is not known here, or cannot be made
                reply = Reply("failed", error)
            _send(line, reply)


def _send(line: Connection, reply: Reply) -> None:
    try:
        line.send(reply)
    except OSError:
        raise
    except Exception:  # it is pickled before the first byte of it is sent
        log.exception("what came out cannot be sent")
        line.send(Reply("failed", RuntimeError(f"{type(reply.value).__name__}: {reply.value}")))


def main(arguments: Sequence[str]) -> None:
    """``FD:NICE … FD MODULE,…``: lanes, the pair that says nothing, and what to import before.

    Signals of a terminal or a supervisor go to the process at the other side as well, which still
    needs this one to finish what is in flight.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    *lanes, leash, modules = arguments
    threading.Thread(target=_begin, args=(lanes, modules), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        Connection(int(leash)).recv_bytes()
    os._exit(0)  # at once: nobody waits for what the lanes are doing


def _begin(lanes: Sequence[str], modules: str) -> None:
    """Import what will be needed, then listen; collections of garbage pass over it from then on.

    In this order: two threads that import modules which need each other find them half made.
    """
    for name in filter(None, modules.split(",")):
        try:
            importlib.import_module(name)
        except Exception:
            log.exception("%s cannot be imported", name)
    gc.collect()
    gc.freeze()
    for lane in lanes:
        descriptor, _, lower_by = lane.partition(":")
        given = (Connection(int(descriptor)), int(lower_by))
        threading.Thread(target=serve, args=given, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
