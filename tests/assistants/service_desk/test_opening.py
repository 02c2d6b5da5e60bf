"""The service desk is open once a search takes no longer than others."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from types import SimpleNamespace
from typing import Any

from fastapi import APIRouter

from tailorbird.assistants.service_desk.opening import OpenDesk


class Knowledge:
    """Remembers what was searched, and may fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.searched: list[str] = []
        self.fails = fails
        self.uploads = SimpleNamespace(start=lambda: None, close=lambda: None)

    def search(self, question: str) -> list[Any]:
        self.searched.append(question)
        if self.fails:
            raise ValueError("no encoder")
        return []


def searches_once_open(knowledge: Knowledge | None) -> list[str]:
    desk: Any = SimpleNamespace(running=contextlib.asynccontextmanager(_running))
    rules = partial(knowledge.search, "rules") if knowledge else None
    attendant: Any = SimpleNamespace(parts=SimpleNamespace(scribe=None, rules=rules))
    given: Any = knowledge
    opened = OpenDesk(desk, attendant, APIRouter(), given)

    async def look() -> list[str]:
        async with opened.running():
            return list(knowledge.searched) if knowledge else []

    return asyncio.run(look())


async def _running() -> Any:
    yield


def test_what_rules_and_searches_need_is_loaded_before_the_first_visitor_comes() -> None:
    assert searches_once_open(Knowledge()) == ["rules", "warm up"]


def test_what_fails_at_the_start_lets_the_desk_open_all_the_same() -> None:
    assert searches_once_open(Knowledge(fails=True)) == ["rules", "warm up"]


def test_without_documents_there_is_nothing_to_load() -> None:
    assert searches_once_open(None) == []
