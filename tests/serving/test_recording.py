"""Recording: everything answered is kept once, masked, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tailorbird.serving import Answer
from tailorbird.serving.recording import Recorder, Served
from tailorbird.testing import KeywordPredictor

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def served(*texts: str) -> Served:
    predictions = tuple(KeywordPredictor().predict(texts))
    return Served(texts, Answer("keywords", predictions), "u1", NOW, 1.5)


def test_everything_is_written_once_and_in_order() -> None:
    written: list[Served] = []
    recorder = Recorder(written.extend, interval_s=0.001)
    rows = [served(f"text {n}") for n in range(500)]
    for row in rows:
        recorder.put(row)
    recorder.close()
    assert written == rows
    assert recorder.n_waiting == 0


def test_closing_writes_what_waits_at_once() -> None:
    written: list[Served] = []
    recorder = Recorder(written.extend, interval_s=3600)
    recorder.put(served("a", "b"))
    assert recorder.n_waiting == 2
    recorder.close()
    assert [row.texts for row in written] == [("a", "b")]


def test_putting_does_not_wait_for_a_slow_disk() -> None:
    disk = threading.Event()
    n_written = 0

    def write(batch: Sequence[Served]) -> None:
        nonlocal n_written
        disk.wait()
        n_written += len(batch)

    recorder = Recorder(write, interval_s=0.001)
    for _ in range(1000):
        recorder.put(served("a"))
    assert n_written == 0
    disk.set()
    recorder.close()
    assert n_written == 1000


def test_what_could_not_be_written_is_written_later(caplog: pytest.LogCaptureFixture) -> None:
    written: list[Served] = []
    failed = threading.Event()

    def write(batch: Sequence[Served]) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("no space left on device")
        written.extend(batch)

    recorder = Recorder(write, interval_s=0.001)
    recorder.put(served("a"))
    assert failed.wait(10)
    recorder.put(served("b"))
    recorder.close()
    assert [row.texts for row in written] == [("a",), ("b",)]
    assert "1 served requests could not be recorded, will try again" in caplog.text


def test_the_oldest_are_given_up_when_nothing_can_be_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    written: list[Served] = []
    recorder = Recorder(written.extend, interval_s=3600, max_waiting=3)
    for text in "abcde":
        recorder.put(served(text))
    recorder.close()
    assert [row.texts for row in written] == [("c",), ("d",), ("e",)]
    assert caplog.text.count("1 served texts could not be recorded") == 2
