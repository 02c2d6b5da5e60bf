"""Facts: what is let in, what contradicts, and which plain questions they answer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.graph import Graph, Triple, read_graph

FACTS = """
# what is what
X200 | is a | headphones
X200 | also called | 小蓝耳机
X200 Pro | 属于 | headphones
headphones | also called | 耳机
headphones | is a | electronics

headphones | warranty | 1 year
X200 Pro | warranty | 2 years
electronics | returnable | yes
ear pads | returnable | no
X200 | colour | black
X200 | colour | white
colour | values | many
1 year | also called | 一年
black | also called | 黑色

warranty | also called | 保修
warranty | also called | 保修期
warranty | said as | The warranty of the {subject} is {object}.
warranty | said as | {subject}的保修期是{object}。
returnable | also called | return
returnable | said if no | {subject} cannot be returned.
"""
SAMPLES = Path(__file__).parents[2] / "examples" / "rules"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(FACTS)


def said(graph: Graph, question: str, *, about: str = "") -> str:
    answer = graph.ask(question, about=about)
    return answer.text if answer else ""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("is the X200 under warranty?", "Yes. The warranty of the X200 is 1 year."),
        ("X200 保修吗", "是的，小蓝耳机的保修期是一年。"),
        ("how long is the warranty of the X200?", "The warranty of the X200 is 1 year."),
        ("how long is the warranty of the x200 pro", "The warranty of the X200 Pro is 2 years."),
        ("小蓝耳机保修多久？", "小蓝耳机的保修期是一年。"),
        ("我的Ｘ２００耳机有保修吗？", "是的，小蓝耳机的保修期是一年。"),
        ("Can I return the X200?", "Yes. X200: returnable yes."),
        ("are ear pads returnable?", "No. ear pads cannot be returned."),
        ("which colour does the X200 have?", "X200: colour black, white."),
        ("is the X200 black?", "Yes. X200: colour black."),
        ("X200是黑色的吗", "是的，小蓝耳机：colour 黑色。"),
        ("are X200 headphones?", "Yes. X200 is a kind of headphones."),
        ("X200 warranty", "The warranty of the X200 is 1 year."),
        ("is the warranty of the X200 2 years?", "The warranty of the X200 is 1 year."),
        (
            "what is the warranty of the X200 and the X200 Pro?",
            "The warranty of the X200 is 1 year. The warranty of the X200 Pro is 2 years.",
        ),
    ],
)
def test_plain_questions_are_answered_from_facts(graph: Graph, question: str, answer: str) -> None:
    assert said(graph, question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "how do I register the warranty of the X200?",
        "does the warranty of the X200 cover water?",
        "is the X200 not under warranty?",
        "X200不保修吗",
        "is the X300 under warranty?",
        "is the X2000 under warranty?",
        "how much is the X200?",
        "is the X200 red?",
        "is it under warranty?",
        "are headphones X200?",
        "the warranty",
        "",
        "?!",
        "X200 " * 200 + "warranty",
    ],
)
def test_what_facts_do_not_say_is_not_said(graph: Graph, question: str) -> None:
    assert graph.ask(question) is None


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("My X200 broke. How long is its warranty?", "The warranty of the X200 is 1 year."),
        ("右边没声音了。小蓝耳机保修多久，订单OL7，谢啦", "小蓝耳机的保修期是一年。"),
        ("还在保修期吗？买了好几样，说的是X200", "是的，小蓝耳机的保修期是一年。"),
        ("The X200, which I got last week, is under warranty?", "Yes. The warranty"),
        ("I love it! Is the X200 under warranty? Are ear pads returnable?", "Yes. The warranty"),
        ("I have the X200, and my wife the X200 Pro. How long is the warranty?", "Pro is 2 years."),
        ("The warranty, I registered it. The X200 is mine.", ""),
        ("My X200 broke. How do I register the warranty? It was expensive", ""),
        ("How do I return the X200?", ""),
        ("I want to return the X200", ""),
        ("X200, X200 Pro", ""),
    ],
)
def test_of_a_longer_message_the_plain_questions_are_answered(
    graph: Graph, message: str, answer: str
) -> None:
    found = graph.ask(message)
    if not answer:
        assert found is None
        return
    assert found is not None
    assert answer in found.text
    assert not found.is_whole


def test_an_answer_names_all_facts_it_used(graph: Graph) -> None:
    answer = graph.ask("is the X200 under warranty?")
    assert answer is not None
    assert answer.sources == ("X200 | is a | headphones", "headphones | warranty | 1 year")
    assert [triple.line for triple in answer.triples] == [3, 9]


def test_what_was_said_before_tells_what_its_means(graph: Graph) -> None:
    about = "I have the X200. Or was it the X200 Pro?"
    assert said(graph, "and how long is its warranty?", about=about).endswith("Pro is 2 years.")


def test_the_answer_is_in_the_language_asked_for(graph: Graph) -> None:
    answer = graph.ask("X200 warranty", "zh")
    assert answer is not None
    assert (answer.text, answer.language) == ("小蓝耳机的保修期是一年。", "zh")


def test_rules_look_facts_up_by_whatever_a_text_names(graph: Graph) -> None:
    assert graph.fact("my x200 fell down", "保修") == "1 year"
    assert graph.fact("my kettle fell down", "warranty") == ""
    assert graph.is_a("我的小蓝耳机", "electronics")
    assert not graph.is_a("ear pads", "electronics")
    with pytest.raises(KnowledgeError, match="did you mean 'warranty'"):
        graph.relation("waranty")


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ("a | b", "facts:1", "2 parts and not 3"),
        ("# ok\na | b | ", "facts:2", "some of them empty"),
        ("a | b | c | d", "facts:1", "4 parts"),
        ("a | b | " + "c" * 2000, "facts:1", "1,000 are allowed"),
        ("X | warranty | 1 year\nx | Warranty | 2 years", "facts:2", r"\(line 1\).*contradict"),
        ("a | is a | b\nb | is a | c\nc | is a | a", "facts:3", "goes round in a circle"),
        ("a | is a | a", "facts:1", "a is a a"),
        (
            "X | is a | b\nX | is a | c\nb | price | 1\nc | price | 2",
            "facts:4",
            "for 'X', .* contradict",
        ),
        ("a | also called | c\nb | also called | c", "facts:2", "called both 'a'"),
        ("a | said as | {object} {name}", "facts:1", r"\{name\} is not"),
        ("a | said as | always this", "facts:1", "every answer would be the same"),
        ("a | said as | {object} {", "facts:1", "brace"),
        ("a | values | several", "facts:1", "not 'many'"),
    ],
)
def test_doubtful_facts_are_refused_with_their_line(lines: str, where: str, what: str) -> None:
    with pytest.raises(KnowledgeError, match=what) as caught:
        read_graph(lines)
    assert caught.value.where == where


def test_too_many_facts_are_refused() -> None:
    with pytest.raises(KnowledgeError, match="100,001 facts and 100,000 are allowed"):
        read_graph("\n".join(f"a{i} | b | c" for i in range(100_001)))


def test_an_exception_is_no_contradiction() -> None:
    graph = read_graph("X | is a | b\nb | price | 1\nX | price | 2")
    assert graph.fact("X", "price") == "2"


def test_a_value_that_two_ways_lead_to_is_no_contradiction() -> None:
    graph = read_graph("X | is a | b\nX | is a | c\nb | price | 1\nc | price | 1")
    assert graph.fact("x", "price") == "1"


def test_other_names_of_other_names_mean_the_same() -> None:
    graph = read_graph("b | also called | c\na | also called | b\na | price | 1\nc | colour | red")
    assert {triple.subject for triple in graph.triples if triple.relation == "colour"} == {"a"}
    assert graph.fact("C", "price") == "1"
    assert read_graph("a | also called | a\na | price | 1").fact("A", "price") == "1"


def test_the_longest_name_is_meant() -> None:
    graph = read_graph("gift | price | 1\ngift card | price | 2\ngift card box | price | 3")
    assert graph.things("Gift cards or a gift card box or a gift?") == [
        "gift card",
        "gift card box",
        "gift",
    ]


def test_facts_are_the_same_however_they_are_spelled() -> None:
    assert read_graph("﻿Ａ ｜ price ｜ 1\r\n").triples == (Triple("Ａ", "price", "1"),)
    assert len(read_graph("a | b | c\na | b | c")) == 1


def test_ten_thousand_facts_are_read_at_once_and_asked_in_no_time() -> None:
    things = [f"P{i} | is a | kind {i % 50}\nP{i} | price | {i} yuan" for i in range(4950)]
    kinds = [f"kind {i} | warranty | {i % 5 + 1} years\nkind {i} | is a | good" for i in range(50)]
    start_s = time.process_time()
    graph = read_graph("\n".join(things + kinds))
    read_s = time.process_time() - start_s
    assert len(graph) == 10_000
    start_s = time.process_time()
    answers = [said(graph, f"what is the price and warranty of P{i}?") for i in range(100)]
    ask_s = (time.process_time() - start_s) / 100
    assert answers[7] == "P7: price 7 yuan. P7: warranty 3 years."
    assert read_s < 10  # 1 s as measured
    assert ask_s < 0.02  # 0.4 ms as measured


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("is the kettle under warranty?", "Yes. The guarantee of the kettle is 1 year."),
        ("扫地机保修多久", "扫地机的保修期是两年。"),
        ("礼品卡能退吗", "礼品卡不能退。"),
        ("how long does express delivery take?", "The express delivery takes 1 day."),
        ("店里可以用支付宝支付吗", "是的，本店可以用支付宝、微信支付、PayPal支付。"),
    ],
)
def test_the_sample_facts_answer_in_both_languages(question: str, answer: str) -> None:
    graph = read_graph((SAMPLES / "facts.txt").read_text(encoding="utf-8"))
    assert said(graph, question) == answer
