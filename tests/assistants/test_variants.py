"""Which template is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tailorbird.assistants.service_desk.answering.variants import choose_variant, rates, variant_key
from tailorbird.assistants.service_desk.answering.votes import LoggedVotes
from tailorbird.store import Workspace, tables

THREE = ["First.", "Second.", "Third."]


def chosen(templates: list[str], conversation: str = "c", **options: object) -> str:
    variant = choose_variant(templates, {}, conversation=conversation, **options)  # type: ignore[arg-type]
    assert variant is not None
    return variant.text


def test_a_conversation_always_gets_the_same_and_conversations_differ() -> None:
    given = [chosen(THREE, f"conversation {number}") for number in range(60)]
    assert given == [chosen(THREE, f"conversation {number}") for number in range(60)]
    assert {text: given.count(text) >= 10 for text in THREE} == dict.fromkeys(THREE, True)


def test_few_votes_change_nothing_and_many_do() -> None:
    keys = [variant_key(text) for text in THREE]
    one = {keys[0]: (0, 1), keys[1]: (1, 0)}
    assert len({chosen(THREE, str(n), votes=one) for n in range(60)}) == 3
    many = {keys[0]: (1, 30), keys[1]: (25, 2), keys[2]: (24, 3)}
    assert {chosen(THREE, str(n), votes=many) for n in range(60)} == {"Second.", "Third."}


def test_a_variant_without_votes_stands_where_all_do_on_average() -> None:
    found = rates(["a", "b", "c"], {"a": (9, 1), "b": (1, 9)})
    assert found["c"] == 0.5
    assert found["a"] == round((9 + 6 * 0.5) / 16, 4)


def test_what_can_be_filled_goes_before_what_cannot() -> None:
    templates = ["Order {order} is sent.", "All orders are sent the same day."]
    assert {chosen(templates, str(n)) for n in range(20)} == {templates[1]}


def test_what_was_said_is_not_said_again_while_there_is_another() -> None:
    assert chosen(THREE, said=["First.", "Third."]) == "Second."
    assert chosen(THREE, said=THREE) in THREE


def test_a_slot_that_nobody_filled_is_asked_for_never_sent() -> None:
    variant = choose_variant(["Order {order} is sent."], {}, conversation="c")
    assert variant is not None
    assert (variant.text, variant.missing) == ("", "order")
    assert choose_variant(["Order {order}."], {}, conversation="c", may_ask=False) is None


def test_a_slot_that_nobody_can_ask_for_makes_a_template_useless() -> None:
    assert choose_variant(["See {{Website URL}}."], {}, conversation="c") is None
    assert choose_variant([], {}, conversation="c") is None


def test_votes_are_read_from_decisions_and_again_when_they_are_old(tmp_path: Path) -> None:
    now_s = 0.0
    with Workspace.open(tmp_path) as workspace:
        votes = LoggedVotes(workspace, clock=lambda: now_s)
        assert votes.votes("refund") == {}
        rate(workspace, "refund", "k1", [1, 1, -1, 0, None])
        rate(workspace, "other", "k1", [-1])
        votes.refresh()
        assert votes.votes("refund") == {"k1": (2, 1)}
        rate(workspace, "refund", "k2", [1])
        assert not votes.is_stale
        votes.refresh()
        assert votes.votes("refund") == {"k1": (2, 1)}
        now_s = 61.0
        votes.refresh()
        assert votes.votes("refund") == {"k1": (2, 1), "k2": (1, 0)}


def rate(workspace: Workspace, intent: str, key: str, values: list[float | None]) -> None:
    start = datetime(2026, 9, 1, tzinfo=UTC)
    with workspace.writing() as session:
        for number, value in enumerate(values):
            session.add(
                tables.DecisionRow(
                    time=start + timedelta(seconds=number),
                    text="?",
                    kind="template",
                    intent=intent,
                    why={"template": {"variant": key}},
                    feedback=value,
                )
            )
