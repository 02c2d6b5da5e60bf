"""Files that are no logs, whatever their names say: what they are, and what to do."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailorbird.data import read
from tailorbird.errors import DataError

GZIPPED = gzip.compress(b'{"text": "hi"}', mtime=0)  # without a time: it names the test
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("logs.zip", r"kind '\.zip' are not read; unpack it .*; known kinds, .*: \.jsonl, "),
        ("logs.tar.gz", r"kind '\.tar' are not read; unpack it"),
        ("logs.xlsx", r"kind '\.xlsx' are not read; save the sheet as CSV"),
        ("logs.txt.gz", r"kind '\.txt' are not read; write CSV with a first line of column names"),
        ("shop.db", r"kind '\.db' are not read; give it as a URL, as sqlite:///shop\.db"),
        ("logs.pkl", r"kind '\.pkl' are not read; pickles can run foreign code"),
        ("logs", r"the name has no ending such as \.csv"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_its_own_cure(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_bytes(b"text,label\nhi,greet\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.yml", "a.npy", "a.parquet"])
@pytest.mark.parametrize(
    ("start", "message"),
    [
        (PNG, "is a picture, whatever its name says; give a file of texts"),
        (b"PK\x03\x04" + bytes(60), "is a ZIP archive .* save the sheet as CSV, in UTF-8"),
        (GZIPPED, r"is gzipped, .*; give its name the ending \.gz"),
        (b"SQLite format 3\0", "is an SQLite database, .*; give it as a URL"),
    ],
)
def test_first_bytes_tell_what_a_name_hides(
    tmp_path: Path, name: str, start: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(start)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_yaml_with_bytes_that_are_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "nlu.yml").write_bytes(b"\xff\x01nlu:\n")
    with pytest.raises(DataError, match=r"nlu\.yml: is not YAML: special characters are not"):
        list(read(tmp_path / "nlu.yml"))


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv: is no regular file; write it to a file first"):
        read(tmp_path / "a.csv")


def test_archive_that_was_cut_off_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"text": "row %d"}\n' % n for n in range(5_000)))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"ended before .*; copy it again; it may be cut off"):
        list(read(tmp_path / "a.jsonl.gz"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "no logs are named; give a file, a folder or a database URL"),
        ("x" * 5_000, "cannot be read .File name too long.; check the path"),
        ("a\0.csv", "cannot be read .*null byte.; check the path"),
    ],
)
def test_a_source_that_is_no_path_is_one_sentence(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


def test_links_that_lead_nowhere_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").symlink_to("nothing.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(DataError, match=r"gone\.csv: no such file or folder; check the path"):
        read(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"loop\.csv: cannot be read \(Too many levels"):
        read(tmp_path / "loop.csv")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: give that up for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_file_and_folder_without_permission_say_whom_to_ask() -> None:
    with tempfile.TemporaryDirectory() as path:  # others may not look into tmp_path
        Path(path).chmod(0o755)
        folder = Path(path) / "secret"
        folder.mkdir()
        (folder / "a.csv").write_text("text\nhi\n")
        assert len(list(read(folder / "a.csv"))) == 1  # and all modules are loaded
        folder.chmod(0)
        try:
            for source in (folder, folder / "a.csv"):
                with as_nobody(), pytest.raises(DataError, match=r"denied\); ask its owner"):
                    read(source)
        finally:
            folder.chmod(0o700)


def test_folder_of_folders_names_those_inside(tmp_path: Path) -> None:
    for name in ("2023", "2024"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="are not searched, give one of them: 2023, 2024"):
        read(tmp_path)
