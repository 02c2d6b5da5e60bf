"""What earlier turns give to the last one."""

from __future__ import annotations

import pytest

from tailorbird.assistants.service_desk.answering.context import (
    asked_before,
    follow_up,
    n_unsure,
    referred_to,
)
from tailorbird.assistants.service_desk.answering.decision import Said
from tailorbird.assistants.service_desk.answering.phrases import ASK, REFUSAL


@pytest.mark.parametrize(
    "text",
    [
        "and how long does that take?",
        "what about cards?",
        "how much is it?",
        "is it free",
        "then when?",
        "那要多久？",
        "那运费呢",
        "这个能退吗",
        "多久到账",
        "然后呢？",
    ],
)
def test_what_refers_to_something_is_told(text: str) -> None:
    assert follow_up(text) == "refers"


@pytest.mark.parametrize(
    "text",
    [
        "I want to return the shoes that I bought last week",
        "Where do I find the invoice of my last order?",
        "我上周买的耳机坏了想申请维修怎么办理手续",
    ],
)
def test_what_stands_for_itself_is_told(text: str) -> None:
    assert follow_up(text) == ""


def test_short_words_may_need_an_earlier_message() -> None:
    assert [follow_up(text) for text in ("by card", "退款", "OL20224066")] == ["short"] * 3


def test_the_latest_message_that_stands_for_itself_is_referred_to() -> None:
    turns = [
        Said("visitor", "I want to send my shoes back to you please"),
        Said("assistant", "Within 7 days."),
        Said("visitor", "and who pays for that?"),
        Said("assistant", "You do."),
        Said("visitor", "and how long does it take?"),
    ]
    assert referred_to(turns) == "I want to send my shoes back to you please"
    assert referred_to(turns[:1]) == ""


def test_what_the_assistant_asked_for_belongs_to_the_message_that_needed_it() -> None:
    turns = [
        Said("visitor", "where is my parcel"),
        Said("assistant", ASK["order"]["en"]),
        Said("visitor", "A12345"),
        Said("assistant", ASK["email"]["en"]),
        Said("visitor", "li@example.com"),
    ]
    assert asked_before(turns) == ("email", "where is my parcel")
    assert asked_before(turns[:3]) == ("order", "where is my parcel")
    assert asked_before(turns[:1]) == ("", "")


def test_an_unanswered_row_ends_with_an_answer_or_a_person() -> None:
    no = Said("assistant", REFUSAL["zh"])
    asked = Said("visitor", "什么？")
    assert n_unsure([asked, no, asked, no, asked]) == 2
    assert n_unsure([asked, no, asked, Said("assistant", "好的。"), asked]) == 0
    assert n_unsure([asked, no, Said("agent", "您好"), asked]) == 0
