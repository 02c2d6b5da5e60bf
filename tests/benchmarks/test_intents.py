"""The figures of intents are of the right rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.intents import PARTS, Turned, by_words, joined, read_clinc, read_xsid, turned_by
from benchmarks.sets import Rows

XSID = """# id = 1
# text-en = Is it going to rain?
# text = 今天会下雨吗？
# intent = weather/find
1\t今天\tweather/find\tB-datetime

# text = wake me at 7
# intent = alarm/set_alarm
# slots = 1
1\twake\talarm/set_alarm\tO
"""


WORDS = ("refund money", "track parcel", "good morning")


class Bundle:
    """Says refund, and that short texts are out of scope."""

    def predict(self, texts: Sequence[str]) -> list[Any]:
        return [SimpleNamespace(intent="refund", in_scope=len(text) > 4) for text in texts]


def test_an_intent_counts_as_right_whether_it_is_turned_away_or_not() -> None:
    rows = {
        "test": Rows(["money", "hi", "size?", "back please"], ["refund", "refund", "b", "refund"]),
        "oos_test": Rows(["abc", "piano playing", "x"], ["oos"] * 3),
    }
    found = turned_by(Bundle(), rows)  # type: ignore[arg-type]
    assert found == Turned(accuracy=0.75, oos_recall=pytest.approx(2 / 3), oos_false_alarm=0.25)


def test_clinc_is_read_by_our_names_of_its_splits(tmp_path: Path) -> None:
    names = [*PARTS.values(), *(f"oos_{name}" for name in PARTS.values())]
    whole = {name: [[f"{name} {n}", "a"] for n in range(10)] for name in names}
    with gzip.open(tmp_path / "data_full.json.gz", "wt", encoding="utf-8") as file:
        json.dump(whole, file)
    found = read_clinc(tmp_path)
    assert found["validation"].texts[3] == "val 3"
    assert found["oos_validation"].texts[0] == "oos_val 0"
    assert len(read_clinc(tmp_path, n_most=5)["oos_train"]) == 5


def test_sentences_of_xsid_are_those_of_the_language_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "zh.conll").write_text(XSID, encoding="utf-8")
    rows = read_xsid(tmp_path / "zh.conll")
    assert rows.texts == ["今天会下雨吗？", "wake me at 7"]
    assert rows.targets == ["weather/find", "alarm/set_alarm"]
    assert joined(rows, rows).texts == rows.texts * 2


def test_words_that_were_never_seen_are_turned_away() -> None:
    def rows(n: int) -> Rows:
        texts = [f"{word} number {k}" for k in range(n) for word in WORDS]
        return Rows(texts, ["refund", "track", "greet"] * n)

    strange = Rows(["whistle zebra quickly", "volcano jazz"], ["oos"] * 2)
    parts = {"train": rows(20), "validation": rows(10), "test": rows(5), "oos_test": strange}
    found = by_words(parts, 0.05)
    assert (found.accuracy, found.oos_recall) == (1.0, 1.0)
    assert found.oos_false_alarm <= 0.2
