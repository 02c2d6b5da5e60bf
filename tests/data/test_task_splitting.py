"""Dividing the rows of tasks: shares, strata, and nothing in two splits."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from tailorbird.config import SplitSettings
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.tasks.splitting import Split, divide_examples, fill_given
from tailorbird.errors import DataError
from tailorbird.records import SPLITS, Example, Span

SETTINGS = SplitSettings()


def divided(rows: list[Example], task: TaskKind = "single_label", seed: int = 0) -> Split:
    return divide_examples(rows, task, SplitSettings(seed=seed), note=lambda sentence: None)


def sizes(split: Split) -> list[int]:
    return [len(split[name]) for name in SPLITS]


def test_every_label_has_its_share_in_each_split() -> None:
    rows = [Example(f"text {n}", "ab"[n % 10 == 0]) for n in range(200)]
    found = divided(rows)
    assert sizes(found) == [140, 40, 20]
    assert [Counter(row.label for row in found[name])["b"] for name in SPLITS] == [14, 4, 2]


def test_the_same_seed_divides_alike_and_another_differently() -> None:
    rows = [Example(f"text {n}", "x") for n in range(60)]
    assert divided(rows) == divided(rows)
    assert divided(rows)["test"] != divided(rows, seed=1)["test"]


@pytest.mark.parametrize("task", ["pairs", "retrieval", "regression"])
def test_no_text_is_in_two_splits(task: TaskKind) -> None:
    rows = [Example(f"Text  {n % 40}", second=f"other {n % 55}", value=n / 7) for n in range(220)]
    found = divided(rows, task) if task != "pairs" else divided(rows[:40] + rows[44:80], task)
    keys = {
        name: {row.text.casefold() for row in found[name]}
        | ({row.second for row in found[name]} if task == "pairs" else set())
        for name in SPLITS
    }
    assert all(keys[one].isdisjoint(keys[other]) for one, other in combinations(SPLITS, 2))


def test_several_labels_are_spread_each() -> None:
    rows = [
        Example(
            f"t{n}", labels=tuple(name for name, k in (("a", 2), ("b", 5), ("c", 20)) if n % k == 0)
        )
        for n in range(400)
    ]
    found = divided(rows, "multi_label")
    for label, n in (("a", 200), ("b", 80), ("c", 20)):
        shares = [sum(label in row.labels for row in found[name]) / n for name in SPLITS]
        assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.06), label


def test_numbers_are_spread_over_their_range() -> None:
    rows = [Example(f"t{n}", value=float(n)) for n in range(300)]
    found = divided(rows, "regression")
    means = [sum(row.value or 0.0 for row in found[name]) / len(found[name]) for name in SPLITS]
    assert means == pytest.approx([149.5] * 3, abs=8)


def test_a_rare_kind_of_span_is_in_train() -> None:
    rows = [Example(f"t{n}", spans=(Span(0, 1, "common"),)) for n in range(50)]
    rows.append(Example("once", spans=(Span(0, 1, "rare"),)))
    found = divided(rows, "token_classification")
    assert any(span.label == "rare" for row in found["train"] for span in row.spans)


def test_given_splits_stay_and_the_missing_one_comes_from_train() -> None:
    train = [Example(f"t{n}", "ab"[n % 2]) for n in range(100)]
    test = [Example("t1", "a")]
    notes: list[str] = []
    found = fill_given({"train": train, "test": test}, "single_label", SETTINGS, note=notes.append)
    assert sizes(found) == [90, 10, 1]
    assert found["test"] == tuple(test)
    assert notes[-1] == "no validation split is given: 10 rows of train became it"


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 rows are too few.*split is empty"):
        divided([Example("a", "x"), Example("b", "x")])
