"""Splits are a partition, keep together what belongs together, and respect what is given."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.config import SplitSettings
from tailorbird.data import split
from tailorbird.data.allocation import quotas
from tailorbird.data.splits import Splits
from tailorbird.errors import ConfigError, DataError, NoLabelsError
from tailorbird.records import SPLITS, Interaction, SplitName

START = datetime(2024, 5, 1, tzinfo=UTC)
NAMES = [f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in "mnprst"]


def make(n_rows: int, labels: str = "ab", **fields: object) -> list[Interaction]:
    """Rows whose texts are all different words."""
    rows = [
        Interaction(
            id=str(n), text=f"{NAMES[n % 180]} {NAMES[n // 180]}", label=labels[n % len(labels)]
        )
        for n in range(n_rows)
    ]
    return [replace(row, **fields) for row in rows]


def place_of(splits: Splits) -> dict[str, SplitName]:
    return {example.interaction_id: name for name in SPLITS for example in splits[name]}


def test_rows_are_divided_seven_to_two_to_one_within_each_label() -> None:
    splits = split(make(200, "aaab"))
    assert splits.report.n_rows == {"train": 140, "validation": 40, "test": 20}
    assert splits.report.counts == {
        "train": {"a": 105, "b": 35},
        "validation": {"a": 30, "b": 10},
        "test": {"a": 15, "b": 5},
    }
    assert splits.labels == ("a", "b")


def test_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    rows = make(100)
    assert split(rows, SplitSettings(seed=3)) == split(rows, SplitSettings(seed=3))
    assert place_of(split(rows)) != place_of(split(rows, SplitSettings(seed=1)))


def test_rows_without_a_label_are_counted_and_left_out() -> None:
    splits = split([*make(20), Interaction(id="x", text="no label")])
    assert "x" not in place_of(splits)
    assert splits.report.n_unlabelled == 1
    assert "1 rows have no label and are in no split" in splits.report.decisions


def test_rare_labels_are_left_out_and_named_with_what_to_do() -> None:
    splits = split([*make(20), *make(2, "z")])
    assert splits.labels == ("a", "b")
    assert splits.report.dropped_labels == {"z": 2}
    [told] = [line for line in splits.report.decisions if "'z' (2)" in line]
    assert "collect more rows, join them with another label, or lower" in told


def test_label_with_three_rows_is_in_every_split() -> None:
    splits = split([*make(30), *make(3, "z")])
    assert [splits.report.counts[name]["z"] for name in SPLITS] == [1, 1, 1]


def test_near_duplicates_are_moved_to_one_side_and_shown() -> None:
    long = "my parcel has not arrived although the page says it was delivered"
    twins = [
        Interaction(id=f"twin{n}", text=long + " " + "!" * n, label="ab"[n % 2]) for n in range(8)
    ]
    splits = split([*make(60), *twins])
    assert len({place_of(splits)[f"twin{n}"] for n in range(8)}) == 1
    assert splits.report.n_moved == 7
    assert splits.report.moved[0][0] == long


def test_near_duplicates_may_be_allowed_on_both_sides() -> None:
    twins = [Interaction(id=f"t{n}", text="the same", label="ab"[n % 2]) for n in range(40)]
    splits = split(twins, SplitSettings(near_duplicate=0.0))
    assert splits.report.n_rows == {"train": 28, "validation": 8, "test": 4}


# -- by user


def test_user_never_appears_in_two_splits() -> None:
    rows = [replace(row, user=f"u{n % 23}") for n, row in enumerate(make(230))]
    splits = split(rows, SplitSettings(by="user"))
    users = {name: {example.user for example in splits[name]} for name in SPLITS}
    assert not users["train"] & users["validation"]
    assert not users["train"] & users["test"]
    assert not users["validation"] & users["test"]
    assert 0.6 < splits.report.n_rows["train"] / 230 < 0.8


def test_rows_without_a_user_are_divided_one_by_one() -> None:
    rows = [replace(row, user=f"u{n % 5}" if n < 50 else None) for n, row in enumerate(make(150))]
    splits = split(rows, SplitSettings(by="user"))
    assert "100 rows name no user; each counts as its own" in splits.report.decisions
    assert len({place_of(splits)[str(n)] for n in range(50, 150)}) == 3


def test_phrase_that_all_users_share_does_not_tie_them_together() -> None:
    rows = [replace(row, user=f"u{n % 20}") for n, row in enumerate(make(200))]
    shared = [
        Interaction(id=f"s{n}", text="hello there", label="a", user=f"u{n}") for n in range(20)
    ]
    splits = split([*rows, *shared], SplitSettings(by="user"))
    users = [{example.user for example in splits[name]} for name in SPLITS]
    assert sum(map(len, users)) == 20
    assert splits.report.n_leaks > 0
    assert splits.report.leaks[0].text == splits.report.leaks[0].other_text == "hello there"


def test_too_few_users_are_refused() -> None:
    rows = [replace(row, user=f"u{n % 2}") for n, row in enumerate(make(20))]
    with pytest.raises(DataError, match="rows of 2 users cannot be split by user"):
        split(rows, SplitSettings(by="user"))


# -- by time


def timed(rows: list[Interaction]) -> list[Interaction]:
    times = [START + timedelta(hours=(n * 37) % len(rows)) for n in range(len(rows))]
    return [replace(row, time=time) for row, time in zip(rows, times, strict=True)]


def test_oldest_rows_train_and_newest_rows_test() -> None:
    rows = timed(make(100))
    splits = split(rows, SplitSettings(by="time"))
    time_of = {row.id: row.time for row in rows}
    times = [[time_of[example.interaction_id] for example in splits[name]] for name in SPLITS]
    assert max(times[0]) < min(times[1])
    assert max(times[1]) < min(times[2])
    assert splits.report.n_rows == {"train": 70, "validation": 20, "test": 10}


def test_later_copy_of_an_earlier_row_is_left_out_when_time_divides() -> None:
    rows = timed(make(100))
    copy = Interaction(
        id="copy", text="twice said thing", label="a", time=START - timedelta(days=1)
    )
    splits = split([*rows, copy, replace(copy, id="later", time=START + timedelta(days=99))],
                   SplitSettings(by="time"))  # fmt: skip
    assert place_of(splits)["copy"] == "train"
    assert "later" not in place_of(splits)
    assert splits.report.moved == (("twice said thing", "twice said thing"),)


def test_label_that_first_occurs_later_is_left_out_and_named() -> None:
    later = START + timedelta(days=90)
    late = [
        replace(row, id=f"z{row.id}", label="z", text=f"late {row.text}", time=later)
        for row in make(4)
    ]
    splits = split([*timed(make(100)), *late], SplitSettings(by="time"))
    assert splits.labels == ("a", "b")
    assert splits.report.dropped_labels == {"z": 4}
    assert any("'z' left out (4 rows): it first occurs after" in d for d in splits.report.decisions)


def test_rows_without_any_time_are_refused() -> None:
    with pytest.raises(DataError, match=r"no row has a time to split by; name the column with"):
        split(make(20), SplitSettings(by="time"))


# -- given


def given_rows(**n_rows: int) -> list[Interaction]:
    rows = iter(make(sum(n_rows.values())))
    return [replace(next(rows), split=name) for name, n in n_rows.items() for _ in range(n)]


def test_given_splits_are_kept_whole() -> None:
    rows = given_rows(train=50, validation=7, test=30)
    splits = split(rows)
    assert place_of(splits) == {row.id: row.split for row in rows}
    assert splits.report.by == "given"


def test_missing_validation_is_a_tenth_of_train_stratified() -> None:
    rows = given_rows(train=100, test=30)
    splits = split(rows)
    assert splits.report.n_rows == {"train": 90, "validation": 10, "test": 30}
    assert splits.report.counts["validation"] == {"a": 5, "b": 5}
    assert {place_of(splits)[row.id] for row in rows if row.split == "test"} == {"test"}
    assert any("10 %, stratified" in line for line in splits.report.decisions)


def test_missing_test_split_is_a_tenth_of_train_too() -> None:
    splits = split(given_rows(train=100, validation=20))
    assert splits.report.n_rows == {"train": 90, "validation": 20, "test": 10}


def test_near_duplicates_across_given_splits_are_reported_and_never_moved() -> None:
    rows = given_rows(train=50, validation=10, test=20)
    rows[70] = replace(rows[70], text=rows[0].text + "!")
    splits = split(rows)
    assert splits.report.n_rows == {"train": 50, "validation": 10, "test": 20}
    assert splits.report.n_leaks == 1
    [leak] = splits.report.leaks
    assert (leak.split, leak.text) == ("test", rows[0].text + "!")
    assert (leak.other_split, leak.other_text) == ("train", rows[0].text)


def test_test_label_that_train_never_shows_is_left_out_and_named() -> None:
    rows = given_rows(train=50, validation=10, test=20)
    rows[75] = replace(rows[75], label="z")
    splits = split(rows)
    assert splits.report.n_rows["test"] == 19
    assert splits.report.dropped_labels == {"z": 1}


def test_rows_that_name_no_split_go_to_train() -> None:
    rows = [*given_rows(train=50, validation=10, test=20), Interaction("x", "unplaced", label="a")]
    assert place_of(split(rows))["x"] == "train"


def test_source_that_knows_only_train_is_divided_by_us() -> None:
    splits = split(given_rows(train=100))
    assert splits.report.n_rows == {"train": 70, "validation": 20, "test": 10}
    assert splits.report.by == "random"


def test_given_test_without_train_is_refused() -> None:
    with pytest.raises(DataError, match="no rows to train on"):
        split(given_rows(validation=10, test=20))


# -- errors


def test_logs_without_labels_name_every_way_to_label() -> None:
    with pytest.raises(NoLabelsError) as caught:
        split([Interaction(id="1", text="hi")])
    for option in ("--label COLUMN", "--labels FILE", "--rules FILE.toml"):
        assert option in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_one_label_is_not_enough() -> None:
    with pytest.raises(DataError, match="only the label 'a' is left; a classifier needs two"):
        split(make(30, "a"))


def test_labels_that_were_too_few_are_named_where_none_is_left() -> None:
    with pytest.raises(
        DataError, match=r"no label is left; .*rows: 'a' \(1\), 'b' \(2\)\); label more"
    ):
        split([*make(1, "a"), *make(2, "b")])


def test_nothing_left_by_cleaning_is_not_taken_for_missing_labels() -> None:
    with pytest.raises(DataError, match="cleaning left no row; its report says which step"):
        split([])


def test_the_size_of_each_split_is_told() -> None:
    assert (
        "rows: train 70, validation 20, test 10; labels: 2"
        in split(make(100, "ab")).report.decisions
    )


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(
        DataError, match="2 labelled rows are too few: the validation split is empty"
    ):
        split(make(2, "ab"), SplitSettings(min_rows_per_label=1))


def test_ratio_without_a_test_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves a split empty"):
        split(make(20), SplitSettings(ratio=(8, 2, 0)))


# -- properties


@given(st.integers(0, 500), st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_quotas_sum_to_the_rows_and_leave_train_something(
    n: int, ratio: tuple[int, int, int]
) -> None:
    found = quotas(n, dict(zip(SPLITS, map(float, ratio), strict=True)))
    assert sum(found.values()) == n
    assert min(found.values()) >= (1 if n >= 3 else 0)
    assert found["train"] >= min(n, 1)


words = st.sampled_from(NAMES[:40])
interactions = st.lists(
    st.builds(
        Interaction,
        id=st.just(""),
        text=st.lists(words, min_size=1, max_size=3).map(" ".join),
        label=st.sampled_from(["a", "b", "c", None]),
        user=st.sampled_from([None, "u1", "u2", "u3", "u4", "u5"]),
        time=st.integers(0, 20).map(lambda n: START + timedelta(hours=n)),
    ),
    min_size=12,
    max_size=60,
).map(lambda rows: [replace(row, id=str(n)) for n, row in enumerate(rows)])


@settings(deadline=None)
@given(interactions, st.sampled_from(["random", "user", "time"]), st.integers(0, 3))
def test_splits_are_a_partition_of_the_labelled_rows(
    rows: list[Interaction], by: str, seed: int
) -> None:
    try:
        splits = split(rows, SplitSettings(by=by, seed=seed))
    except DataError:
        return  # too little to split; the message is tested above
    examples = [example for name in SPLITS for example in splits[name]]
    ids = Counter(example.interaction_id for example in examples)
    assert max(ids.values()) == 1
    by_id = {row.id: row for row in rows}
    assert all(by_id[example.interaction_id].label == example.label for example in examples)
    assert {example.label for example in splits.train} == set(splits.labels)
    dropped = sum(splits.report.dropped_labels.values())
    left_out = splits.report.n_moved if by == "time" else 0
    n_labelled = sum(row.label is not None for row in rows)
    assert len(examples) + dropped + left_out == n_labelled
    if by == "random":
        place = place_of(splits)
        first_with: dict[str, SplitName] = {}
        for row in rows:
            if row.id in place:
                assert first_with.setdefault(row.text, place[row.id]) == place[row.id]


def test_rows_labelled_as_out_of_scope_are_divided_and_put_aside() -> None:
    rows = make(120, labels="abO")
    rows = [replace(row, label="Out-of-Scope") if row.label == "O" else row for row in rows]
    splits = split(rows)
    assert splits.labels == ("a", "b")
    assert {name: len(part) for name, part in splits.outside.items()} == splits.report.n_outside
    assert splits.report.n_outside == {"train": 28, "validation": 8, "test": 4}
    assert splits.report.n_rows == {"train": 56, "validation": 16, "test": 8}
    assert any(line.startswith("out of scope: ") for line in splits.report.decisions)


def test_rows_out_of_scope_that_are_given_to_test_alone_are_kept_there() -> None:
    rows = given_rows(train=50, validation=10, test=20)
    rows[75] = replace(rows[75], label="oos")
    splits = split(rows)
    assert [example.interaction_id for example in splits.outside["test"]] == ["75"]
    assert (splits.report.n_rows["test"], splits.report.dropped_labels) == (19, {})


def test_a_label_is_out_of_scope_only_where_the_settings_name_it() -> None:
    rows = make(60, labels="abc")
    rows = [replace(row, label="其他") if row.label == "c" else row for row in rows]
    assert split(rows).labels == ("a", "b", "其他")
    assert split(rows, SplitSettings(out_of_scope="oos, 其他")).labels == ("a", "b")
    named = [replace(row, label="oos") if row.label == "其他" else row for row in rows]
    assert split(named, SplitSettings(out_of_scope="")).labels == ("a", "b", "oos")
