"""Who asks for a person, and who does not."""

from __future__ import annotations

import pytest

from tailorbird.assistants.service_desk.answering.wishes import wants_person


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a human",
        "agent please",
        "can I speak to a real person?",
        "Please connect me to customer service",
        "put me through to a supervisor",
        "get me a manager",
        "I need someone",
        "human!!",
        "transfer me to an agent",
        "stop the bot",
        "I do not know how to speak with an agent",
        "is it possible to talk with a fucking assistant?",
        "让负责人联系我",
        "别机器人了",
        "转人工",
        "人工客服",
        "我要跟真人说话",
        "有没有活人啊",
        "给我接客服",
        "让我找你们主管",
        "帮我转一下人工",
        "人工",
    ],
)
def test_a_wish_for_a_person_is_heard(text: str) -> None:
    assert wants_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "I don't want to talk to a human",
        "no need to transfer me to an agent",
        "please do not connect me with anybody",
        "Where is my parcel?",
        "a human error happened on my invoice",
        "somebody stole my parcel",
        "the person at the door took it",
        "is the manager chair in stock?",
        "what hours can I contact customer support?",
        "do you have a phone number to contact customer service?",
        "不用转人工",
        "别转人工，你说就行",
        "我不想找客服",
        "人工智能音箱有货吗",
        "人工费多少钱",
        "我要退款",
        "客服电话是多少",
    ],
)
def test_who_does_not_wish_for_one_keeps_the_assistant(text: str) -> None:
    assert wants_person(text) == ""


def test_a_wish_after_a_refused_one_counts() -> None:
    assert wants_person("I don't want this bot. Get me a human!")
    assert wants_person("不要机器人，转人工")


def test_words_of_the_shop_count_too() -> None:
    assert wants_person("Is Lily there?", ["Lily"]) == "lily"
    assert wants_person("I don't need Lily", ["Lily"]) == ""
