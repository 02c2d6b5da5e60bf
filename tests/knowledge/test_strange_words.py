"""Words that a base never has: what is left of a question without them, and what that tells."""

from __future__ import annotations

import random

import pytest

from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.rewording import ODD, estrange
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.knowledge.words import without_strange, words_of

BULK = b"# Bulk orders\n\nWe sell to companies, in bulk, at a discount of ten percent.\n"


@pytest.mark.parametrize(
    ("question", "known", "left", "share"),
    [
        ("Do you sell live tigers?", {"sell"}, "Do you sell?", 2 / 3),
        ("Do you sell live tigers?", {"sell", "live", "tiger"}, "Do you sell live tigers?", 0.0),
        ("你们卖老虎吗", {"卖"}, "你们卖吗", 1 / 2),
        ("can you", set(), "can you", 0.0),
        ("", set(), "", 0.0),
        ("tigers!", {"sell"}, "!", 1.0),
    ],
)
def test_strange_words_are_left_out_and_counted(
    question: str, known: set[str], left: str, share: float
) -> None:
    assert without_strange(question, known) == (left, pytest.approx(share))


def test_a_find_says_how_much_nearer_the_question_is_without_its_strange_words(
    base: KnowledgeBase,
) -> None:
    base.add("bulk.md", BULK)
    (known,) = base.search("do you sell in bulk?")
    assert known.eased == 0.0
    (odd,) = base.search("do you sell tigers in bulk?")
    asked = ["do you sell tigers in bulk?", "do you sell in bulk?"]
    whole, without = base.encoder.embed(asked, is_query=True)
    piece = base._follow().shelf.vector(odd.id)
    assert odd.eased == pytest.approx(float(piece @ (without - whole)), abs=1e-6)
    assert odd.eased != 0.0
    (strange,) = base.search("giraffe?")  # nothing would be left
    assert strange.eased == 0.0


def test_what_is_eased_is_less_probable() -> None:
    support = LearnedSupport.default()
    assert support.weights["eased"] < 0
    assert support.weights["unseen"] < 0


@pytest.mark.parametrize("question", ["how can I cancel my order", "怎么取消我的订单"])
def test_a_word_nobody_has_answered_takes_the_place_of_one(question: str) -> None:
    known = set(words_of(question)) | set(words_of("tiger 老虎"))
    made = {estrange(question, known, random.Random(seed)) for seed in range(20)}
    assert len(made) > 5
    for one in made:
        assert one != question
        assert any(word in one for word in (*ODD["en"], *ODD["zh"]))
        assert "tiger" not in one
        assert "老虎" not in one
    assert estrange("can you", known, random.Random(0)) == ""
