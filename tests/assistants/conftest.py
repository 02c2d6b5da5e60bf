"""A service desk on a workspace of its own, with an assistant that answers by keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.serving.access import Person
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace
from tailorbird.text import language_of


@dataclass(frozen=True)
class Sentence:
    text: str
    source: str = ""
    passage: str = ""


@dataclass(frozen=True)
class Decision:
    kind: str
    text: str
    sentences: tuple[Sentence, ...] = ()
    language: str = "en"
    intent: str = ""
    confidence: float = 0.0
    rule: str = ""
    bundle: str = "b1"
    adapter: str = ""
    why: dict[str, Any] = field(default_factory=dict)
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    author: str
    text: str


@dataclass
class Assistant:
    """Answers "refund", refuses the rest, hands over on "person"; remembers what it was told."""

    seen: list[tuple[list[tuple[str, str]], str | None]] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, conversation_id: str, turns: Sequence[Any], user: str | None) -> Any:
        self.seen.append(([(turn.author, turn.text) for turn in turns], user))
        if self.error is not None:
            raise self.error
        text = turns[-1].text
        language = language_of(text)
        if "person" in text or "人工" in text:
            said = "A moment please."
            why = {"wish": "a person"}
            return Decision("hand_over", said, language=language, rule="wants person", why=why)
        if "refund" in text or "退款" in text:
            answer = "The money is back within 5 days."
            return Decision(
                "knowledge",
                answer,
                (Sentence(answer, "returns.md › How long", "p1"),),
                language=language,
                intent="refund",
                confidence=0.93,
                why={"candidates": [["refund", 0.93], ["shipping", 0.04]]},
                suggestions=("We have sent it.", "It takes 5 days."),
            )
        return Decision("refusal", "I do not know.", language=language, intent="?", confidence=0.2)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "space") as opened:
        yield opened


@pytest.fixture
def assistant() -> Assistant:
    return Assistant()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def learned() -> dict[str, bytes]:
    """Documents that accepted drafts became."""
    return {}


@pytest.fixture
def service_desk(
    workspace: Workspace, assistant: Assistant, clock: Clock, learned: dict[str, bytes]
) -> Iterator[ServiceDesk]:
    made = ServiceDesk(workspace, assistant, learn=learned.__setitem__, clock=clock)
    yield made
    made.books.writer.close()


def app_of(service_desk: ServiceDesk) -> FastAPI:
    """The routes alone; the header ``x-person: NAME ROLE`` says who asks."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        async with service_desk.running(sweep_s=0.02):
            yield

    app = FastAPI(lifespan=lifespan)
    refuse_in_sentences(app)
    for router in service_desk.routers():
        app.include_router(router)
    return PersonOf(app)  # type: ignore[return-value]


class PersonOf:
    """Stands where the guard stands."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"x-person":
                who, role = value.decode().split()
                scope.setdefault("state", {})["person"] = Person(who, role)
        await self.app(scope, receive, send)


@pytest.fixture
def client(service_desk: ServiceDesk) -> Iterator[TestClient]:
    with TestClient(app_of(service_desk), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def as_() -> Callable[[str, str], dict[str, str]]:
    """Headers of a person."""
    return lambda name, role="agent": {"x-person": f"{name} {role}"}


@pytest.fixture
def opened(client: TestClient) -> Callable[..., str]:
    """Opens a conversation; its id."""

    def open_one(**wanted: Any) -> str:
        response = client.post("/v1/conversations", json=wanted)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    return open_one
