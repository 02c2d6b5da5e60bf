"""A small shop's log, a tiny backbone, and the command as a person runs it: in its own process."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.testing import write_tiny_backbone

COMMAND = [sys.executable, "-c", "from tailorbird.cli import main; main()"]
PHRASES = {
    "refund": ("refund order {} please", "我要退款，货是{}"),
    "shipping": ("where is my parcel {}", "我的包裹{}还没到"),
    "change": ("change the size of {} now", "想改{}尺码"),
}
REPLIES = {
    "refund": ("The money is back within 5 days.", "退款将在 5 天内到账。"),
    "shipping": ("Your parcel is on its way.", "您的包裹正在路上。"),
    "change": ("The size was changed.", "尺码已经改好。"),
}
WITH_PERSONAL_DATA = (
    ("where is my parcel? mail li.lei@example.com about it", "shipping"),
    ("我要退款，请打我手机13800138000", "refund"),
)
BROKEN = ('{"intent": "refund", "messages": [', '{"intent": "refund", "messages": []}', "[1, 2]")

Start = Callable[..., "subprocess.Popen[str]"]


def conversations() -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for _ in range(15):
        for intent, phrases in PHRASES.items():
            for phrase, reply in zip(phrases, REPLIES[intent], strict=True):
                thing = "".join(draw.choices(string.ascii_lowercase, k=6))
                yield conversation(phrase.format(thing), intent, reply)
    for text, intent in WITH_PERSONAL_DATA:
        yield conversation(text, intent, REPLIES[intent][0])


def conversation(text: str, intent: str, reply: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]
    return {"intent": intent, "messages": messages}


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """92 good rows of three intents in two languages, and three broken ones."""
    path = tmp_path_factory.mktemp("logs") / "shop.jsonl"
    rows = [json.dumps(row, ensure_ascii=False) for row in conversations()]
    path.write_text("\n".join([*rows[:10], *BROKEN, *rows[10:]]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``tailorbird …`` in a process of one thread that ends with the test."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TAILORBIRD_")}
    started: list[subprocess.Popen[str]] = []

    def start(*words: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            env={**own, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something to happen, three minutes at most."""

    def wait(condition: Callable[[], bool], timeout_s: float = 180.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "it did not happen in time"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """This process adds numbers up in the same order as one that `start` started."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
