"""``/v1/rules``: agents read, admins change, and nobody breaks the service with a rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from tailorbird.assistants.service_desk.http.rule_routes import rule_routes
from tailorbird.serving.access import Person
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace

RULES = "[[rule]]\nname = 'a'\nwhen = 'anger > 0.5'\nanswer.en = 'Sorry, {order}.'\n"
FACTS = "X200 | warranty | 1 year"
CHANGE = {"rules": RULES, "facts": FACTS, "note": "first"}


@pytest.fixture
def noted() -> list[Any]:
    return []


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def client(workspace: Workspace, noted: list[Any]) -> TestClient:
    """Whoever asks is what the header ``role`` says."""
    app = FastAPI()
    refuse_in_sentences(app)

    def note(person: Person, action: str, target: str, **detail: Any) -> None:
        noted.append((person.name, action, target, detail))

    @app.middleware("http")
    async def who(request: Request, call_next: Any) -> Any:
        role: Any = request.headers.get("role", "admin")
        request.state.person = Person("ada", role)
        return await call_next(request)

    app.include_router(rule_routes(workspace, note=note, intents=lambda: ("refund", "shipping")))
    return TestClient(app, raise_server_exceptions=False)


def test_rules_are_saved_read_and_listed(client: TestClient, noted: list[Any]) -> None:
    empty = client.get("/v1/rules").json()
    assert (empty["version"], empty["rules"], empty["created"]) == (0, [], None)
    saved = client.put("/v1/rules", json=CHANGE)
    assert saved.status_code == 200
    changes = ["rule 'a' is new: when anger > 0.5", "fact added: X200 | warranty | 1 year"]
    assert saved.json() == {"version": 1, "changes": changes}
    assert noted == [("ada", "change rules", "version 1", {"changes": changes, "note": "first"})]
    found = client.get("/v1/rules").json()
    assert (found["rules_toml"], found["facts"], found["author"]) == (RULES, FACTS, "ada")
    assert found["rules"][0]["answer"] == {"en": "Sorry, {order}."}
    assert found["n_facts"] == 1
    (version,) = client.get("/v1/rules/history").json()["versions"]
    assert (version["version"], version["note"]) == (1, "first")


def test_what_changed_is_told_in_both_languages(client: TestClient) -> None:
    client.put("/v1/rules", json=CHANGE)
    client.put("/v1/rules", json=CHANGE | {"facts": ""})
    told = client.get("/v1/rules/changes", params={"old": 1}).json()
    assert told == {"old": 1, "new": 2, "changes": ["fact taken away: X200 | warranty | 1 year"]}
    told = client.get("/v1/rules/changes", params={"old": 1, "new": 2, "language": "zh"}).json()
    assert told["changes"] == ["删除事实：X200 | warranty | 1 year"]
    assert client.get("/v1/rules", params={"version": 1}).json()["facts"] == FACTS


def test_saving_the_same_again_is_no_action(client: TestClient, noted: list[Any]) -> None:
    client.put("/v1/rules", json=CHANGE)
    again = client.put("/v1/rules", json=CHANGE).json()
    assert again == {"version": 1, "changes": ["nothing changed"]}
    assert len(noted) == 1


def test_a_message_is_tried_on_saved_and_on_new_rules(client: TestClient) -> None:
    client.put("/v1/rules", json=CHANGE)
    values = {"anger": 0.9, "slots": {"order": "OL1"}}
    body = {"text": "is the X200 under warranty?", "values": values}
    found = client.post("/v1/rules/test", json=body).json()
    assert (found["rule"]["name"], found["text"], found["notes"]) == ("a", "Sorry, OL1.", [])
    assert found["from_facts"] == {
        "text": "Yes. X200: warranty 1 year.",
        "facts": ["X200 | warranty | 1 year"],
    }
    new = client.post("/v1/rules/test", json=body | {"rules": "", "facts": ""}).json()
    assert (new["rule"], new["from_facts"], new["version"]) == (None, None, 1)
    assert client.get("/v1/rules").json()["version"] == 1


def test_rules_that_fail_are_noted_and_never_a_failure_of_the_service(client: TestClient) -> None:
    rules = "[[rule]]\nname = 'slow'\nwhen = 'text =~~ \"(a|aa)+$\"'\nanswer.en = 'x'\n" + RULES
    body = {"text": "a" * 1_000 + "!", "rules": rules, "values": {"hour": "noon", "slots": 3}}
    found = client.post("/v1/rules/test", json=body)
    assert found.status_code == 422
    found = client.post("/v1/rules/test", json=body | {"values": {}})
    assert found.status_code == 200
    assert [note.split(" was")[0] for note in found.json()["notes"]] == ["rule 'slow'", "rule 'a'"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (CHANGE | {"rules": RULES + RULES}, 422, "there is a rule 'a' already, at rules:1"),
        (CHANGE | {"rules": "[["}, 422, "is not TOML"),
        (CHANGE | {"facts": "a | b"}, 422, "2 parts and not 3"),
        (CHANGE | {"facts": "a | is a | a"}, 422, "goes round in a circle"),
        (CHANGE | {"based_on": 7}, 409, "version 7 was edited, and version 0 is in force"),
        ({"rules": RULES}, 422, "is missing"),
    ],
)
def test_wrong_changes_are_refused_in_a_sentence(
    client: TestClient, noted: list[Any], change: dict[str, Any], status: int, message: str
) -> None:
    refused = client.put("/v1/rules", json=change)
    assert refused.status_code == status
    assert message in refused.json()["error"]["message"]
    assert (client.get("/v1/rules").json()["version"], noted) == (0, [])


def test_a_version_that_is_not_there_is_a_404(client: TestClient) -> None:
    assert client.get("/v1/rules", params={"version": 3}).status_code == 404
    assert client.get("/v1/rules/changes", params={"old": 5}).status_code == 404
    assert client.get("/v1/rules", params={"version": 10**30}).status_code == 422


def test_agents_read_and_visitors_do_not(client: TestClient) -> None:
    agent, visitor = {"role": "agent"}, {"role": "visitor"}
    assert client.get("/v1/rules", headers=agent).status_code == 200
    assert client.get("/v1/rules/history", headers=agent).status_code == 200
    assert client.put("/v1/rules", json=CHANGE, headers=agent).status_code == 403
    assert client.post("/v1/rules/test", json={"text": "x"}, headers=agent).status_code == 403
    assert client.get("/v1/rules", headers=visitor).status_code == 403
    assert client.get("/v1/rules/changes?old=0", headers=visitor).status_code == 403


def test_a_rule_names_an_intent_of_what_is_served(client: TestClient) -> None:
    rule = "[[rule]]\nname = 'a'\nwhen = 'anger > 0.5'\naction = 'intent:{}'\n"
    wrong = client.put("/v1/rules", json=CHANGE | {"rules": rule.format("refunds")})
    assert wrong.status_code == 422
    assert wrong.json()["error"] == {
        "message": "'refunds' is no intent of the assistant",
        "where": "rules:1 (a)",
        "cure": "did you mean 'refund'?",
    }
    tried = {"text": "x", "rules": rule.format("refunds")}
    assert client.post("/v1/rules/test", json=tried).status_code == 422
    assert client.get("/v1/rules").json()["version"] == 0
    right = client.put("/v1/rules", json=CHANGE | {"rules": rule.format("refund")})
    assert right.json()["version"] == 1
