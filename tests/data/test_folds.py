"""Folds leave each row out once, and nothing that would give it away is trained on meanwhile."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.config import SplitSettings
from tailorbird.data.tasks import assign_folds
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import Example

PLAIN = SplitSettings(near_duplicate=0.0)


def numbered(labels: str) -> list[Example]:
    return [Example(f"{label} {number * 7919:x}", label) for number, label in enumerate(labels)]


@given(st.text("abc", min_size=6, max_size=60), st.integers(2, 5))
def test_rows_of_each_label_differ_by_one_at_most_between_folds(labels: str, n_folds: int) -> None:
    rows = numbered(labels)
    folds = assign_folds(rows, n_folds, "single_label", settings=PLAIN)
    assert set(folds) <= set(range(n_folds))
    for label in set(labels):
        counts = Counter(fold for row, fold in zip(rows, folds, strict=True) if row.label == label)
        sizes = [counts[fold] for fold in range(n_folds)]
        assert max(sizes) - min(sizes) <= 1


def test_rows_that_say_the_same_share_a_fold() -> None:
    rows = [
        *numbered("aabbccaabbcc"),
        Example("Where is my parcel?", "a"),
        Example("where is my  PARCEL", "b"),
        Example("where is my parcel !!", "c"),
    ]
    folds = assign_folds(rows, 4, "single_label", settings=SplitSettings())
    assert len(set(folds[-3:])) == 1


def test_user_never_appears_in_two_folds() -> None:
    rows = [Example(f"{i:x}{i * 7919:x}", "ab"[i % 2], user=f"u{i % 9}") for i in range(60)]
    said: list[str] = []
    by_user = SplitSettings(by="user", near_duplicate=0.0)
    folds = assign_folds(rows, 3, "single_label", settings=by_user, note=said.append)
    seen: dict[str, set[int]] = {}
    for row, fold in zip(rows, folds, strict=True):
        seen.setdefault(row.user or "", set()).add(fold)
    assert all(len(of_user) == 1 for of_user in seen.values())
    assert "no user in two" in said[0]


def test_phrase_that_everybody_uses_does_not_tie_all_users_together() -> None:
    rows = [
        Example(text, "ab"[user % 2], user=f"u{user}")
        for user in range(8)
        for text in ("thank you very much", f"{user}{user * 7919:x}")
    ]
    folds = assign_folds(rows, 4, "single_label", settings=SplitSettings(by="user"))
    assert Counter(folds) == {0: 4, 1: 4, 2: 4, 3: 4}


def test_same_seed_gives_the_same_folds_and_another_does_not() -> None:
    rows = numbered("ab" * 20)
    first, again, other = (
        assign_folds(rows, 4, "single_label", settings=SplitSettings(near_duplicate=0.0, seed=s))
        for s in (3, 3, 4)
    )
    assert first == again != other


def test_rows_of_several_labels_are_spread_by_each_of_them() -> None:
    rows = [Example(f"{i * 7919:x}", labels=("x", "y") if i % 2 else ("x",)) for i in range(40)]
    folds = assign_folds(rows, 4, "multi_label", settings=PLAIN)
    having_y = Counter(fold for row, fold in zip(rows, folds, strict=True) if "y" in row.labels)
    assert having_y == {0: 5, 1: 5, 2: 5, 3: 5}


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 folds leave nothing to train on"):
        assign_folds(numbered("abab"), 1, "single_label", settings=PLAIN)


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match="3 rows make 1 groups"):
        assign_folds([Example("same", "a")] * 3, 2, "single_label", settings=PLAIN)
