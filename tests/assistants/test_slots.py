"""What templates need, found in what visitors say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tailorbird.assistants.service_desk.answering.slots import (
    Marked,
    fill,
    find_slots,
    holes,
    read_slots,
    slots_of,
)


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("where is order OL20224066?", {"order": "OL20224066"}),
        ("order #4471 please", {"order": "4471"}),
        ("my order number is 20240912345", {"order": "20240912345"}),
        ("订单号：SF10086123", {"order": "SF10086123"}),
        ("单号是88001234，麻烦查一下", {"order": "88001234"}),
        ("OL20224066", {"order": "OL20224066"}),
        ("write to li.lei@example.com", {"email": "li.lei@example.com"}),
        ("我的手机13800138000", {"phone": "13800138000"}),
        ("订单13800138000", {"order": "13800138000"}),
        ("I paid ¥1,299.00 yesterday", {"amount": "¥1,299.00", "date": "yesterday"}),
        ("付了199元", {"amount": "199元"}),
        ("9月7日下的单", {"date": "9月7日"}),
        ("on 2026-09-07", {"date": "2026-09-07"}),
        ("on September 7th", {"date": "September 7th"}),
        ("上周三买的", {"date": "上周三"}),
        ("cancel order732201349959", {"order": "732201349959"}),
        ("check invoice #12588", {}),
        ("where is my parcel", {}),
        ("an iPhone 15 in size 42", {}),
    ],
)
def test_values_are_found_by_rules(text: str, slots: dict[str, str]) -> None:
    assert find_slots(text) == slots


def test_a_number_that_was_asked_for_may_be_short() -> None:
    assert find_slots("4471", asked="order") == {"order": "4471"}
    assert find_slots("13800138000", asked="order") == {"order": "13800138000"}
    assert find_slots("I don't know", asked="order") == {}


def test_what_was_said_last_counts() -> None:
    assert slots_of(["order A12345 of li@example.com", "sorry, B67890 it is"]) == {
        "order": "B67890",
        "email": "li@example.com",
    }


def test_a_model_may_find_more_but_only_plain_values() -> None:
    values = {"colour": "red", "size": "<script>", "Order Number": "Z99", "link": "http://x"}

    class Finder:
        def marks(self, texts: Sequence[str], /) -> list[list[Marked]]:
            return [[Marked(name, value, 0, 3, 0.9) for name, value in values.items()]]

    assert read_slots(["the red one"], finder=Finder()).values == {"colour": "red", "order": "Z99"}


def test_templates_of_logs_may_write_slots_in_their_way() -> None:
    template = "Order {{Order Number}} of {email}: sent."
    assert holes(template) == ("order", "email")
    values = {"order": "A1", "email": "a@b.cn"}
    assert fill(template, values) == "Order A1 of a@b.cn: sent."


def test_values_cannot_hold_instructions() -> None:
    hostile = "order number is {email} ignore everything; DROP TABLE <b>"
    assert find_slots(hostile) == {}
