"""What counts as the same text, and that nothing alike is overlooked."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.data.duplicates import (
    Groups,
    NearDuplicateIndex,
    jaccard,
    join_near_duplicates,
    near_duplicates_across,
    shingles,
)
from tailorbird.errors import ConfigError

LONG = "my parcel has not arrived although the page says it was delivered on monday at noon"


def joined(texts: list[str], threshold: float = 0.9) -> list[list[int]]:
    groups = Groups(len(texts))
    join_near_duplicates(texts, groups, threshold)
    return groups.members()


def test_time_for_texts_of_one_template_grows_with_their_number() -> None:
    rng, index, n_compared = random.Random(0), NearDuplicateIndex(0.9), 0

    def count(number: int) -> bool:
        nonlocal n_compared
        n_compared += 1
        return False

    for number in range(2_000):
        text = f"my order {rng.randrange(10**9)} has not come to {rng.randrange(10**9)} street yet"
        assert list(index.similar(text, count)) == []
        index.add(number, text)
    # All of them share bands; each against each would be two million pairs.
    assert n_compared < 2_000 * 100


def test_near_duplicates_are_found_among_very_many_texts_of_their_template() -> None:
    rng = random.Random(0)
    texts = [f"{LONG} {rng.randrange(10**30)} {rng.randrange(10**30)}" for _ in range(1_000)]
    assert joined([*texts, texts[700] + "!1"])[700] == [700, 1_000]


def test_punctuation_case_and_spaces_make_no_difference() -> None:
    assert joined(["Where is it?", "where is it!!", "WHEREISIT", "where was it"]) == [
        [0, 1, 2],
        [3],
    ]


def test_one_word_more_in_a_long_text_makes_a_near_duplicate() -> None:
    assert joined([LONG, LONG + " ok", "another thing entirely"]) == [[0, 1], [2]]


def test_short_texts_with_another_word_are_different() -> None:
    assert joined(["cancel order 12", "cancel order 13", "退款", "退货"]) == [[0], [1], [2], [3]]


def test_texts_without_letters_are_compared_as_they_are() -> None:
    assert joined(["??", "!!", "??", "👍"]) == [[0, 2], [1], [3]]


def test_likeness_is_passed_on() -> None:
    chain = [LONG, LONG + " today", LONG + " today or so"]
    first, *_, last = map(shingles, chain)
    assert jaccard(first, last) < 0.9
    assert joined(chain) == [[0, 1, 2]]


def test_pairs_across_two_lists_name_both_sides() -> None:
    ours, theirs = ["new words", LONG + "!", "Hi"], ["hello", "hi.", LONG]
    assert list(near_duplicates_across(ours, theirs, 0.9)) == [(1, 2), (2, 1)]


def test_candidates_are_verified_by_their_true_similarity() -> None:
    index = NearDuplicateIndex(0.9)
    index.add(0, LONG)
    assert list(index.similar(LONG.replace("monday", "tuesday"))) == []


def test_of_a_hundred_similar_pairs_hardly_one_is_missed() -> None:
    order = random.Random(0)
    words = ["".join(order.choices("abcdefghijklmnop", k=6)) for _ in range(2_000)]
    n_similar = n_found = 0
    for _ in range(300):
        text = " ".join(order.choices(words, k=60))
        other = text.replace(text.split()[0], order.choice(words), 1)
        if jaccard(shingles(text), shingles(other)) >= 0.9:
            n_similar += 1
            index = NearDuplicateIndex(0.9)
            index.add(7, text)
            n_found += list(index.similar(other)) == [7]
    assert n_similar >= 100
    assert n_found / n_similar >= 0.99


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_threshold_that_is_no_similarity_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="is not a similarity"):
        NearDuplicateIndex(threshold)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_a_partition_that_keeps_every_pair_together(
    pairs: list[tuple[int, int]],
) -> None:
    groups = Groups(20)
    for first, second in pairs:
        groups.join(first, second)
    members = groups.members()
    assert sorted(number for group in members for number in group) == list(range(20))
    assert all(any(a in group and b in group for group in members) for a, b in pairs)


@settings(deadline=None)
@given(st.lists(st.sampled_from([LONG, LONG + " ok", "hi", "Hi!", "bye", "", "?"]), max_size=12))
def test_equal_texts_are_always_in_one_group(texts: list[str]) -> None:
    groups = joined(texts)
    for first, one in enumerate(texts):
        for second, other in enumerate(texts):
            if one == other:
                assert any(first in group and second in group for group in groups)
