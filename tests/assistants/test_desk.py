"""Hand-over: who is asked, what they see, who wins, and what the visitor is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tailorbird.assistants.service_desk.assembly import ServiceDesk

from .test_conversations import Open, say, turns_of

As = Callable[..., dict[str, str]]


def state(client: TestClient, conversation: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/conversations/{conversation}").json()
    return found


def do(client: TestClient, conversation: str, verb: str, headers: Any = None, **body: Any) -> Any:
    path = f"/v1/desk/conversations/{conversation}/{verb}"
    return client.post(path, json=body or None, headers=headers)


def be_there(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/v1/desk/heartbeat", headers=headers).status_code == 200


def test_who_asks_for_a_person_waits_where_one_is_there(
    client: TestClient, opened: Open, as_: As
) -> None:
    be_there(client, as_("carl"))
    conversation = opened()
    body = say(client, conversation, "I want a person").json()
    assert body["status"] == "waiting"
    assert [(one["author"], one["text"]) for one in body["answers"]] == [
        ("assistant", "A moment please."),
    ]
    assert state(client, conversation)["reason"] == "rule wants person"


@pytest.mark.parametrize(
    ("words", "told"),
    [("I want a person", "Nobody is at the desk right now"), ("转人工", "现在没有客服在线")],
)
def test_where_nobody_is_there_it_is_a_ticket_and_the_visitor_is_told_so(
    client: TestClient, opened: Open, words: str, told: str
) -> None:
    conversation = opened()
    body = say(client, conversation, words).json()
    assert body["status"] == "ticket"
    (answer,) = body["answers"]  # no "a moment please"
    assert answer["text"].startswith(told)
    assert body["decision"]["kind"] == "hand_over"
    why = client.get(f"/v1/decisions/{body['decision']['id']}").json()
    assert why["answer"] == answer["text"]


def test_an_agent_not_heard_for_half_a_minute_is_not_there(
    client: TestClient, opened: Open, as_: As, clock: Any
) -> None:
    be_there(client, as_("carl"))
    clock.now_s = 29.9
    assert say(client, opened(), "a person").json()["status"] == "waiting"
    clock.now_s = 30.1
    assert say(client, opened(), "a person").json()["status"] == "ticket"


def test_a_second_unsure_answer_hands_over(client: TestClient, opened: Open) -> None:
    conversation = opened()
    assert say(client, conversation, "what about the moon").json()["status"] == "assistant"
    body = say(client, conversation, "and the sun").json()
    assert body["status"] == "ticket"
    assert [one["author"] for one in body["answers"]] == ["assistant", "system"]
    assert state(client, conversation)["reason"] == "unsure 2 times in a row"


def test_a_sure_answer_between_two_unsure_ones_counts_anew(
    client: TestClient, opened: Open
) -> None:
    conversation = opened()
    for words in ("the moon", "refund", "the sun"):
        assert say(client, conversation, words).json()["status"] == "assistant"


def test_while_a_person_is_asked_for_the_assistant_is_silent(
    client: TestClient, opened: Open, assistant: Any
) -> None:
    conversation = opened()
    client.post(f"/v1/conversations/{conversation}/person", json={})
    n_seen = len(assistant.seen)
    body = say(client, conversation, "refund", "m1").json()
    assert (body["answers"], body["status"]) == ([], "ticket")
    assert say(client, conversation, "refund", "m1").json() == body
    assert len(assistant.seen) == n_seen


def test_asking_for_a_person_twice_is_one_request(client: TestClient, opened: Open) -> None:
    conversation = opened()
    for _ in range(2):
        client.post(f"/v1/conversations/{conversation}/person", json={"reason": "angry"})
    assert len(turns_of(client, conversation)) == 1
    assert state(client, conversation)["reason"] == "angry"


def test_a_ticket_whose_visitor_comes_back_is_shown_to_who_is_there_now(
    client: TestClient, opened: Open, as_: As
) -> None:
    conversation = opened()
    say(client, conversation, "a person")
    be_there(client, as_("carl"))
    assert say(client, conversation, "anybody there?").json()["status"] == "waiting"


def test_what_waits_while_everybody_goes_home_becomes_a_ticket(
    client: TestClient, opened: Open, as_: As, clock: Any
) -> None:
    be_there(client, as_("carl"))
    conversation = opened()
    say(client, conversation, "a person")
    clock.now_s = 31
    deadline_s = time.monotonic() + 10
    while state(client, conversation)["status"] != "ticket":
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    assert turns_of(client, conversation)[-1]["text"].startswith("Nobody is at the desk")


def test_of_many_agents_at_once_exactly_one_gets_it_and_the_others_are_told_who(
    client: TestClient, opened: Open, as_: As
) -> None:
    conversation = opened()
    say(client, conversation, "a person")
    names = [f"agent{k}" for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda name: do(client, conversation, "take", as_(name)), names))
    won = [name for name, one in zip(names, done, strict=True) if one.status_code == 200]
    assert len(won) == 1
    lost = [one for one in done if one.status_code != 200]
    assert {one.status_code for one in lost} == {409}
    message = f"{won[0]} has taken this conversation"
    assert {one.json()["error"]["message"] for one in lost} == {message}
    assert do(client, conversation, "take", as_(won[0])).status_code == 200


def test_an_admin_may_take_from_who_went_home_and_nobody_else(
    client: TestClient, opened: Open, as_: As
) -> None:
    conversation = opened()
    do(client, conversation, "take", as_("carl"))
    assert do(client, conversation, "take?force=true", as_("dora")).status_code == 403
    assert do(client, conversation, "take", as_("eve", "admin")).status_code == 409
    taken = do(client, conversation, "take?force=true", as_("eve", "admin"))
    assert taken.json()["agent"] == "eve"
    assert do(client, conversation, "answer", as_("carl"), text="hi").status_code == 409


def test_an_agent_answers_gives_back_and_the_assistant_goes_on(
    client: TestClient, opened: Open, as_: As
) -> None:
    carl = as_("carl")
    conversation = opened()
    say(client, conversation, "a person")
    do(client, conversation, "take", carl)
    answered = do(client, conversation, "answer", carl, text="Hello, I am Carl", client_id="a1")
    again = do(client, conversation, "answer", carl, text="Hello, I am Carl", client_id="a1")
    assert answered.json() == again.json()
    assert say(client, conversation, "refund").json()["answers"] == []
    assert do(client, conversation, "give-back", carl).json()["status"] == "assistant"
    assert len(say(client, conversation, "refund").json()["answers"]) == 1
    authors = [one["author"] for one in turns_of(client, conversation)]
    assert authors == ["visitor", "system", "agent", "visitor", "system", "visitor", "assistant"]


@pytest.mark.parametrize("verb", ["answer", "give-back", "close"])
def test_whose_conversation_it_is_not_may_do_nothing_with_it(
    client: TestClient, opened: Open, as_: As, verb: str
) -> None:
    conversation = opened()
    do(client, conversation, "take", as_("carl"))
    body = {"text": "hi"} if verb == "answer" else {}
    response = do(client, conversation, verb, as_("dora"), **body)
    assert response.status_code == 409
    assert response.json()["error"]["message"] == "carl has taken this conversation"


def test_visitors_have_no_business_at_the_desk(client: TestClient, opened: Open, as_: As) -> None:
    visitor = as_("ada", "visitor")
    assert client.get("/v1/desk/conversations", headers=visitor).status_code == 403
    assert do(client, opened(), "take", visitor).status_code == 403
    assert client.get("/v1/decisions/x", headers=visitor).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/desk", headers=visitor):
        pass


def test_a_card_has_history_intent_suggestions_and_sources(
    client: TestClient, opened: Open
) -> None:
    conversation = opened()
    say(client, conversation, "refund")
    say(client, conversation, "I want a person")
    (card,) = client.get("/v1/desk/conversations").json()["conversations"]
    assert card["suggestions"] == ["We have sent it.", "It takes 5 days."]
    assert [one["source"] for one in card["sources"]] == ["returns.md › How long"]
    assert len(card["turns"]) == 4
    shown = client.get(f"/v1/desk/conversations/{conversation}").json()
    assert shown["conversation"]["status"] == "ticket"
    assert client.get("/v1/desk/conversations", params={"which": "mine"}).json() == {
        "conversations": [],
        "agents": [],
    }


def heard(socket: Any, kind: str) -> dict[str, Any]:
    for _ in range(20):
        message: dict[str, Any] = socket.receive_json()
        if message["type"] == kind:
            return message
    raise AssertionError(f"no {kind} came")


def test_the_desk_hears_at_once_who_waits_and_what_is_said(
    client: TestClient, opened: Open, as_: As, service_desk: ServiceDesk
) -> None:
    conversation = opened()
    say(client, conversation, "refund")
    with client.websocket_connect("/v1/desk", headers=as_("carl")) as socket:
        hello = heard(socket, "hello")
        assert hello["agents"] == ["carl"]
        socket.send_json({"type": "heartbeat"})
        say(client, conversation, "a person")
        card = heard(socket, "waiting")["card"]
        assert card["suggestions"] == ["We have sent it.", "It takes 5 days."]
        assert [one["text"] for one in card["turns"]][-1] == "A moment please."
        do(client, conversation, "take", as_("carl"))
        assert heard(socket, "taken")["agent"] == "carl"
        say(client, conversation, "my number is 7")
        assert heard(socket, "turn")["turn"]["text"] == "my number is 7"
        socket.send_text("[")
        assert heard(socket, "error")["message"] == "is not JSON"
        socket.send_text("x" * 5000)
        assert heard(socket, "error")["message"] == "has 5,000 characters and 4,096 are allowed"
    deadline_s = time.monotonic() + 10
    while service_desk.books.events.n_subscribers:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_what_an_agent_says_reaches_the_visitors_stream(
    client: TestClient, opened: Open, as_: As
) -> None:
    conversation = opened()
    do(client, conversation, "take", as_("carl"))

    def listen() -> list[str]:
        path = f"/v1/conversations/{conversation}/events"
        with client.stream("GET", path) as response:
            return [line for line in response.iter_lines() if line.startswith("data: ")]

    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen)
        do(client, conversation, "answer", as_("carl"), text="It is on its way")
        do(client, conversation, "close", as_("carl"))
        lines = listening.result(15)
    assert any('"text":"It is on its way"' in line for line in lines)
