"""Vectors that were asked for lately come without being computed again, and are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailorbird.knowledge.remembering import MAX_TEXTS, Remembered


class Counting:
    """Each text has a vector of its own: its length and whether it is a question."""

    hash = "counting"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        self.asked.append(list(texts))
        return np.array([[len(text), float(is_query)] for text in texts], np.float32)


def test_only_what_is_new_is_computed_and_rows_come_in_their_order() -> None:
    encoder = Counting()
    remembered = Remembered(encoder)
    assert remembered.embed(["a", "bb"], is_query=False).tolist() == [[1, 0], [2, 0]]
    found = remembered.embed(["ccc", "bb", "ccc", "a"], is_query=False)
    assert found.tolist() == [[3, 0], [2, 0], [3, 0], [1, 0]]
    assert encoder.asked == [["a", "bb"], ["ccc"]]
    assert remembered.hash == "counting"


def test_a_question_and_a_passage_of_the_same_words_differ() -> None:
    remembered = Remembered(Counting())
    assert remembered.embed(["a"], is_query=True).tolist() == [[1, 1]]
    assert remembered.embed(["a"], is_query=False).tolist() == [[1, 0]]


def test_what_was_asked_longest_ago_is_forgotten_first() -> None:
    encoder = Counting()
    remembered = Remembered(encoder, n_kept=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        remembered.embed([text], is_query=True)
    assert encoder.asked == [["a"], ["b"], ["c"], ["b"]]


def test_a_document_that_is_added_pushes_nothing_out() -> None:
    encoder = Counting()
    remembered = Remembered(encoder, n_kept=2)
    remembered.embed(["a"], is_query=True)
    texts = [str(n) for n in range(MAX_TEXTS + 1)]
    assert len(remembered.embed(texts, is_query=False)) == MAX_TEXTS + 1
    remembered.embed(["a"], is_query=True)
    assert encoder.asked == [["a"], texts]
