"""Encodings and folders, as exports leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailorbird.config import ReadingSettings
from tailorbird.data import read
from tailorbird.data.files import detect_encoding
from tailorbird.errors import ConfigError, DataError

CHINESE = "内容,标签\n我的包裹怎么还没到？,查物流\n我要退款，谢谢,退款\n"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("gbk", ["encoding: gb18030 (detected; the file is not UTF-8)"]),
        ("gb18030", ["encoding: gb18030 (detected; the file is not UTF-8)"]),
        ("utf-16", ["encoding: utf-16 (detected; the file is not UTF-8)"]),
        ("utf-16-le", ["encoding: utf-16-le (detected; the file is not UTF-8)"]),
        ("utf-16-be", ["encoding: utf-16-be (detected; the file is not UTF-8)"]),
    ],
)
def test_encoding_is_found_and_told(tmp_path: Path, encoding: str, told: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CHINESE.encode(encoding))
    reading = read(path)
    assert [(row.text, row.label) for row in reading] == [
        ("我的包裹怎么还没到？", "查物流"),
        ("我要退款，谢谢", "退款"),
    ]
    assert [line for line in reading.decisions if line.startswith("encoding")] == told


def test_western_text_is_not_taken_for_chinese() -> None:
    text = "Où est ma commande ? Elle a été expédiée, mais je n'ai rien reçu. Ça dure déjà.\n" * 5
    assert text.encode("cp1252").decode(detect_encoding(text.encode("cp1252"))) == text


def test_text_full_of_accents_is_western() -> None:
    text = "où est mon café déjà payé,été\n" * 5
    assert detect_encoding(text.encode("latin-1")) == "cp1252"


def test_damage_by_zero_bytes_is_no_encoding() -> None:
    assert detect_encoding(b"text,label\nhi,a\n" + bytes(40) + b"ho,b\n") == "utf-8"


def test_one_foreign_line_does_not_change_the_encoding_of_a_file() -> None:
    lines = ["退货".encode()] * 9 + ["退货".encode("gbk")]
    assert detect_encoding(b"\n".join(lines)) == "utf-8"


def test_named_encoding_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text\n我要退貨\n".encode("big5"))
    [row] = read(path, ReadingSettings(encoding="big5"))
    assert row.text == "我要退貨"


def test_unknown_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\nhi\n")
    with pytest.raises(ConfigError, match=r"reading\.encoding = 'utf-88' is not an encoding"):
        list(read(path, ReadingSettings(encoding="utf-88")))


def make_folder(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(f"text,label\n{name},a\n")
    return folder


@pytest.mark.parametrize("validation", ["valid.csv", "validation.csv", "dev.csv", "val.csv"])
def test_train_and_test_files_become_given_splits(tmp_path: Path, validation: str) -> None:
    reading = read(make_folder(tmp_path, "test.csv", "train.csv", validation, "extra.csv"))
    assert [(row.text, row.split) for row in reading] == [
        ("train.csv", "train"),
        (validation, "validation"),
        ("test.csv", "test"),
    ]
    assert "folder: train and test files found, so left out: extra.csv" in reading.decisions


def test_shards_of_a_split_are_read_together(tmp_path: Path) -> None:
    names = ("train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001.csv")
    rows = list(read(make_folder(tmp_path, *names)))
    assert [row.split for row in rows] == ["train", "train", "test"]


def test_folder_of_logs_is_read_file_by_file(tmp_path: Path) -> None:
    make_folder(tmp_path, "monday.csv", "tuesday.csv", "README.md")
    reading = read(tmp_path)
    assert [(row.text, row.split, row.id) for row in reading] == [
        ("monday.csv", None, "monday.csv:2"),
        ("tuesday.csv", None, "tuesday.csv:2"),
    ]
    assert "folder: not log files, left out: README.md" in reading.decisions


def test_file_with_other_columns_tells_its_own_guess(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nhi\n")
    (tmp_path / "b.csv").write_text("query\nhi\n")
    reading = read(tmp_path)
    list(reading)
    assert reading.decisions == [
        "text: column 'text' (guessed from its name)",
        "b.csv: text: column 'query' (guessed from its name)",
    ]


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "train.csv", "train.tsv", "test.csv")
    with pytest.raises(DataError, match=r"train.csv and train.tsv all look like the train split"):
        read(folder)


def test_folder_without_logs_lists_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no log file \(found: a.docx\); known kinds: .csv"):
        read(make_folder(tmp_path, "a.docx"))
