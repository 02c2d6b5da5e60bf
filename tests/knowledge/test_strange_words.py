"""Words that a base never has: what is left of a question without them, and what that tells."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.encoding import Embeds
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


class Counting:
    """An encoder that remembers what it read."""

    def __init__(self, encoder: Embeds) -> None:
        self.encoder = encoder
        self.hash = encoder.hash
        self.read: list[str] = []

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        self.read += texts
        return self.encoder.embed(texts, is_query=is_query)


@pytest.mark.parametrize(
    ("question", "enough", "is_read_twice"),
    [
        ("do you sell tigers in bulk?", 0.0, True),
        ("do you sell tigers in bulk?", 1e-6, True),  # it may reach that
        ("do you sell tigers in bulk?", 0.999, False),  # it cannot
        ("do you sell in bulk?", 0.999, False),
        ("giraffe?", 1e-6, False),
    ],
)
def test_a_question_is_read_without_strange_words_where_that_may_matter(
    base: KnowledgeBase, question: str, enough: float, is_read_twice: bool
) -> None:
    base.add("bulk.md", BULK)
    base.support = LearnedSupport.default()
    (exact,) = base.search(question)
    base.encoder = counting = Counting(base.encoder)
    (found,) = base.search(question, min_support=enough)
    assert len(counting.read) == 1 + is_read_twice
    if is_read_twice or question != "do you sell tigers in bulk?":
        assert found.support == pytest.approx(exact.support, abs=1e-6)
        assert found.eased == pytest.approx(exact.eased, abs=1e-6)
    else:
        assert exact.support <= found.support < enough


@pytest.mark.parametrize("weight", [-3.0, 3.0])
@pytest.mark.parametrize("enough", [0.01, 0.05, 0.2, 0.5])
def test_what_is_spared_never_changes_whether_an_answer_is_supported(
    base: KnowledgeBase, weight: float, enough: float
) -> None:
    base.add("bulk.md", BULK)
    base.add("returns.md", b"# Returns\n\nSend it back within thirty days.\n")
    default = LearnedSupport.default()
    base.support = replace(default, weights={**default.weights, "eased": weight})
    for words in ("sell tigers in bulk", "send a giraffe back", "return quarks", "discount, dude?"):
        exact = base.search(words)
        found = base.search(words, min_support=enough)
        for one, other in zip(found, exact, strict=True):
            assert one.id == other.id
            assert (one.support >= enough) == (other.support >= enough)
