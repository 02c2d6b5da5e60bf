"""``/v1/knowledge``: agents look, admins change, and nothing that is sent breaks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import select

from tailorbird.assistants.service_desk.http import knowledge_routes as knowledge_routes_module
from tailorbird.assistants.service_desk.http.knowledge_routes import knowledge_routes
from tailorbird.config import ServingSettings
from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.documents import Limits
from tailorbird.serving.access import Person
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow, Role
from tailorbird.testing.encoder import WordEncoder

ClientOf = Callable[[Role], TestClient]
DOCUMENTS = "/v1/knowledge/documents"
RETURNS = b"# Returns\n\nWithin 7 days.\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def client_of(workspace: Workspace) -> ClientOf:
    """A client that is of a role, as the header that a test sends says."""
    app = FastAPI()
    refuse_in_sentences(app)
    base = KnowledgeBase(workspace, WordEncoder(), limits=Limits(max_bytes=100_000))
    app.include_router(knowledge_routes(base))

    @app.middleware("http")
    async def who(request: Request, go_on: Any) -> Any:
        role: Any = request.headers["x-role"]
        request.state.person = Person("ada", role)
        return await go_on(request)

    def client(role: Role) -> TestClient:
        return TestClient(app, headers={"x-role": role}, raise_server_exceptions=False)

    return client


@pytest.fixture
def admin(client_of: ClientOf) -> TestClient:
    return client_of("admin")


def actions(workspace: Workspace) -> list[tuple[str, str, str]]:
    with workspace.sessions() as session:
        rows = session.scalars(select(AdminActionRow).order_by(AdminActionRow.id))
        return [(row.who, row.action, row.target) for row in rows]


def test_a_document_is_sent_listed_found_and_removed(
    admin: TestClient, workspace: Workspace
) -> None:
    sent = admin.put(f"{DOCUMENTS}/en/returns.md", content=RETURNS)
    assert sent.status_code == 200, sent.text
    assert sent.json() == {
        "name": "en/returns.md",
        "status": "added",
        "kind": "markdown",
        "n_chunks": 1,
        "n_embedded": 1,
    }
    (row,) = admin.get(DOCUMENTS).json()["documents"]
    assert (row["name"], row["n_chunks"], row["n_bytes"]) == ("en/returns.md", 1, len(RETURNS))
    found = admin.post("/v1/knowledge/search", json={"question": "within days", "k": 2}).json()
    (passage,) = found["passages"]
    assert (passage["document"], passage["heading"]) == ("en/returns.md", "Returns")
    gone = admin.delete(f"{DOCUMENTS}/en/returns.md")
    assert (gone.status_code, gone.json()) == (200, {"removed": "en/returns.md"})
    assert admin.get(DOCUMENTS).json() == {"documents": []}
    assert actions(workspace) == [
        ("ada", "add document", "en/returns.md"),
        ("ada", "remove document", "en/returns.md"),
    ]


def test_names_may_be_chinese(admin: TestClient) -> None:
    assert admin.put(f"{DOCUMENTS}/退货.md", content=RETURNS).json()["name"] == "退货.md"
    assert admin.delete(f"{DOCUMENTS}/%E9%80%80%E8%B4%A7.md").status_code == 200


def test_agents_look_and_change_nothing(client_of: ClientOf, workspace: Workspace) -> None:
    agent = client_of("agent")
    assert agent.get(DOCUMENTS).status_code == 200
    assert agent.post("/v1/knowledge/search", json={"question": "x"}).status_code == 200
    for refused in (
        agent.put(f"{DOCUMENTS}/a.md", content=RETURNS),
        agent.delete(f"{DOCUMENTS}/a.md"),
        client_of("visitor").post("/v1/knowledge/search", json={"question": "x"}),
        client_of("visitor").get(DOCUMENTS),
    ):
        assert refused.status_code == 403, refused.text
        assert "this is for" in refused.json()["error"]["message"]
    assert actions(workspace) == []


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("a.md", b"", 422, "is empty"),
        ("a.exe", b"x", 422, "ends in '.exe', which says nothing about what it is"),
        ("a.txt", b"\0\1\2", 422, "is no text in any encoding that is known here"),
        ("a.txt", b"x" * 100_001, 413, "is larger than 100,000 bytes"),
        ("a" * 400 + ".md", b"x", 422, "String should have at most 300 characters"),
    ],
)
def test_what_is_no_document_is_refused(
    admin: TestClient, workspace: Workspace, name: str, content: bytes, status: int, message: str
) -> None:
    refused = admin.put(f"{DOCUMENTS}/{name}", content=content)
    assert (refused.status_code, refused.json()["error"]["message"]) == (status, message)
    assert admin.get(DOCUMENTS).json() == {"documents": []}
    assert actions(workspace) == []


def test_the_guard_lets_whole_documents_through_and_no_more(workspace: Workspace) -> None:
    app = FastAPI()
    refuse_in_sentences(app)
    app.include_router(knowledge_routes(KnowledgeBase(workspace, WordEncoder())))
    app.add_middleware(Guard, settings=ServingSettings(max_body_bytes=1000), policies={})
    with TestClient(app, raise_server_exceptions=False) as client:
        question = {"question": "x" * 2000}
        assert client.post("/v1/knowledge/search", json=question).status_code == 413
        table = b"question,answer\nHow long?," + b"Long. " * 500
        assert client.put(f"{DOCUMENTS}/faq.csv", content=table).status_code == 200
        refused = client.put(f"{DOCUMENTS}/faq.csv", content=bytes(20_000_001))
        assert refused.json()["error"]["message"] == "is larger than 20,000,000 bytes"


def test_a_body_that_does_not_say_its_size_is_counted(admin: TestClient) -> None:
    refused = admin.put(f"{DOCUMENTS}/a.txt", content=iter([b"word " * 10_000] * 30))
    assert refused.status_code == 413


def test_what_is_not_there_cannot_be_removed(admin: TestClient) -> None:
    refused = admin.delete(f"{DOCUMENTS}/nowhere.md")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == "there is no document 'nowhere.md'"


@pytest.mark.parametrize(
    "asked", [{}, {"question": ""}, {"question": "x", "k": 0}, {"question": "x", "n": 1}]
)
def test_a_search_that_asks_nothing_is_refused(admin: TestClient, asked: dict[str, Any]) -> None:
    assert admin.post("/v1/knowledge/search", json=asked).status_code == 422


def test_others_are_answered_while_a_document_is_read(workspace: Workspace) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(WordEncoder):
        def embed(self, texts: Any, *, is_query: bool) -> Any:
            if not is_query:
                begun.set()
                assert may_end.wait(30)
            return super().embed(texts, is_query=is_query)

    app = FastAPI()
    app.include_router(knowledge_routes(KnowledgeBase(workspace, Slow())))
    with TestClient(app) as client:
        sending = threading.Thread(
            target=client.put, args=(f"{DOCUMENTS}/a.csv",), kwargs={"content": b"a?,b\n"}
        )
        sending.start()
        assert begun.wait(30)
        assert client.get(DOCUMENTS).json() == {"documents": []}
        may_end.set()
        sending.join()
        assert len(client.get(DOCUMENTS).json()["documents"]) == 1


def test_a_document_may_be_read_aside_and_looked_after(admin: TestClient) -> None:
    sent = admin.put(f"{DOCUMENTS}/a.md", content=RETURNS, headers={"prefer": "respond-async"})
    assert sent.status_code == 202
    assert sent.headers["location"] == f"/v1/knowledge/uploads/{sent.json()['id']}"
    end_s = time.monotonic() + 20
    while (found := admin.get(sent.headers["location"]).json())["state"] != "done":
        assert time.monotonic() < end_s, found
        time.sleep(0.01)
    assert (found["status"], found["n_chunks"], found["who"]) == ("added", 1, "ada")
    assert admin.get("/v1/knowledge/uploads").json() == {"uploads": [found]}
    assert admin.delete(sent.headers["location"]).status_code == 409
    assert admin.get("/v1/knowledge/uploads/nowhere").status_code == 404


def test_what_takes_long_is_read_on_aside_and_may_be_cancelled(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_routes_module, "WAIT_S", 0.0)
    admin = client_of("admin")
    sent = [admin.put(f"{DOCUMENTS}/{n}.md", content=RETURNS) for n in range(4)]
    assert {one.status_code for one in sent} == {202}
    ended = admin.delete(sent[-1].headers["location"])
    assert ended.status_code in (200, 409)  # it may have been done already
    assert client_of("agent").delete(sent[0].headers["location"]).status_code == 403
    assert len(client_of("agent").get("/v1/knowledge/uploads").json()["uploads"]) == 4
