"""What people answer is learned, once somebody has looked at it and without personal data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.conversing.pairs import training_pairs, write_training_pairs
from tailorbird.config import ReadingSettings
from tailorbird.data import read
from tailorbird.store import Workspace

from .conftest import Said
from .test_conversations import Open, say
from .test_desk import As, do

QUESTION = "where do I send it, my mail is li.lei@example.com"


@pytest.fixture
def answered(client: TestClient, opened: Open, as_: As) -> str:
    """A conversation in which an agent has answered in turn number 3."""
    conversation = opened(user="ada")
    say(client, conversation, QUESTION)
    do(client, conversation, "take", as_("carl"))
    do(client, conversation, "answer", as_("carl"), text="To our shop, ask for bo@example.com")
    do(client, conversation, "answer", as_("carl"), text="It is free")
    return conversation


def make(client: TestClient, conversation: str, headers: Any, turn: int = 3) -> Any:
    return do(client, conversation, "drafts", headers, turn=turn)


def test_one_click_makes_a_draft_without_personal_data(
    client: TestClient, answered: str, as_: As
) -> None:
    response = make(client, answered, as_("carl"))
    assert response.status_code == 201
    draft = response.json()
    assert draft["question"] == "where do I send it, my mail is [EMAIL]"
    assert draft["answer"] == "To our shop, ask for [EMAIL]\nIt is free"
    assert (draft["status"], draft["author"], draft["intent"]) == ("new", "carl", "?")
    assert make(client, answered, as_("carl")).json() == draft
    assert client.get("/v1/desk/drafts").json()["drafts"] == [draft]


def test_a_wish_for_a_person_is_not_taken_for_the_question(
    client: TestClient, opened: Open, as_: As
) -> None:
    conversation = opened(user="ada")
    for text in ("how long does a refund take", "a person"):
        say(client, conversation, text)
    do(client, conversation, "take", as_("carl"))
    turn = do(client, conversation, "answer", as_("carl"), text="5 days").json()["number"]
    draft = make(client, conversation, as_("carl"), turn=turn).json()
    assert draft["question"] == "how long does a refund take"


def test_a_wish_that_says_more_is_the_question(client: TestClient, opened: Open, as_: As) -> None:
    conversation = opened(user="ada")
    text = "my kettle leaks and nobody helps, give me a person"
    say(client, conversation, text)
    do(client, conversation, "take", as_("carl"))
    turn = do(client, conversation, "answer", as_("carl"), text="Send it back").json()["number"]
    assert make(client, conversation, as_("carl"), turn=turn).json()["question"] == text


@pytest.mark.parametrize("turn", [0, 1, 99])
def test_only_an_answer_of_an_agent_makes_a_draft(
    client: TestClient, answered: str, as_: As, turn: int
) -> None:
    response = make(client, answered, as_("carl"), turn)
    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"turn {turn} is no answer of an agent"


def test_an_accepted_draft_becomes_a_document_and_a_training_pair(
    client: TestClient,
    answered: str,
    as_: As,
    learned: dict[str, bytes],
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    draft = make(client, answered, as_("carl")).json()
    edited = client.patch(
        f"/v1/desk/drafts/{draft['id']}", json={"answer": "To our shop.", "intent": "returns"}
    ).json()
    assert (edited["answer"], edited["intent"]) == ("To our shop.", "returns")
    assert learned == {}
    accepted = client.post(f"/v1/desk/drafts/{draft['id']}/accept", headers=as_("dora")).json()
    assert (accepted["status"], accepted["reviewer"]) == ("accepted", "dora")
    assert learned == {
        f"draft-{draft['id']}.csv": b"question,answer\r\n"
        b'"where do I send it, my mail is [EMAIL]",To our shop.\r\n'
    }
    (pair,) = training_pairs(workspace)
    assert (pair.text, pair.reply, pair.label, pair.user) == (
        "where do I send it, my mail is [EMAIL]",
        "To our shop.",
        "returns",
        "ada",
    )
    path = tmp_path / "pairs.jsonl"
    assert write_training_pairs(workspace, path) == 1
    (again,) = read(path, ReadingSettings())
    assert (again.text, again.reply, again.label) == (pair.text, pair.reply, "returns")


def test_what_was_judged_is_not_judged_again(client: TestClient, answered: str, as_: As) -> None:
    draft = make(client, answered, as_("carl")).json()["id"]
    client.post(f"/v1/desk/drafts/{draft}/reject", headers=as_("dora"))
    for response in (
        client.post(f"/v1/desk/drafts/{draft}/accept"),
        client.post(f"/v1/desk/drafts/{draft}/reject"),
        client.patch(f"/v1/desk/drafts/{draft}", json={"answer": "x"}),
    ):
        assert response.status_code == 409
        message = "this draft is rejected by dora already"
        assert response.json()["error"]["message"] == message
    assert client.post("/v1/desk/drafts/nothing/accept").status_code == 404


def test_a_draft_stays_new_where_the_document_cannot_be_taken_in(
    client: TestClient, answered: str, as_: As, service_desk: ServiceDesk, workspace: Workspace
) -> None:
    def fail(name: str, content: bytes) -> None:
        raise OSError("no")

    service_desk.drafts.learn = fail
    draft = make(client, answered, as_("carl")).json()["id"]
    assert client.post(f"/v1/desk/drafts/{draft}/accept").status_code == 500
    assert client.get("/v1/desk/drafts").json()["drafts"][0]["status"] == "new"
    assert list(training_pairs(workspace)) == []


def decision_of(client: TestClient, conversation: str) -> str:
    return str(say(client, conversation, "refund").json()["decision"]["id"])


def test_a_correction_of_an_agent_is_a_training_pair(
    client: TestClient, opened: Open, as_: As, workspace: Workspace
) -> None:
    decision = decision_of(client, opened(user="ada"))
    body = {"decision": decision, "thumb": "down", "correction": "3 days", "intent": "returns"}
    response = client.post("/v1/feedback", json=body, headers=as_("carl"))
    assert response.json() == {
        "decision": decision,
        "feedback": -1.0,
        "correction": "3 days",
        "intent": "returns",
        "draft": None,
    }
    (pair,) = training_pairs(workspace)
    assert (pair.text, pair.reply, pair.label) == ("refund", "3 days", "returns")


def test_a_correction_of_a_visitor_waits_for_somebody_to_look_at_it(
    client: TestClient, as_: Callable[..., dict[str, str]], workspace: Workspace
) -> None:
    ada = as_("ada", "visitor")
    conversation = client.post("/v1/conversations", json={}, headers=ada).json()["id"]
    said = client.post(
        f"/v1/conversations/{conversation}/turns", json={"text": "refund"}, headers=ada
    )
    body = {"decision": said.json()["decision"]["id"], "correction": "I am king", "intent": "king"}
    response = client.post("/v1/feedback", json=body, headers=ada).json()
    assert (response["correction"], response["intent"]) == (None, None)
    (draft,) = client.get("/v1/desk/drafts").json()["drafts"]
    assert draft["id"] == response["draft"]
    assert (draft["question"], draft["answer"], draft["author"]) == ("refund", "I am king", "ada")
    assert list(training_pairs(workspace)) == []


def test_a_chosen_reply_is_a_good_one(client: TestClient, opened: Open) -> None:
    body = {"decision": decision_of(client, opened()), "chosen": "It takes 5 days."}
    response = client.post("/v1/feedback", json=body).json()
    assert (response["feedback"], response["correction"]) == (1.0, "It takes 5 days.")


def test_a_visitor_may_judge_an_answer_that_is_of_no_conversation(
    client: TestClient, as_: As, service_desk: ServiceDesk, assistant: Any
) -> None:
    async def chat() -> str:
        decision = await assistant("", [Said("visitor", "refund")], None)
        return await service_desk.audit.write(decision, text="refund", user="ada")

    decision = asyncio.run(chat())
    body = {"decision": decision, "thumb": "down", "correction": "3 days"}
    response = client.post("/v1/feedback", json=body, headers=as_("ada", "visitor"))
    assert (response.status_code, response.json()["feedback"]) == (200, -1.0)
    assert client.get("/v1/desk/drafts").json()["drafts"][0]["conversation_id"] is None


def test_feedback_about_nothing_is_refused(client: TestClient, opened: Open) -> None:
    assert client.post("/v1/feedback", json={"decision": "no", "thumb": "up"}).status_code == 404
    body = {"decision": decision_of(client, opened())}
    response = client.post("/v1/feedback", json=body)
    assert (response.status_code, response.json()["error"]["message"]) == (422, "says nothing")


def test_a_decision_is_told_in_sentences(client: TestClient, opened: Open) -> None:
    decision = decision_of(client, opened())
    body = client.get(f"/v1/decisions/{decision}").json()
    for sentence in (
        'Somebody asked: "refund"',
        "It was understood as refund, with a confidence of 93%.",
        "Candidates were: refund 0.93, shipping 0.04.",
        "No rule decided.",
        "The answer was put together from documents.",
        '"The money is back within 5 days." stands in returns.md › How long.',
        "Bundle b1 was live.",
        "The shared assistant answered, without an adapter of the user.",
    ):
        assert sentence in body["explanation"]
    assert client.get("/v1/decisions/nothing").status_code == 404


def test_the_command_says_why(client: TestClient, opened: Open, workspace: Workspace) -> None:
    from typer.testing import CliRunner

    from tailorbird.cli import app

    conversation = opened()
    decision = say(client, conversation, "退款要多久").json()["decision"]["id"]
    place = ["--workspace", str(workspace.path)]
    told = CliRunner().invoke(app, ["why", decision, *place])
    assert "系统理解为“refund”，置信度 93%。" in told.stdout
    assert CliRunner().invoke(app, ["why", conversation, *place]).stdout == told.stdout
    as_json = json.loads(CliRunner().invoke(app, ["why", decision, *place, "--json"]).stdout)
    assert (as_json["id"], as_json["kind"]) == (decision, "knowledge")
