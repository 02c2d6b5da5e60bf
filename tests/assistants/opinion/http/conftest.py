"""Opinion monitoring over HTTP, on a workspace with a few posts, judged by a fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tailorbird.assistants.opinion import OpenOpinion, open_opinion
from tailorbird.serving.access import Person
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, MentionRow, PostRow, PostTopicRow

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
Write = Callable[..., str]


@pytest.fixture
def write(workspace: Workspace) -> Write:
    """Puts a judged post into the tables; its id."""

    def put(
        text: str,
        *,
        hours: float = 0.0,
        sentiment: str = "neutral",
        topics: Sequence[str] = (),
        entities: dict[str, str] | None = None,
        **columns: Any,
    ) -> str:
        row = PostRow(
            key=f"{text}{hours}"[:64],
            source=columns.pop("source", "forum"),
            time=NOON + timedelta(hours=hours),
            text=text,
            model="m1" if sentiment else "",
            sentiment=sentiment,
            topics=dict.fromkeys(topics, 0.9),
            **columns,
        )
        with workspace.writing() as session:
            session.add(row)
            session.flush()
            session.add_all(PostTopicRow(post_id=row.id, topic=topic) for topic in topics)
            session.add_all(
                MentionRow(post_id=row.id, entity=name, kind="company", sentiment=kind)
                for name, kind in (entities or {}).items()
            )
        return row.id

    return put


@pytest.fixture
def alert(workspace: Workspace, write: Write) -> AlertRow:
    """An alert that goes on, with one text that explains it."""
    post = write("The kettle burns", sentiment="negative", topics=("safety",))
    row = AlertRow(
        topic="safety",
        since=NOON - timedelta(hours=3),
        until=NOON + timedelta(hours=1),
        level="warning",
        story={
            "observed": 9,
            "expected": 1.5,
            "ratio": 6.0,
            "posts": 12,
            "statistic": 9.1,
            "threshold": 6.6,
            "window_s": 3600,
            "end": "",
            "texts": [{"id": post, "title": "The kettle burns", "url": "", "time": "x"}],
            "words": ["burns", "kettle"],
        },
    )
    row.group = row.id
    with workspace.writing() as session:
        session.add(row)
    return row


@pytest.fixture
def opened(workspace: Workspace) -> OpenOpinion:
    return open_opinion(workspace)


class PersonOf:
    """Stands where the guard stands: the header ``x-person: NAME ROLE`` says who asks."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"x-person":
                who, role = value.decode().split()
                scope.setdefault("state", {})["person"] = Person(who, role)
        await self.app(scope, receive, send)


def app_of(opened: OpenOpinion) -> FastAPI:
    app = FastAPI()
    refuse_in_sentences(app)
    for router in opened.routers():
        app.include_router(router)
    return app


@pytest.fixture
def app(opened: OpenOpinion) -> FastAPI:
    return app_of(opened)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with ExitStack() as stack:
        made = TestClient(PersonOf(app), raise_server_exceptions=False)  # type: ignore[arg-type]
        yield stack.enter_context(made)


@pytest.fixture
def as_() -> Callable[..., dict[str, str]]:
    """Headers of a person."""
    return lambda name, role="agent": {"x-person": f"{name} {role}"}
