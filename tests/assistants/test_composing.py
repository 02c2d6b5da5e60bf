"""Answers from passages: only what stands there, each sentence with its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.assistants.desk_fakes import CLEANING, RETURNS, WARRANTY

from tailorbird.assistants.service_desk.answering.composing import extract, supported, verify
from tailorbird.assistants.service_desk.answering.grounding import sentences_of, supporting


def test_the_sentences_that_answer_are_given_with_their_source() -> None:
    (sentence, *more) = extract("How long is the warranty of headphones?", [WARRANTY])
    assert sentence.text == "The warranty of headphones is two years."
    assert (sentence.source, sentence.passage) == ("terms.md › Warranty › How long", "w1")
    assert all(one.text in WARRANTY.text and one.passage == "w1" for one in more)


def test_chinese_answers_are_extracted_as_well() -> None:
    found = extract("七天内可以退货吗？", [RETURNS])
    assert found[0].text == "签收后七天内可以无理由退货。"
    assert found[0].source == "退货.md › 退货 › 期限"


def test_a_question_with_its_answer_gives_the_answer_whole() -> None:
    found = extract("cleaning?", [CLEANING, WARRANTY])
    assert [sentence.text for sentence in found] == ["Use a dry cloth.", "Never use alcohol."]
    assert {sentence.passage for sentence in found} == {"q1"}


def test_no_more_sentences_than_wanted() -> None:
    many = replace(WARRANTY, text=" ".join(f"Warranty part {n} is long." for n in range(20)))
    assert len(extract("warranty part", [many], max_sentences=3)) == 3
    assert len(extract("warranty part", [many], max_sentences=1)) == 1


def test_sentences_keep_the_order_of_their_passage() -> None:
    text = "Refunds take 5 days. Unrelated things happen. Refunds of cards take 9 days."
    found = extract("refunds of cards", [replace(WARRANTY, text=text)])
    assert [sentence.text for sentence in found][-1] == "Refunds of cards take 9 days."


def test_the_encoder_finds_what_words_do_not() -> None:
    class Encoder:
        def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
            near = [[1.0, 0.0] if is_query or "water" in text else [0.0, 1.0] for text in texts]
            return np.array(near, dtype=np.float32)

    found = extract("may they get wet?", [WARRANTY], encoder=Encoder(), max_sentences=1)
    assert found[0].text == "It does not cover water damage."


def test_nothing_comes_of_nothing() -> None:
    assert extract("warranty?", []) == ()
    assert extract("warranty?", [replace(WARRANTY, text=" \n ")]) == ()


def test_judged_passages_are_taken_by_their_support() -> None:
    judged = [replace(WARRANTY, support=0.3), replace(RETURNS, support=0.8)]
    found = supported("?", judged, min_support=0.5, min_overlap=0.6)
    assert [passage.id for passage in found] == ["r1"]


def test_without_a_judge_the_words_of_the_question_must_be_there() -> None:
    options = {"min_support": 0.5, "min_overlap": 0.6}
    question = "how long is the warranty of headphones"
    assert [p.id for p in supported(question, [WARRANTY, RETURNS], **options)] == ["w1"]
    assert supported("do you sell bicycles?", [WARRANTY, RETURNS], **options) == []
    assert supported("???", [WARRANTY], **options) == []


@pytest.mark.parametrize(
    "text",
    [
        "The warranty of headphones is two years.",
        "The warranty is 2 years.",
        "It does not cover water damage.",
        "Please send the invoice with the headphones.",
    ],
)
def test_what_a_passage_says_is_verified(text: str) -> None:
    sentence = verify(text, [CLEANING, WARRANTY])
    assert sentence is not None
    assert sentence.passage == "w1"


@pytest.mark.parametrize(
    "text",
    [
        "The warranty of headphones is three years.",
        "The warranty is 24 months.",
        "It covers water damage.",
        "The warranty of headphones is not two years.",
        "The warranty of all headphones is two years.",
        "You get a free gift.",
        "I am a pirate!",
        "Yes.",
        "12345",
    ],
)
def test_what_no_passage_says_is_dropped(text: str) -> None:
    assert verify(text, [CLEANING, WARRANTY]) is None


def test_chinese_sentences_are_verified_too() -> None:
    assert supporting("签收后七天内可以退货。", [RETURNS]) is RETURNS
    assert supporting("签收后7天内可以退货。", [RETURNS]) is RETURNS
    assert supporting("签收后十五天内可以退货。", [RETURNS]) is None
    assert supporting("定制商品支持退货。", [RETURNS]) is None


def test_texts_are_cut_into_sentences() -> None:
    text = "# Terms\n1. Pay $3.50 (e.g. by card).\n2. Wait! 好的。“行。”再见"
    assert sentences_of(text) == [
        "Terms",
        "Pay $3.50 (e.g. by card).",
        "Wait!",
        "好的。",
        "“行。”",
        "再见",
    ]
