"""What visitors do: messages are kept once and answered once, whatever the client does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select, text

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import DecisionRow, TurnRow

Open = Callable[..., str]


def say(client: TestClient, conversation: str, words: str, name: str | None = None) -> Any:
    body = {"text": words} | ({"client_id": name} if name else {})
    return client.post(f"/v1/conversations/{conversation}/turns", json=body)


def turns_of(client: TestClient, conversation: str, **params: Any) -> list[Any]:
    response = client.get(f"/v1/conversations/{conversation}/turns", params=params)
    assert response.status_code == 200, response.text
    found: list[Any] = response.json()["turns"]
    return found


def test_a_message_is_answered_with_its_sources(client: TestClient, opened: Open) -> None:
    conversation = opened(user="ada")
    body = say(client, conversation, "how long does a refund take", "m1").json()
    assert body["turn"]["number"] == 0
    assert [(one["author"], one["text"]) for one in body["answers"]] == [
        ("assistant", "The money is back within 5 days.")
    ]
    assert body["status"] == "assistant"
    assert body["decision"]["intent"] == "refund"
    assert body["decision"]["sentences"][0]["source"] == "returns.md › How long"
    assert body["answers"][0]["decision"] == body["decision"]["id"]


def test_the_assistant_is_told_the_turns_and_the_user(
    client: TestClient, opened: Open, assistant: Any
) -> None:
    conversation = opened(user="ada")
    say(client, conversation, "refund")
    say(client, conversation, "and a second refund")
    said, user = assistant.seen[-1]
    assert user == "ada"
    assert said == [
        ("visitor", "refund"),
        ("assistant", "The money is back within 5 days."),
        ("visitor", "and a second refund"),
    ]


def test_a_message_sent_again_gets_the_first_answer(
    client: TestClient, opened: Open, assistant: Any
) -> None:
    conversation = opened()
    first = say(client, conversation, "refund", "m1")
    say(client, conversation, "refund", "m2")
    again = say(client, conversation, "refund", "m1")
    assert again.json() == first.json()
    assert len(assistant.seen) == 2
    assert len(turns_of(client, conversation)) == 4


def test_the_same_message_ten_times_at_once_is_kept_and_answered_once(
    client: TestClient, opened: Open
) -> None:
    conversation = opened()
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda _: say(client, conversation, "refund", "m1"), range(10)))
    assert {response.status_code for response in done} == {200}
    assert len({response.text for response in done}) == 1
    assert [one["author"] for one in turns_of(client, conversation)] == ["visitor", "assistant"]


def test_a_name_used_for_other_words_is_refused(client: TestClient, opened: Open) -> None:
    conversation = opened()
    say(client, conversation, "refund", "m1")
    response = say(client, conversation, "something else", "m1")
    assert response.status_code == 409
    assert "was used for other words" in response.json()["error"]["message"]


def test_a_message_nobody_could_answer_is_answered_when_it_is_sent_again(
    client: TestClient, opened: Open, assistant: Any
) -> None:
    conversation = opened()
    assistant.error = UnavailableError("no bundle is live yet")
    assert say(client, conversation, "refund", "m1").status_code == 503
    assert len(turns_of(client, conversation)) == 1
    assistant.error = None
    assert len(say(client, conversation, "refund", "m1").json()["answers"]) == 1
    assert len(turns_of(client, conversation)) == 2


def test_turns_are_read_from_where_one_stopped(client: TestClient, opened: Open) -> None:
    conversation = opened()
    say(client, conversation, "refund")
    say(client, conversation, "another refund")
    assert [one["number"] for one in turns_of(client, conversation, after=1)] == [2, 3]


def test_a_long_poll_returns_as_soon_as_something_is_said(client: TestClient, opened: Open) -> None:
    conversation = opened()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turns_of, client, conversation, wait_s=20)
        say(client, conversation, "refund")
        assert waiting.result(15)[0]["text"] == "refund"


def test_a_conversation_can_be_rated(client: TestClient, opened: Open) -> None:
    conversation = opened()
    response = client.post(f"/v1/conversations/{conversation}/rating", json={"value": 0.5})
    assert response.json()["rating"] == 0.5
    response = client.post(f"/v1/conversations/{conversation}/rating", json={"value": 2})
    assert response.status_code == 422


def test_an_unknown_conversation_is_a_404_everywhere(client: TestClient) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/turns", None),
        ("GET", "/events", None),
        ("POST", "/turns", {"text": "hello"}),
        ("POST", "/person", {}),
        ("POST", "/rating", {"value": 1}),
    ):
        response = client.request(method, f"/v1/conversations/nobody{path}", json=body)
        assert response.status_code == 404, path
        assert response.json()["error"]["message"] == "there is no conversation 'nobody'"


def test_an_unknown_user_is_answered_as_everybody(client: TestClient, opened: Open) -> None:
    body = say(client, opened(user="somebody-new"), "refund").json()
    assert body["answers"][0]["text"] == "The money is back within 5 days."


def test_a_visitor_sees_only_what_their_key_opened(
    client: TestClient, as_: Callable[..., dict[str, str]]
) -> None:
    ada, bo, carl = as_("ada", "visitor"), as_("bo", "visitor"), as_("carl", "agent")
    opened = client.post("/v1/conversations", json={}, headers=ada).json()["id"]
    path = f"/v1/conversations/{opened}"
    said = client.post(f"{path}/turns", json={"text": "refund"}, headers=ada)
    assert said.status_code == 200
    assert client.get(path, headers=bo).status_code == 404
    assert client.get(f"{path}/events", headers=bo).status_code == 404
    assert client.post(f"{path}/turns", json={"text": "x"}, headers=bo).status_code == 404
    assert client.get(path, headers=carl).status_code == 200
    decision = said.json()["decision"]["id"]
    wanted = {"decision": decision, "thumb": "up"}
    assert client.post("/v1/feedback", json=wanted, headers=bo).status_code == 404
    assert client.post("/v1/feedback", json=wanted, headers=ada).status_code == 200


def test_a_closed_conversation_takes_nothing_more_but_repeats_what_it_said(
    client: TestClient, opened: Open
) -> None:
    conversation = opened()
    first = say(client, conversation, "refund", "m1").json()
    closed = client.post(f"/v1/desk/conversations/{conversation}/close")
    assert closed.json()["status"] == "closed"
    response = say(client, conversation, "hello?", "m2")
    assert response.status_code == 409
    assert response.json()["error"]["message"] == "this conversation is closed"
    again = say(client, conversation, "refund", "m1").json()
    assert again["answers"] == first["answers"]
    assert turns_of(client, conversation)[-1]["text"] == "This conversation is closed."


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        ({"text": " "}, "text", "is empty"),
        ({"text": "a\0b"}, "text", "holds a NUL character"),
        ({"text": "x" * 1_000_000}, "text", "String should have at most 8000 characters"),
        ({"text": "a", "client_id": "n" * 65}, "client_id", "String should have at most 64"),
        ({"text": 3}, "text", "must be a text, not a number"),
    ],
)
def test_a_wrong_message_is_refused_and_not_kept(
    client: TestClient, opened: Open, body: Any, where: str, message: str
) -> None:
    conversation = opened()
    response = client.post(f"/v1/conversations/{conversation}/turns", json=body)
    assert response.status_code == 422
    assert response.json()["error"]["where"] == where
    assert response.json()["error"]["message"].startswith(message)
    assert turns_of(client, conversation) == []


def test_a_mistyped_key_is_told_the_right_one(client: TestClient, opened: Open) -> None:
    path = f"/v1/conversations/{opened()}/turns"
    response = client.post(path, json={"text": "refund", "clientid": "m1"})
    assert response.json()["error"]["cure"] == "did you mean 'client_id'?"
    response = client.post(path, json={"client_id": "m1"})
    assert response.json()["error"] == {
        "message": "is missing",
        "where": "text",
        "cure": 'as {"text": "我的包裹怎么还没到？", "client_id": "m-1"}',
    }


def test_half_a_surrogate_pair_is_refused(client: TestClient, opened: Open) -> None:
    response = client.post(
        f"/v1/conversations/{opened()}/turns",
        content=r'{"text": "\ud800"}',
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 422


def test_on_a_full_disk_nothing_is_acknowledged(
    client: TestClient, opened: Open, workspace: Workspace
) -> None:
    conversation = opened()
    with workspace.engine.connect() as connection:
        n_pages = connection.execute(text("PRAGMA page_count")).scalar()
    limit = [n_pages]

    @event.listens_for(workspace.engine, "begin")
    def fill(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit[0]}")

    statuses = [say(client, conversation, "refund " * 1000, f"m{k}").status_code for k in range(20)]
    assert statuses[-1] == 503  # the first may still fit into pages that are there
    limit[0] = 10**6
    n_acknowledged = statuses.count(200)
    answered = [one for one in turns_of(client, conversation) if one["author"] == "assistant"]
    assert len(answered) == n_acknowledged
    assert say(client, conversation, "refund " * 1000, "m19").status_code == 200
    assert len({one["client_id"] for one in turns_of(client, conversation)}) == len(
        turns_of(client, conversation)
    )


def test_decisions_keep_no_personal_data(
    client: TestClient, opened: Open, workspace: Workspace
) -> None:
    words = "refund to li.lei@example.com please"
    conversation = opened(user="ada")
    say(client, conversation, words)
    with workspace.sessions() as session:
        row = session.scalars(select(DecisionRow)).one()
        turn = session.scalars(select(TurnRow).where(TurnRow.number == 0)).one()
    assert row.text == "refund to [EMAIL] please"
    assert turn.text == words  # who helps needs it
    assert (row.user, row.bundle_id, row.conversation_id) == ("ada", "b1", conversation)


def test_a_stream_ends_with_its_conversation_and_tells_every_turn_once(
    client: TestClient, opened: Open, service_desk: ServiceDesk
) -> None:
    conversation = opened()
    say(client, conversation, "refund")

    def listen() -> list[str]:
        path = f"/v1/conversations/{conversation}/events"
        with client.stream("GET", path, headers={"last-event-id": "0"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            return [line for line in response.iter_lines() if line]

    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen)
        say(client, conversation, "second refund")
        client.post(f"/v1/desk/conversations/{conversation}/close")
        lines = listening.result(15)
    ids = [line for line in lines if line.startswith("id: ")]
    assert ids == ["id: 1", "id: 2", "id: 3", "id: 4"]
    assert lines[-1] == 'data: {"status": "closed", "agent": "local"}'
    assert service_desk.books.events.n_subscribers == 0
    path = f"/v1/conversations/{conversation}/events"
    assert client.get(path, headers={"last-event-id": "4"}).status_code == 204
    assert client.get(path, headers={"last-event-id": "9" * 5000}).status_code == 204
    assert "id: 4" in client.get(path, headers={"last-event-id": "3"}).text
