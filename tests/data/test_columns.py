"""Columns are known by their names and their values, and what is guessed is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailorbird.data.values import time_value
from tailorbird.errors import DataError, RowError
from tailorbird.records import Interaction

from .reading import decisions_of, rows_of, write


def test_csv_columns_are_guessed_and_the_guess_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "cat,label,review,reply,uid,Created At,rating,split\n"
        'books,1,"good, ""really"" good\nbook",thanks,7,2024/5/1 8:30,5,dev\n',
    )
    [found] = rows_of(path)
    assert found == Interaction(
        id="a.csv:2",
        text='good, "really" good\nbook',
        reply="thanks",
        label="1",
        user="7",
        time=datetime(2024, 5, 1, 8, 30, tzinfo=UTC),
        split="validation",
        feedback=1.0,
        source="a.csv:2",
    )
    assert decisions_of(path) == [
        "text: column 'review' (guessed from its name)",
        "label: column 'label' (guessed from its name)",
        "user: column 'uid' (guessed from its name)",
        "time: column 'Created At' (guessed from its name)",
        "reply: column 'reply' (guessed from its name)",
        "split: column 'split' (guessed from its name)",
        "feedback: column 'rating' (guessed from its name; 1 to 5 becomes -1 to 1)",
    ]


def test_chinese_column_names_are_known(tmp_path: Path) -> None:
    [found] = rows_of(write(tmp_path / "a.csv", "用户,内容,意图,回复\n小李,我要退货,退货,好的\n"))
    assert (found.user, found.text, found.label, found.reply) == (
        "小李",
        "我要退货",
        "退货",
        "好的",
    )


def test_named_columns_win_and_nothing_is_told_about_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,note,topic\nwrong,right,greet\n")
    [found] = rows_of(path, text="note", label="topic")
    assert (found.text, found.label) == ("right", "greet")
    assert decisions_of(path, text="note", label="topic") == []


def test_table_with_names_of_its_own_is_read_by_its_options() -> None:
    reviews = Path(__file__).parents[2] / "examples" / "logs" / "reviews.csv"
    first, *others = rows_of(
        reviews, text="comment", label="topic", user="customer_no", time="posted_at",
        reply="shop_answer",
    )  # fmt: skip
    assert (first.text, first.reply) == ("茶壶出水很顺，泡了一周没有异味。", "谢谢您喜欢！")
    assert (first.label, first.user, first.feedback) == ("quality", "k204", 1.0)
    assert first.time == datetime(2026, 9, 8, 10, 12, tzinfo=UTC)
    assert len(others) == 29


@pytest.mark.parametrize(
    ("header", "settings", "message"),
    [
        (
            "a,b",
            {},
            r"no column looks like the person's words; it has 'a', 'b'; .*--text COLUMN",
        ),
        (
            "query,question",
            {},
            r"columns 'query' and 'question' could each hold the person's words; "
            r"choose with --text 'query'",
        ),
        (
            "text,topic,category",
            {},
            r"columns 'topic' and 'category' could each hold the label; choose with --label",
        ),
        ("text,b", {"label": "lable"}, r"has no column 'lable'; it has 'text', 'b'; name one"),
        ("text,intent", {"label": "intents"}, r"did you mean --label 'intent'\?"),
    ],
)
def test_columns_that_cannot_be_told_are_listed_with_the_option(
    tmp_path: Path, header: str, settings: dict[str, str], message: str
) -> None:
    path = write(tmp_path / "a.csv", f"{header}\n{','.join('x' * len(header.split(',')))}\n")
    with pytest.raises(DataError, match=message):
        rows_of(path, **settings)


def test_column_whose_values_do_not_fit_its_name_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "text,date,score,set\nhi,Monday,excellent,A\nyo,Friday,poor,B\n"
    )
    assert [(row.time, row.feedback, row.split) for row in rows_of(path)] == [
        (None, None, None)
    ] * 2
    assert "time: column 'date' left out, its values (as 'Monday') are no time" in decisions_of(
        path
    )


def test_missing_values_become_none_and_numbers_become_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": None}, {"text": "c", "label": "NaN"}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [row.label for row in rows_of(path)] == ["1", None, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-01T08:30:00Z", "2024-05-01T08:30:00+00:00"),
        ("2024-05-01 08:30:00+08:00", "2024-05-01T08:30:00+08:00"),
        ("2024/5/1 8:30", "2024-05-01T08:30:00+00:00"),
        ("2024年5月1日 8:30", "2024-05-01T08:30:00+00:00"),
        ("20240501", "2024-05-01T00:00:00+00:00"),
        ("Wed, 01 May 2024 08:30:00 +0800", "2024-05-01T08:30:00+08:00"),
        ("1 May 2024", "2024-05-01T00:00:00+00:00"),
        ("May 1, 2024 8:30 PM", "2024-05-01T20:30:00+00:00"),
        ("01-May-2024 12:05 a.m.", "2024-05-01T00:05:00+00:00"),
        (1714552200, "2024-05-01T08:30:00+00:00"),
        ("1714552200000", "2024-05-01T08:30:00+00:00"),
    ],
)
def test_times_of_many_forms_are_understood(
    tmp_path: Path, value: str | int, expected: str
) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "hi", "time": value}))
    [found] = rows_of(path)
    assert found.time is not None
    assert found.time.isoformat() == expected


@pytest.mark.parametrize(
    "value",
    ["5/6/2024", "01-May-24", "May 2024", "Fri May 3 08:30:00 CST 2024", "1 May 2024 15:00 PM"],
)
def test_times_that_can_be_misread_are_refused(value: str) -> None:
    with pytest.raises(RowError, match="not a time; write it as 2024-05-01T08:30:00"):
        time_value(value, "time")
