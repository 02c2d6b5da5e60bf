"""Objects in a process of their own: asked, made again after a kill, and gone with their owner."""

from __future__ import annotations

import gc
import logging
import operator
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tailorbird.apart import Lane, Process, child, open_process
from tailorbird.errors import UnavailableError

OWNER = """
import sys, time
from functools import partial
from tailorbird.apart import Lane, Process
process = Process(1)
assert process.place(list).ask(Lane.ANSWER, len) == 0
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    opened = Process(1)
    yield opened
    opened.close()


def named(place: str) -> Callable[[], Any]:
    """Makes what stands in a module of the other process the object that is asked."""
    return partial(pkgutil.resolve_name, place)


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


def test_an_object_keeps_what_it_is_told_in_another_process(process: Process) -> None:
    kept = process.place(list)
    kept.ask(Lane.ANSWER, list.append, "parcel")
    assert kept.ask(Lane.SEARCH, list.copy) == ["parcel"]
    there = process.place(named("os:getpid")).ask(Lane.ANSWER, operator.call)
    assert there == process.pid
    assert there != os.getpid()


def test_in_arguments_it_stands_for_the_object_itself(process: Process) -> None:
    one, two = process.place(partial(list, "ab")), process.place(partial(list, "cd"))
    one.ask(Lane.ANSWER, list.extend, two)  # type: ignore[arg-type]
    assert one.ask(Lane.ANSWER, list.copy) == ["a", "b", "c", "d"]


def test_an_object_may_be_made_of_another(process: Process) -> None:
    letters = process.place(partial(list, "ba"))
    ordered = process.place(partial(sorted, letters))  # type: ignore[arg-type]
    assert ordered.ask(Lane.ANSWER, list.copy) == ["a", "b"]


def test_what_is_raised_there_is_raised_here(process: Process) -> None:
    with pytest.raises(ValueError, match="is not in list"):
        process.place(list).ask(Lane.ANSWER, list.index, 7)
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        process.place(partial(__import__, "nowhere")).ask(Lane.ANSWER, repr)
    assert process.n_starts == 1


class Unreadable:
    """Cannot be made of what is sent of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("seven",)


def test_what_cannot_be_read_there_is_said_and_the_process_goes_on(process: Process) -> None:
    with pytest.raises(ValueError, match="seven"):
        process.place(list).ask(Lane.ANSWER, list.append, Unreadable())
    assert process.place(list).ask(Lane.ANSWER, len) == 0
    assert process.n_starts == 1


def test_what_cannot_be_sent_back_is_said(process: Process) -> None:
    locks = process.place(named("threading:Lock"))
    with pytest.raises(RuntimeError, match=r"lock: .*lock"):
        locks.ask(Lane.ANSWER, operator.call)
    assert process.place(list).ask(Lane.ANSWER, len) == 0


def test_lanes_do_not_wait_for_each_other(process: Process) -> None:
    held = process.place(threading.Event)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(held.ask, Lane.ASIDE, threading.Event.wait, 20)
        held.ask(Lane.ANSWER, threading.Event.set)
        assert slow.result(20) is True


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own there")
def test_what_can_wait_gives_way_to_what_is_waited_for(process: Process) -> None:
    priority = process.place(named("os:getpriority"))
    asked = (os.PRIO_PROCESS, 0)
    usual = priority.ask(Lane.ANSWER, operator.call, *asked)
    assert priority.ask(Lane.ASIDE, operator.call, *asked) == min(19, usual + child.LOWER_BY)


def test_what_nobody_has_any_more_is_let_go_of_there(process: Process) -> None:
    objects = process.place(named("tailorbird.apart.child:_objects"))
    gone = process.place(list)
    gone.ask(Lane.ANSWER, len)
    number = gone.number
    assert objects.ask(Lane.ANSWER, operator.contains, number) is True
    del gone
    gc.collect()
    assert objects.ask(Lane.ANSWER, operator.contains, number) is False


def test_a_question_outlives_its_process_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(1)
    word = process.place(partial(str, "parcel"))
    sleep = process.place(named("time:sleep"))
    assert word.ask(Lane.ANSWER, str.upper) == "PARCEL"
    first = process.pid
    with caplog.at_level(logging.ERROR), ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(sleep.ask, Lane.ANSWER, operator.call, 0.5)
        until(lambda: process._child._turns[0].locked())  # type: ignore[union-attr]
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert waiting.result(20) is None
        assert word.ask(Lane.ANSWER, str.upper) == "PARCEL"  # made again
    assert process.n_starts == 2
    assert process.pid != first
    assert [record.getMessage() for record in caplog.records] == [
        "the process of the models ended (signal 9, Killed); another is started"
    ]
    process.close()


def test_what_ends_it_twice_is_refused_and_others_are_answered() -> None:
    process = Process(1)
    end = process.place(named("os:_exit"))
    with pytest.raises(UnavailableError, match="ended twice over this"):
        end.ask(Lane.ANSWER, operator.call, 3)
    assert process.place(list).ask(Lane.ANSWER, len) == 0
    assert process.n_starts == 3
    process.close()


def test_a_closed_one_has_ended_and_refuses() -> None:
    process = Process(1)
    kept = process.place(list)
    kept.ask(Lane.ANSWER, len)
    pid = process.pid
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)  # Ctrl-C in a terminal does not reach it
    os.kill(pid, signal.SIGTERM)  # nor does it end before its owner
    assert kept.ask(Lane.ANSWER, len) == 0
    process.close()
    process.close()
    assert not is_there(pid)
    with pytest.raises(UnavailableError, match="the service is closing"):
        kept.ask(Lane.ANSWER, len)


def test_closing_while_it_computes_waits_for_nothing() -> None:
    process = Process(1)
    sleep = process.place(named("time:sleep"))
    sleep.ask(Lane.ANSWER, operator.call, 0)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(sleep.ask, Lane.ANSWER, operator.call, 60)
        until(lambda: process._child._turns[0].locked())  # type: ignore[union-attr]
        process.close()
        with pytest.raises(UnavailableError, match="the service is closing"):
            waiting.result(20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_owner_however_that_ends(number: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
    assert is_there(pid)
    owner.send_signal(number)
    owner.wait()
    until(lambda: not is_there(pid))


def test_there_is_none_where_none_is_wanted_or_one_processor_is_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert open_process("off") is None
    monkeypatch.setattr("tailorbird.apart.process.count_processors", lambda: 1)
    assert open_process("auto") is None
    forced = open_process("on")
    assert forced is not None
    assert (forced.n_threads, forced.pid) == (1, None)
    monkeypatch.setattr("tailorbird.apart.process.count_processors", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    opened = open_process("auto")
    assert opened is not None
    assert [opened.threads_for(n) for n in (1, 15, 16)] == [3, 3, 4]  # one is left for requests
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    limited = open_process("auto")
    assert limited is not None
    assert limited.threads_for(16) == 1
