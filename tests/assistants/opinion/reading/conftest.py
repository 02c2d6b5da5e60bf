"""A workspace with posts, and readers of it that need no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailorbird.assistants.opinion.reading.reader import Reading
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import PostRow

MORNING = datetime(2026, 5, 4, 8, tzinfo=UTC)


class WordReader:
    """Says what single words say; far from all topics is a text without a topic."""

    def __init__(self, name: str = "words") -> None:
        self.id = name
        self.asked: list[str] = []
        self.topics = {"wine": "drinks", "car": "traffic"}
        self.moods = {"good": "positive", "bad": "negative"}

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Topics and sentiment by words."""
        self.asked += texts
        return [
            Reading(
                found := {topic: 0.9 for word, topic in self.topics.items() if word in text},
                *self._mood(text),
                0.5 if found else 1.5,
            )
            for text in texts
        ]

    def read_about(
        self, texts: Sequence[str], spans: Sequence[tuple[int, int]]
    ) -> list[tuple[str, dict[str, float]]]:
        """Of what it is given, whatever is marked."""
        return [self._mood(text) for text in texts]

    def _mood(self, text: str) -> tuple[str, dict[str, float]]:
        found = next((mood for word, mood in self.moods.items() if word in text), "neutral")
        rest = dict.fromkeys(("negative", "neutral", "positive"), 0.1)
        return found, rest | {found: 0.8}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def posted(workspace: Workspace) -> Callable[..., list[str]]:
    def post(*texts: str, **facts: Any) -> list[str]:
        """Put posts into the table, an hour apart; their ids."""
        rows = [
            PostRow(
                key=f"{facts.get('title', '')}{text}",
                source="s",
                time=MORNING + timedelta(hours=k),
                taken=MORNING + timedelta(hours=k),
                text=text,
                **facts,
            )
            for k, text in enumerate(texts)
        ]
        with workspace.writing() as session:
            session.add_all(rows)
        return [row.id for row in rows]

    return post


@pytest.fixture
def post_of(workspace: Workspace) -> Callable[[str], PostRow]:
    def look(post: str) -> PostRow:
        with workspace.sessions() as session:
            return session.get_one(PostRow, post)

    return look


@pytest.fixture
def reader() -> WordReader:
    return WordReader()
