"""What speaks for a passage: words, shapes, cosines against their background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailorbird.knowledge.evidence import FEATURES, Words, evidence, terms
from tailorbird.records import Passage

COLUMNS = {name: k for k, (name, _) in enumerate(FEATURES)}
RETURNS = Passage(
    "1", "faq", "", "Within 30 days.", 0.0, question="How do I return a lamp?", cosine=0.9,
    background=(0.5, 0.1),
)  # fmt: skip
COLOURS = replace(RETURNS, id="2", text="Red.", question="Which colours are there?", cosine=0.6)


def of(question: str, *passages: Passage, words: Words | None = None) -> dict[str, list[float]]:
    found = evidence(question, passages, words or Words())
    return {name: found[:, k].tolist() for name, k in COLUMNS.items()}


def test_cosines_are_taken_against_the_background_of_the_question() -> None:
    found = of("return a lamp", RETURNS, COLOURS)
    assert found["nearness"] == pytest.approx([0.8, 0.2])
    assert found["height"] == pytest.approx([0.8, 0.2])
    assert found["lead"] == pytest.approx([0.5, -0.5])  # 0.6 apart, cut at 0.5
    same = [replace(one, cosine=1 - (1 - one.cosine) / 2, background=(0.75, 0.05))
            for one in (RETURNS, COLOURS)]  # fmt: skip
    assert of("return a lamp", *same)["nearness"] == pytest.approx(found["nearness"])


def test_a_piece_that_says_the_same_takes_no_lead_away() -> None:
    twin = replace(RETURNS, id="3", cosine=0.89)
    found = of("return a lamp", RETURNS, twin, COLOURS)
    assert found["lead"][0] == pytest.approx(0.5)
    assert found["echo"] == [0.5, 0.5, 0.0]


def test_rare_words_count_more_than_common_ones() -> None:
    words = Words.of(["send the lamp", "send the table", "send the chair", "send the sofa"])
    assert words.weight("lamp") > words.weight("send")
    sofa = Passage("s", "d", "", "the sofa is blue", 0.0)
    send = Passage("t", "d", "", "send it", 0.0)
    found = of("send sofa", sofa, send, words=words)
    assert found["coverage"][0] > 0.7 > 0.3 > found["coverage"][1]


def test_words_that_no_piece_has_are_counted_once_there_is_a_base() -> None:
    words = Words.of(["return a lamp", "which colours"])
    assert of("return a lamp", RETURNS, words=words)["unseen"] == [0.0]
    assert of("my giraffe sings", RETURNS, words=words)["unseen"] == [1.0]
    assert of("my giraffe sings", RETURNS)["unseen"] == [0.0]


def test_a_typing_error_costs_words_and_hardly_shape() -> None:
    right, wrong = (of(text, RETURNS) for text in ("return a lamp", "retrun a lamp"))
    assert wrong["match"][0] < right["match"][0] - 0.1
    assert wrong["shape"][0] > right["shape"][0] - 0.25


def test_a_passage_without_a_question_is_compared_by_its_best_sentence() -> None:
    long = Passage("1", "d", "Shop › Returns", "We sell lamps. You may return a lamp. Bye.", 0.0)
    assert of("you may return a lamp", long)["match"] == [1.0]
    assert of("returns", long)["match"] == [1.0]


def test_chinese_is_read_by_pairs_of_characters_and_said_so() -> None:
    assert terms("退货要多久?") == ("退货", "货要", "要多", "多久")
    assert terms("货") == ("货",)
    assert of("退货要多久", RETURNS)["chinese"] == [1.0]
    assert of("how long", RETURNS)["chinese"] == [0.0]


@pytest.mark.parametrize("question", ["", "!?", "…", "a" * 5000, "\ud800"])
def test_odd_questions_give_finite_numbers(question: str) -> None:
    empty = Passage("1", "d", "", "", 0.0)
    assert np.isfinite(evidence(question, [RETURNS, empty], Words.of(["a"]))).all()
    assert evidence(question, [], Words()).shape == (0, len(FEATURES))


def test_words_that_a_base_loses_with_a_piece_are_unseen_from_then_on() -> None:
    sofa = Passage("s", "d", "Sofas", "The sofa is blue.", 0.0)
    lamp = Passage("l", "d", "Lamps", "The lamp is red.", 0.0)
    words = Words.of(f"{one.question} {one.heading} {one.text}" for one in (sofa, lamp))
    rest = words.without([sofa])
    assert (words.has("sofa"), rest.has("sofa"), rest.has("lamp")) == (True, False, True)
    assert (rest.n_pieces, rest.counts["is"]) == (1, 1)
    assert (words.n_pieces, words.counts["is"], words.has("sofa")) == (2, 2, True)
    assert rest.weight("sofa") == Words.of(["The lamp is red."]).weight("sofa") == 1.0
    assert of("blue sofa", lamp, words=rest)["unseen"] == [1.0]


def test_what_a_strange_word_keeps_apart_is_measured_against_the_background() -> None:
    eased = [replace(RETURNS, eased=value) for value in (0.1, -0.05, 2.0)]
    assert of("return a tiger", *eased)["eased"] == pytest.approx([0.2, 0.0, 0.5])
