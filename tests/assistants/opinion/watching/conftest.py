"""A workspace with posts that were read, and a stream of them with one surge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tailorbird.assistants.opinion.watching.posts import ReadPost
from tailorbird.store import Workspace
from tailorbird.store.tables import EntityRow, MentionRow, PostRow, PostTopicRow

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
Store = Callable[[Iterable[ReadPost]], None]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """Puts posts into the tables, as gathering and reading would."""

    def put(posts: Iterable[ReadPost]) -> None:
        with workspace.writing() as session:
            some = list(posts)
            for post in some:
                session.add(
                    PostRow(
                        id=post.id,
                        key=post.id,
                        source="test",
                        time=post.time,
                        title=post.title,
                        text=post.text,
                        copy_of=post.copy_of or None,
                        model="m1",
                        sentiment=post.sentiment,
                    )
                )
            session.flush()
            for post in some:
                for topic in post.topics:
                    session.add(PostTopicRow(post_id=post.id, topic=topic))
                for entity, sentiment in post.mentions.items():
                    if session.get(EntityRow, entity) is None:
                        session.add(EntityRow(name=entity))
                    session.add(MentionRow(post_id=post.id, entity=entity, sentiment=sentiment))

    return put


@pytest.fixture(scope="session")
def stream() -> list[ReadPost]:
    """Twenty days of two topics and a company, with a recall of milk from day 15 on."""
    rng = np.random.default_rng(5)
    posts = []
    for hour in range(20 * 24):
        by_day = 0.3 if hour % 24 < 7 else 1.3
        for topic, mean in (("food", 1.5), ("banks", 1.0)):
            posts += [
                _post(rng, hour, topic, negative=bool(rng.random() < 0.25))
                for _ in range(rng.poisson(mean * by_day))
            ]
        if 15 * 24 + 9 <= hour < 15 * 24 + 21:
            posts += [_recall(rng, hour, k) for k in range(rng.poisson(5))]
    return [
        ReadPost(
            f"p{k:05}", p.time, p.title, p.text, "", p.sentiment, p.topics, p.mentions, p.copy_of
        )
        for k, p in enumerate(posts)
    ]


def _moment(rng: np.random.Generator, hour: int) -> datetime:
    return START + timedelta(hours=hour, minutes=int(rng.integers(60)))


def _post(rng: np.random.Generator, hour: int, topic: str, *, negative: bool) -> ReadPost:
    words = rng.choice(["prices", "shares", "profit", "branch", "season", "report"], 3)
    title = f"{topic}: {' '.join(words)} {int(rng.integers(1000))}"
    sentiment = "negative" if negative else "neutral"
    mentions = {"Acme": ""} if rng.random() < 0.2 else {}
    return ReadPost("", _moment(rng, hour), title, "", "", sentiment, (topic,), mentions)


def _recall(rng: np.random.Generator, hour: int, k: int) -> ReadPost:
    towns = ["York", "Leeds", "Hull", "Bath", "Derby"]
    titles = [
        f"Acme recalls milk powder after children fall ill in {towns[k % 5]}",
        f"Parents in {towns[(k + hour) % 5]} angry about Acme milk powder",
        f"Acme milk powder: regulator opens an inquiry, says {towns[hour % 5]} office",
    ]
    title = str(rng.choice(titles))
    return ReadPost("", _moment(rng, hour), title, "", "", "negative", ("food",), {"Acme": ""})
