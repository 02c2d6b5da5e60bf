"""The figures of wrong labels are of the right rows."""

from __future__ import annotations

from collections import Counter

import pytest
from benchmarks.noise import flipped, found, recovered

ROWS = [
    {"id": str(n), "split": "test" if n < 20 else "train", "intent": "abcd"[n % 4]}
    for n in range(120)
]


def test_a_fifth_of_the_training_labels_change_and_no_test_label_does() -> None:
    changed = flipped(ROWS, share=0.2, seed=0)
    wrong = [
        (old, new) for old, new in zip(ROWS, changed, strict=True) if old["intent"] != new["intent"]
    ]
    assert Counter(old["split"] for old, _ in wrong) == {"train": 20}
    drawn = Counter(row["intent"] for row in flipped(ROWS, share=1.0, seed=0)[20:])
    assert min(drawn.values()) > 10  # 25 of each, about
    assert [row["id"] for row in changed] == [row["id"] for row in ROWS]
    assert flipped(ROWS, share=0.2, seed=0) == changed != flipped(ROWS, share=0.2, seed=1)


def test_precision_and_recall_count_wrong_rows_among_the_doubted() -> None:
    doubted = [True, True, True, False, False]
    assert found(doubted, [True, True, False, True, False]) == {
        "n": 3,
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
    }
    assert found([False, False], [True, False]) == {"n": 0, "precision": 0.0, "recall": 0.0}


def test_what_was_never_lost_is_not_recovered() -> None:
    assert recovered(0.91, 0.89, 0.93) == 0.5
    assert recovered(0.95, 0.93, 0.93) is None
