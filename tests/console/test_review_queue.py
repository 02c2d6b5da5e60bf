"""What waits for judgement, and what a judgement does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.assistants.service_desk.conversing.pairs import training_pairs
from tailorbird.console.review_queue import Reviewing, read_queue
from tailorbird.errors import ConflictError, RequestError
from tailorbird.serving.access import Person
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow, DecisionRow, DraftRow, utc_now

ADA = Person("ada", "agent")
Run = Callable[[Callable[[ServiceDesk], Awaitable[Any]]], Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def learned() -> dict[str, bytes]:
    return {}


@pytest.fixture
def run(workspace: Workspace, learned: dict[str, bytes]) -> Run:
    """Does something with a running service desk."""

    async def nobody(*_: Any) -> Any:
        raise AssertionError("nobody asks anything here")

    def do(what: Callable[[ServiceDesk], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            desk = ServiceDesk(workspace, nobody, learn=learned.__setitem__)
            async with desk.running():
                return await what(desk)

        return asyncio.run(inside())

    return do


def add(workspace: Workspace, *rows: DecisionRow | DraftRow) -> None:
    with workspace.writing() as session:
        session.add_all(rows)


def refused(text: str, *, minutes: int = 0, **values: Any) -> DecisionRow:
    values = {"kind": "refusal", "answer": "I do not know.", "intent": "shipping"} | values
    return DecisionRow(text=text, time=utc_now() - timedelta(minutes=minutes), **values)


def pairs(workspace: Workspace) -> list[tuple[str, str | None, str | None]]:
    return [(one.text, one.reply, one.label) for one in training_pairs(workspace)]


def test_each_text_stands_in_the_queue_once_and_what_is_asked_most_comes_first(
    workspace: Workspace,
) -> None:
    add(
        workspace,
        refused("boats?"),
        refused("yachts?", minutes=3),
        refused("Yachts? ", minutes=1),
        refused("fine", kind="template", feedback=1.0),
        refused("sure of this", kind="template"),
        refused("a guess", kind="template", why={"is_unsure": True}, minutes=2),
        refused("given up", kind="hand_over", why={"cause": "unsure"}, minutes=4),
        refused("wished", kind="hand_over", why={"cause": "wish"}),
        refused("bad", kind="template", feedback=-1.0),
        refused("bad refusal", feedback=-1.0, minutes=1),
        refused("mended", kind="template", correction="so", minutes=2),
    )
    queue = read_queue(workspace)
    assert [(one.question, len(one.ids)) for one in queue["unsure"]] == [
        ("Yachts? ", 2),
        ("boats?", 1),
        ("a guess", 1),
        ("given up", 1),
    ]
    assert [one.question for one in queue["disliked"]] == ["bad", "bad refusal", "mended"]
    assert queue["disliked"][2].wanted == "so"


def test_an_answer_that_is_written_becomes_knowledge_and_one_training_pair(
    workspace: Workspace, run: Run, learned: dict[str, bytes]
) -> None:
    add(workspace, refused("boats?", minutes=1), refused("boats?"))
    (item,) = read_queue(workspace)["unsure"]
    answer = {"question": "Do you sell boats?", "answer": "No.", "intent": "greeting"}
    run(lambda desk: Reviewing(desk, ADA).accept(item, **answer))
    assert list(learned.values()) == [b"question,answer\r\nDo you sell boats?,No.\r\n"]
    assert pairs(workspace) == [("Do you sell boats?", "No.", "greeting")]
    assert read_queue(workspace) == {"drafts": [], "disliked": [], "unsure": []}


def test_an_intent_alone_labels_the_question(
    workspace: Workspace, run: Run, learned: dict[str, bytes]
) -> None:
    add(workspace, refused("wo ist mein Paket", minutes=1), refused("wo ist mein Paket"))
    (item,) = read_queue(workspace)["unsure"]
    run(
        lambda desk: Reviewing(desk, ADA).accept(
            item, question=item.question, answer="", intent="shipping"
        )
    )
    assert pairs(workspace) == [("wo ist mein Paket", None, "shipping")]
    assert learned == {}
    assert read_queue(workspace)["unsure"] == []


def test_nothing_is_learned_from_what_is_rejected_and_it_does_not_come_back(
    workspace: Workspace, run: Run, learned: dict[str, bytes]
) -> None:
    add(workspace, refused("boats?"), DraftRow(question="q", answer="a"))
    queue = read_queue(workspace)

    async def reject(desk: ServiceDesk) -> None:
        for kind in ("drafts", "unsure"):
            (item,) = queue[kind]
            await Reviewing(desk, ADA).reject(item)

    run(reject)
    assert read_queue(workspace) == {"drafts": [], "disliked": [], "unsure": []}
    assert (pairs(workspace), learned) == ([], {})
    with workspace.sessions() as session:
        (action,) = session.query(AdminActionRow).all()
    assert (action.who, action.detail["verdict"]) == ("ada", "rejected")


def test_a_draft_is_learned_as_it_was_edited(
    workspace: Workspace, run: Run, learned: dict[str, bytes]
) -> None:
    add(workspace, DraftRow(question="a person please", answer="5 days", author="bo"))
    (item,) = read_queue(workspace)["drafts"]
    edited = {"question": "How long?", "answer": "5 days.", "intent": "refund"}
    run(lambda desk: Reviewing(desk, ADA).accept(item, **edited))
    assert pairs(workspace) == [("How long?", "5 days.", "refund")]
    assert len(learned) == 1
    with pytest.raises(ConflictError, match="accepted by ada"):
        run(lambda desk: Reviewing(desk, Person("bo", "agent")).accept(item, **edited))


@pytest.mark.parametrize(
    "given",
    [{"question": "boats?", "answer": " ", "intent": ""}, {"question": "", "answer": "No."}],
)
def test_nothing_to_learn_is_refused_and_stays_in_the_queue(
    workspace: Workspace, run: Run, given: dict[str, str]
) -> None:
    add(workspace, refused("boats?"))
    (item,) = read_queue(workspace)["unsure"]
    with pytest.raises(RequestError, match="nothing to learn"):
        run(lambda desk: Reviewing(desk, ADA).accept(item, **({"intent": ""} | given)))
    assert read_queue(workspace)["unsure"] == [item]
