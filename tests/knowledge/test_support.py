"""The support model: what it says, how it is kept, and how a base teaches it without labels."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tailorbird.data import mask_pii
from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.evidence import FEATURES, Words, terms
from tailorbird.knowledge.rewording import reword
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.knowledge.support_fitting import (
    MIN_ASKED,
    Goal,
    Searched,
    asked_searches,
    fit_labelled,
    fit_support,
    own_question,
    with_threshold,
)
from tailorbird.records import Example, Passage

THINGS = ["lamp", "sofa", "table", "chair", "carpet", "mirror", "clock", "vase", "shelf", "bed"]
DOES = ["return", "clean", "assemble", "paint"]
PIECES = [
    Passage(f"{do}-{thing}", "faq", "", f"The {thing}: {do} it by the book.", 0.0,
            question=f"How do I {do} my {thing} at home?")
    for thing in THINGS
    for do in DOES
]  # fmt: skip


def bag(text: str) -> np.ndarray:
    """A vector of words: texts of the same words have the cosine 1."""
    vector = np.zeros(512)
    for term in terms(text):
        vector[sum(map(ord, term)) * 7919 % 512] += 1.0
    return vector / max(1e-9, float(np.linalg.norm(vector)))


class BagBase:
    """A base that searches by words in common."""

    def __init__(self, pieces: Sequence[Passage]) -> None:
        self.pieces = list(pieces)
        self.vectors = np.stack([bag(one.question or one.text) for one in pieces])

    def search(self, question: str, k: int) -> list[Passage]:
        cosines = self.vectors @ bag(question)
        background = (float(cosines.mean()), float(cosines.std()))
        return [
            replace(self.pieces[i], cosine=float(cosines[i]), background=background)
            for i in np.argsort(-cosines, kind="stable")[:k]
        ]


BASE = BagBase(PIECES)
KNOWN = ["how do i return my lamp", "please, how do i clean the mirror at home", "paint my shelf"]
UNKNOWN = ["what is the weather in Berlin", "do you ship to Norway", "how do i cancel my order"]


def best(support: LearnedSupport, question: str) -> tuple[float, str]:
    passages = BASE.search(question, 5)
    chances = support.probabilities(question, passages)
    return max(zip(chances, (one.id for one in passages), strict=True))


def test_a_base_teaches_without_labels_what_it_can_answer() -> None:
    support = fit_support(PIECES, BASE.search, n_questions=40)
    for question in KNOWN:
        assert best(support, question)[0] >= support.threshold, question
    for question in UNKNOWN:
        assert best(support, question)[0] < support.threshold, question
    assert best(support, KNOWN[0])[1] == "return-lamp"
    assert support.words.n_pieces == 40
    assert support.expected["refused_answerable"] <= 0.07
    assert support.expected["refused_unanswerable"] > 0.3  # its pieces are much alike
    assert "held near" in support.provenance


def asked_by_people() -> list[Example]:
    """Questions of few words, so that they are farther from the base than its own reworded."""
    ways = ("{} it, my {}", "the {1} wants me to {0} tonight maybe", "can one {} such a {} or not")
    return [
        Example(way.format(*piece.id.split("-")), second=piece.text)
        for piece in PIECES
        for way in ways
    ]


def refused(support: LearnedSupport, asked: Sequence[Example]) -> float:
    return float(np.mean([best(support, one.text)[0] < support.threshold for one in asked]))


def test_what_people_asked_says_how_much_is_refused() -> None:
    asked = random.Random(0).sample(asked_by_people(), 3 * len(PIECES))
    learned, heard = asked[: len(asked) // 2], asked[len(asked) // 2 :]
    alone = fit_support(PIECES, BASE.search)
    told = fit_support(PIECES, BASE.search, asked=learned)
    assert refused(alone, heard) > 0.4
    assert refused(told, heard) < 0.2  # sixty questions tell it to some 4 points
    assert told.expected["refused_answerable"] <= 0.07
    assert "questions of people" in told.provenance
    for question in UNKNOWN:
        assert best(told, question)[0] < told.threshold, question


def test_people_who_say_nothing_of_the_base_change_nothing() -> None:
    alone = fit_support(PIECES, BASE.search)
    few = asked_by_people()[: MIN_ASKED // 2]
    strange = [replace(one, second="Nobody says so.") for one in asked_by_people()]
    in_base = [Example(piece.question, second=piece.text) for piece in PIECES] * 3
    for asked in (few, strange, in_base):
        assert fit_support(PIECES, BASE.search, asked=asked) == alone


def test_an_answer_that_was_masked_is_that_of_the_piece() -> None:
    pieces = [replace(one, text=f"{one.text} Call 13812345678.") for one in PIECES]
    masked = [
        replace(one, second=mask_pii(f"{one.second} Call 13812345678."))
        for one in asked_by_people()
    ]
    found = asked_searches(pieces, BagBase(pieces).search, Words(), masked)
    assert masked[0].second != pieces[0].text
    assert sum(any(one.answers) for one in found) > MIN_ASKED
    assert sum(not any(one.answers) for one in found) == len(masked)


def test_the_same_base_and_seed_give_the_same_support() -> None:
    one, other = (fit_support(PIECES, BASE.search, n_questions=20) for _ in range(2))
    assert one == other


def test_what_ships_tells_near_from_far_and_says_where_it_is_from() -> None:
    support = LearnedSupport.default().knowing(PIECES)
    assert best(support, KNOWN[0])[0] > best(support, UNKNOWN[0])[0]
    assert support.weights["nearness"] > 0
    assert "clinc150" in support.provenance
    assert "support_default" in support.provenance


def test_contributions_and_bias_make_the_probability() -> None:
    support = LearnedSupport.default()
    passages = BASE.search(KNOWN[0], 3)
    parts = support.contributions(KNOWN[0], passages)
    logits = [sum(one.values()) + support.bias for one in parts]
    assert support.probabilities(KNOWN[0], passages) == pytest.approx(
        [1 / (1 + np.exp(-logit)) for logit in logits]
    )
    assert [list(one) for one in parts] == [[name for name, _ in FEATURES]] * 3


def test_nothing_found_supports_nothing() -> None:
    assert LearnedSupport.default().probabilities("anything", []) == []


def test_it_is_kept_as_json_and_refused_with_other_features(tmp_path: Path) -> None:
    support = fit_support(PIECES, BASE.search, n_questions=10)
    path = tmp_path / "support.json"
    support.save(path)
    assert LearnedSupport.load(path) == support
    row = json.loads(path.read_text(encoding="utf-8"))
    del row["weights"]["lead"]
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"support\.json: has weights of .*fit it again"):
        LearnedSupport.load(path)


def test_too_few_pieces_teach_nothing() -> None:
    with pytest.raises(KnowledgeError, match="3 pieces are too few"):
        fit_support(PIECES[:3], BASE.search)


def test_a_base_that_finds_none_of_its_own_pieces_says_so() -> None:
    stranger = Passage("x", "other", "", "Nothing.", 0.0, question="Nothing?")
    with pytest.raises(KnowledgeError, match="finds none of its own questions"):
        fit_support(PIECES, lambda _question, _k: [stranger], n_questions=10)


def searched(question: str, answer: str = "") -> Searched:
    passages = BASE.search(question, 5)
    return Searched(question, passages, [p.id == answer for p in passages], Words.of(["lamp"]))


def test_labels_are_learned_where_there_are_some() -> None:
    rows = [searched(f"how to {p.id.replace('-', ' a ')}", p.id) for p in PIECES]
    rows += [searched(question) for question in UNKNOWN * 5]
    support = fit_labelled(rows, Goal(answerable=0.1))
    assert support.expected["refused_answerable"] <= 0.1
    assert support.expected["refused_unanswerable"] == 1.0


def test_a_threshold_refuses_at_most_the_share_that_was_asked_for() -> None:
    rows = [searched(f"{p.id.replace('-', ' the ')} now", p.id) for p in PIECES]
    rows += [searched(UNKNOWN[0])]
    for share in (0.0, 0.1, 0.5):
        goal = Goal(answerable=share, unanswerable=1.0)
        support = with_threshold(LearnedSupport.default(), rows, goal)
        assert support.expected["refused_answerable"] <= share
        assert support.expected["refused_unanswerable"] == 1.0  # far below all others


def test_a_piece_without_a_question_answers_its_heading_and_first_sentence() -> None:
    piece = Passage("1", "a.md", "Shop › Returns", "Within 30 days. Else never.", 0.0)
    assert own_question(piece) == "Returns Within 30 days."
    assert own_question(replace(piece, heading="", text="")) == ""


def test_rewording_changes_a_question_and_keeps_most_of_it() -> None:
    rng = random.Random(0)
    for text in ("什么时候发货呢我等了三天了", "how can I cancel the order I made on Monday"):
        changed = [reword(text, rng) for _ in range(20)]
        assert len(set(changed)) > 10
        shares = [len(set(one) & set(text.lower())) / len(set(text.lower())) for one in changed]
        assert min(shares) > 0.3
    assert reword("退款", random.Random(1)).endswith("退款")
    assert reword("", random.Random(1)) is not None
