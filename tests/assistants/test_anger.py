"""Who is angry and who only says the word."""

from __future__ import annotations

import pytest

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.anger import anger_in

LIMIT = DeskSettings().anger


@pytest.mark.parametrize(
    "text",
    [
        "This is a scam, give me my money back",
        "I am furious!",
        "I'm sick of this",
        "This is ridiculous and unacceptable, for the third time!!",
        "WHERE IS MY PARCEL?! THIS IS TERRIBLE!!",
        "you idiots",
        "骗子！退钱！",
        "你们真是垃圾",
        "气死我了",
        "太差了，说了三遍还没人管！！",
        "再不退款我就打12315",
        "我真的很生气",
    ],
)
def test_who_is_angry_is_found(text: str) -> None:
    assert anger_in(text).score >= LIMIT


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel?",
        "I'm not angry, I just want to know",
        "I am not at all angry",
        "Don't get mad, but I have another question",
        "not that annoyed, really",
        "Thank you so much!!",
        "My size is XXL and I live in the USA",
        "It arrived with a USB cable. OK?",
        "I would like to complain about the colour",
        "不是生气，就是问一下",
        "我没生气",
        "别生气，慢慢来",
        "没有很失望",
        "垃圾桶多少钱？",
        "这个垃圾袋怎么退货",
        "包裹到哪了！",
        "我要退款，本来是买给妈妈的。",
        "这是给他妈妈的礼物",
        "can I change some fucking products of my order?",
    ],
)
def test_who_is_calm_is_left_alone(text: str) -> None:
    assert anger_in(text).score < LIMIT


def test_a_single_mild_word_is_not_enough_and_several_are() -> None:
    assert anger_in("the delivery was terrible").score == 0.35
    assert anger_in("terrible, useless, and a waste of time").score == pytest.approx(0.7254)


def test_a_complaint_that_is_repeated_weighs_more() -> None:
    once = anger_in("this is ridiculous")
    again = anger_in("This is ridiculous!", ["where is it", "this is ridiculous"])
    assert again.score > once.score
    assert again.signs == ("ridiculous", "repeated")


def test_the_signs_are_named_and_nothing_else_of_the_text() -> None:
    found = anger_in("My order 20240912345 is a SCAM and rubbish!!")
    assert set(found.signs) == {"scam", "rubbish", "!!"}


def test_short_words_sent_twice_are_no_complaint() -> None:
    assert anger_in("ok", ["ok"]).signs == ()
