"""The words behind a decision: over HTTP, and what was read for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.assistants.conftest import Assistant, app_of
from tests.assistants.desk_fakes import TEMPLATES, FakeService

from tailorbird.assistants.service_desk.answering.deciding import Attendant, Parts
from tailorbird.assistants.service_desk.answering.phrases import ASK
from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.errors import ConfigError
from tailorbird.serving.explainer import Reasons
from tailorbird.store import Workspace

As = Callable[..., dict[str, str]]


@dataclass
class FakeExplainer:
    """Gives each word the weight of its length; knows two intents."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""

    async def explain(self, text: str, /, *, intent: str = "") -> Reasons:
        self.asked.append((text, intent))
        if intent not in ("", "refund", "shipping"):
            raise ConfigError(f"{intent!r} is no intent", where="intent")
        if self.problem:
            return Reasons("b1", None, problem="extra", sentence=self.problem)
        words = [
            SimpleNamespace(text=word, start=text.index(word), end=text.index(word) + len(word))
            for word in text.split()
        ]
        for word in words:
            word.weight = float(len(word.text))
        found: Any = SimpleNamespace(
            label=intent or "refund", probability=0.9, words=words, rest=0.5, gap=0.0
        )
        near: Any = SimpleNamespace(text="my money back", label="refund", similarity=0.8)
        return Reasons("b1", found, (near,))


@pytest.fixture
def explainer() -> FakeExplainer:
    return FakeExplainer()


@pytest.fixture
def client(workspace: Workspace, explainer: FakeExplainer) -> Iterator[TestClient]:
    desk = ServiceDesk(workspace, Assistant(), explainer=explainer)
    with TestClient(app_of(desk), raise_server_exceptions=False) as made:
        yield made


def decided(client: TestClient, text: str = "my refund, mail ada@example.com") -> str:
    opened = client.post("/v1/conversations", json={}).json()["id"]
    said = client.post(f"/v1/conversations/{opened}/turns", json={"text": text}).json()
    return str(said["decision"]["id"] if "decision" in said else said["decision_id"])


def test_an_agent_gets_the_words_of_a_decision(
    client: TestClient, explainer: FakeExplainer, as_: As
) -> None:
    found = decided(client)
    response = client.get(f"/v1/decisions/{found}/attribution", headers=as_("ada"))
    assert response.status_code == 200, response.text
    said = response.json()
    assert explainer.asked == [("my refund, mail [EMAIL]", "refund")]
    assert said["text"] == "my refund, mail [EMAIL]"
    assert [word["text"] for word in said["words"]] == ["my", "refund,", "mail", "[EMAIL]"]
    assert said["words"][1] == {"text": "refund,", "start": 3, "end": 10, "weight": 7.0}
    assert said["nearest"] == [{"text": "my money back", "intent": "refund", "similarity": 0.8}]
    assert (said["is_same_bundle"], said["is_with_earlier"], said["problem"]) == (True, False, "")


def test_visitors_are_told_no_reasons(client: TestClient, as_: As) -> None:
    found = decided(client)
    path = f"/v1/decisions/{found}/attribution"
    assert client.get(path, headers=as_("vi", "visitor")).status_code == 403


def test_what_is_not_there_is_a_404_and_another_intent_may_be_named(
    client: TestClient, explainer: FakeExplainer, as_: As
) -> None:
    assert client.get("/v1/decisions/nothing/attribution", headers=as_("ada")).status_code == 404
    path = f"/v1/decisions/{decided(client)}/attribution"
    other = client.get(path, params={"intent": "shipping"}, headers=as_("ada")).json()
    assert other["intent"] == "shipping"
    unknown = client.get(path, params={"intent": "boats"}, headers=as_("ada"))
    assert unknown.status_code == 404
    assert "'boats' is no intent" in unknown.json()["error"]["message"]


def test_what_is_missing_is_said_in_the_answer(
    client: TestClient, explainer: FakeExplainer, as_: As
) -> None:
    explainer.problem = "package 'captum' is not installed; pip install 'tailorbird[explain]'"
    path = f"/v1/decisions/{decided(client)}/attribution"
    said = client.get(path, headers=as_("ada")).json()
    assert said["words"] == []
    assert said["problem"] == explainer.problem


def test_a_decision_for_an_intent_that_is_no_more_is_explained_by_the_likeliest(
    client: TestClient, explainer: FakeExplainer, as_: As
) -> None:
    path = f"/v1/decisions/{decided(client, 'do you sell boats')}/attribution"
    said = client.get(path, headers=as_("ada")).json()  # it was taken for "?"
    assert said["intent"] == "refund"
    assert explainer.asked[-1] == ("do you sell boats", "")


def test_a_service_without_an_explainer_says_so(workspace: Workspace, as_: As) -> None:
    with TestClient(app_of(ServiceDesk(workspace, Assistant()))) as client:
        response = client.get(f"/v1/decisions/{decided(client)}/attribution", headers=as_("ada"))
    assert response.status_code == 503
    assert "gives no reasons" in response.json()["error"]["message"]


def test_what_was_read_with_an_earlier_message_is_explained_together(
    workspace: Workspace, explainer: FakeExplainer, as_: As
) -> None:
    attendant = Attendant(FakeService(), parts=Parts(templates=lambda: TEMPLATES))
    desk = ServiceDesk(workspace, attendant.respond, explainer=explainer)
    with TestClient(app_of(desk)) as client:
        opened = client.post("/v1/conversations", json={}).json()["id"]
        turns = f"/v1/conversations/{opened}/turns"
        ids = []
        for text in (
            "I want my money back for the shoes of last week",
            "and how long does that take?",
            "where is my parcel with the shoes of last week",
            "A12345",
        ):
            said = client.post(turns, json={"text": text}).json()
            ids.append(str(said["decision"]["id"] if "decision" in said else said["decision_id"]))
        found = [
            client.get(f"/v1/decisions/{one}/attribution", headers=as_("ada")).json() for one in ids
        ]
    assert [one["is_with_earlier"] for one in found] == [False, True, False, True]
    assert found[1]["text"] == (
        "I want my money back for the shoes of last week and how long does that take?"
    )
    assert ASK["order"]["en"]  # which is what the third was answered with
    assert found[3]["text"] == "where is my parcel with the shoes of last week"
    assert all(one["is_whole"] for one in found)
