"""The numbers of the overview, on rows that were written for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailorbird.assistants.service_desk.figures import Figures, Share, read_figures
from tailorbird.store import ServedRow, Workspace
from tailorbird.store.tables import Base, ConversationRow, DecisionRow, TurnRow

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def write(workspace: Workspace, *rows: Base) -> None:
    with workspace.writing() as session:
        for row in rows:
            session.add(row)
            session.flush()


def conversation(
    workspace: Workspace, authors: str = "v", *, hours: float = 2, **facts: Any
) -> None:
    """One that began *hours* ago; a letter of *authors* a turn: v, a(ssistant), p(erson)."""
    time = NOW - hours * HOUR
    names = {"v": "visitor", "a": "assistant", "p": "agent"}
    row = ConversationRow(**{"created": time, "updated": time, **facts})
    turns = [
        TurnRow(conversation_id=row.id, number=n, author=names[letter], text="…")
        for n, letter in enumerate(authors)
    ]
    write(workspace, row, *turns)


def decision(kind: str = "template", *, hours: float = 2, **facts: Any) -> DecisionRow:
    usual = {"text": "where is it", "intent": "shipping", "latency_ms": 10.0}
    return DecisionRow(time=NOW - hours * HOUR, kind=kind, **usual | facts)


def served(*, hours: float = 2, **facts: Any) -> ServedRow:
    usual = {
        "text": "where is it",
        "intent": "shipping",
        "confidence": 0.9,
        "in_scope": True,
        "bundle_id": "b",
        "latency_ms": 3.0,
    }
    return ServedRow(time=NOW - hours * HOUR, **usual | facts)


def of_a_day(workspace: Workspace) -> Figures:
    return read_figures(workspace, since=NOW - 24 * HOUR, until=NOW)


def test_an_empty_workspace_has_no_shares_and_no_times(workspace: Workspace) -> None:
    figures = of_a_day(workspace)
    assert (figures.shares.n_conversations, figures.n_answers, figures.n_waiting) == (0, 0, 0)
    assert figures.shares.resolved.value is None
    assert figures.shares.satisfied.value is None
    assert figures.latency is None
    assert figures.timeline == (0,) * 24


def test_conversations_closed_or_left_without_a_person_are_resolved(workspace: Workspace) -> None:
    conversation(workspace, "va", status="closed")
    conversation(workspace, "va")  # left two hours ago
    conversation(workspace, "va", hours=0.1)  # may go on
    conversation(workspace, "va", status="waiting", reason="asked for")
    conversation(workspace, "vap", status="closed", reason="anger")
    figures = of_a_day(workspace)
    assert figures.shares.n_conversations == 5
    assert figures.shares.resolved == Share(2, 4)
    assert figures.shares.handed_over == Share(2, 5)
    assert figures.n_waiting == 1


def test_a_conversation_given_back_to_the_assistant_was_still_handed_over(
    workspace: Workspace,
) -> None:
    conversation(workspace, "vapa", status="assistant")
    conversation(workspace, "va", id="refused", status="assistant")
    write(workspace, decision("hand_over", conversation_id="refused"))
    figures = of_a_day(workspace)
    assert figures.shares.handed_over == Share(2, 2)
    assert figures.shares.resolved == Share(0, 2)


def test_a_conversation_in_which_nobody_spoke_is_none(workspace: Workspace) -> None:
    conversation(workspace, "")
    assert of_a_day(workspace).shares.n_conversations == 0


def test_what_happened_before_is_not_counted(workspace: Workspace) -> None:
    conversation(workspace, "va", hours=25, rating=1.0)
    write(workspace, decision(hours=25), served(hours=25, feedback=1.0))
    figures = of_a_day(workspace)
    assert (figures.shares.n_conversations, figures.n_answers) == (0, 0)
    assert figures.shares.satisfied == Share(0, 0)


def test_response_times_are_those_of_the_nearest_rank(workspace: Workspace) -> None:
    write(workspace, *(decision(latency_ms=float(n)) for n in range(1, 101)))
    latency = of_a_day(workspace).latency
    assert latency is not None
    assert (latency.n, latency.median_ms, latency.p95_ms) == (100, 50.0, 95.0)


def test_satisfaction_counts_ratings_and_feedback_alike(workspace: Workspace) -> None:
    conversation(workspace, "va", rating=1.0)
    conversation(workspace, "va", rating=-1.0)
    write(workspace, decision(feedback=0.5), served(feedback=0.0), decision())
    assert of_a_day(workspace).shares.satisfied == Share(2, 4)


def test_the_most_frequent_come_first_and_refusals_are_no_intents(workspace: Workspace) -> None:
    write(
        workspace,
        *(decision(intent="refund") for _ in range(3)),
        decision(intent="shipping"),
        *(decision("refusal", text="do you sell boats", intent="refund") for _ in range(2)),
        decision("refusal", text="a joke please"),
    )
    figures = of_a_day(workspace)
    assert figures.intents == (("refund", 3), ("shipping", 1))
    assert figures.refused == (("do you sell boats", 2), ("a joke please", 1))
    assert (figures.n_answers, figures.n_refused) == (7, 3)


def test_without_decisions_plain_predictions_are_counted(workspace: Workspace) -> None:
    write(
        workspace,
        served(),
        served(in_scope=False, text="a joke please", user="ada"),
        served(user="console"),  # somebody trying things out
    )
    figures = of_a_day(workspace)
    assert not figures.has_decisions
    assert figures.n_answers == 2
    assert figures.intents == (("shipping", 1),)
    assert figures.refused == (("a joke please", 1),)
    write(workspace, decision())
    assert of_a_day(workspace).n_answers == 1


def test_the_timeline_has_every_answer_in_its_part(workspace: Workspace) -> None:
    write(workspace, decision(hours=24), decision(hours=23.5), decision(hours=0.5))
    assert of_a_day(workspace).timeline == (2, *(0,) * 22, 1)
