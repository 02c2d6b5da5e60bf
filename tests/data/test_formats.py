"""Every format and every database gives the same rows, and says why where it cannot."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailorbird.config import ReadingSettings
from tailorbird.data import read
from tailorbird.errors import DataError

from .reading import rows_of, write

ROWS = [("where is it?", "track"), ("我要退款", "refund"), ('say "hi"', "greet")]


def texts_and_labels(path: Path | str, **settings: str) -> list[tuple[str, str | None]]:
    return [(row.text, row.label) for row in rows_of(path, **settings)]


def as_jsonl(path: Path) -> None:
    rows = [{"text": text, "intent": label} for text, label in ROWS]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


def as_array(path: Path) -> None:
    rows = [{"text": text, "intent": label} for text, label in ROWS]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=2))


def as_csv(path: Path) -> None:
    path.write_text('text,intent\nwhere is it?,track\n我要退款,refund\n"say ""hi""",greet\n')


def as_semicolons(path: Path) -> None:
    path.write_text('text;intent\nwhere is it?;track\n我要退款;refund\n"say ""hi""";greet\n')


def as_tsv(path: Path) -> None:
    path.write_text('text\tintent\nwhere is it?\ttrack\n我要退款\trefund\n"say ""hi"""\tgreet\n')


def as_parquet(path: Path) -> None:
    texts, labels = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text": texts, "intent": labels, "image": [b"\xff"] * 3}), path)


def as_npy(path: Path) -> None:
    array = np.array(ROWS, dtype=[("text", "U20"), ("intent", "U10")])
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def as_rasa(path: Path) -> None:
    path.write_text(
        'version: "3.1"\nnlu:\n'
        "- intent: track\n  examples: |\n    - where is [it](thing)?\n"
        "- synonym: cash\n  examples: |\n    - money\n"
        '- intent: refund\n  examples: |\n    - 我要[退款]{"entity": "what"}\n'
        '- intent: greet\n  examples:\n  - text: |\n      say "hi"\n'
    )


FORMATS = {
    "a.jsonl": as_jsonl,
    "a.json": as_array,
    "a.csv": as_csv,
    "b.csv": as_semicolons,
    "a.tsv": as_tsv,
    "a.parquet": as_parquet,
    "a.npy": as_npy,
    "a.yml": as_rasa,
}


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, is_compressed: bool) -> None:
    path = tmp_path / name
    FORMATS[name](path)
    if is_compressed:
        packed = tmp_path / f"{name}.gz"
        with path.open("rb") as plain, gzip.open(packed, "wb") as target:
            shutil.copyfileobj(plain, target)
        path = packed
    assert texts_and_labels(path) == ROWS


def test_sql_table_gives_the_same_rows_in_the_order_of_its_key(tmp_path: Path) -> None:
    url = make_database(tmp_path / "shop.db")
    assert texts_and_labels(url, table="chats") == ROWS
    [first, *_] = rows_of(url, table="chats")
    assert (first.id, first.source) == ("1", "chats:1")


def make_database(path: Path) -> str:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table chats (id integer primary key, text text, intent text)")
        connection.execute("create table users (id integer)")
        for number, row in reversed(list(enumerate(ROWS, 1))):
            connection.execute("insert into chats values (?, ?, ?)", (number, *row))
    connection.close()
    return f"sqlite:///{path}"


def test_missing_table_is_answered_with_the_tables_there_are(tmp_path: Path) -> None:
    url = make_database(tmp_path / "shop.db")
    with pytest.raises(DataError, match=r"the database holds: chats, users; name one with --table"):
        rows_of(url)
    with pytest.raises(DataError, match=r"has no table 'chat'.*did you mean 'chats'\?"):
        rows_of(url, table="chat")


def test_wrong_values_of_a_database_cost_only_their_rows(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table chats (text text, label decimal(5, 1), at datetime)")
        connection.execute("insert into chats values ('hi', 2, '2024/5/1 8:30')")
        connection.execute("insert into chats values ('you', 3, '2024-05-02 08:30:00')")
        connection.execute("insert into chats values (cast(x'ff41' as text), 3, null)")
    connection.close()
    reading = read(
        f"sqlite:///{tmp_path / 'shop.db'}",
        ReadingSettings(table="chats", time="at", max_reject_fraction=0.5),
        on_reject=(rejects := []).append,
    )
    assert [(row.label, str(row.time)[:16]) for row in reading] == [
        ("2", "2024-05-01 08:30"),
        ("3", "2024-05-02 08:30"),
    ]
    assert [(bad.line, bad.cause) for bad in rejects] == [
        (3, "holds bytes that are not in the file's encoding (first: 0xFF)")
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://shop.example/a.csv", "'https' are not known; save it as a file first"),
        ("sqlit:///shop.db", "'sqlit' are not known; use sqlite:///file.db"),
        ("sqlite://shop.db", "^is not a database URL: Invalid SQLite URL.*; as sqlite:///file.db$"),
        ("postgresql://h:port/shop", "is not a database URL: .*'port'"),
    ],
)
def test_url_that_is_no_database_is_one_sentence(url: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows_of(url, table="chats")


def test_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "shop.db", "text,label\n" * 100)
    with pytest.raises(DataError, match=r"^sqlite:.*cannot be read \(file is not a database\); c"):
        rows_of(f"sqlite:///{tmp_path / 'shop.db'}", table="chats")


def test_missing_database_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the database file does not exist"):
        rows_of(f"sqlite:///{tmp_path / 'no.db'}", table="chats")
    assert not (tmp_path / "no.db").exists()


def test_password_of_a_database_stays_out_of_messages() -> None:
    with pytest.raises(DataError) as caught:
        rows_of("sqlite://me:secret@/no.db", table="t")
    assert "secret" not in str(caught.value)


def test_conversation_of_another_form_is_told_the_form_that_is_read(tmp_path: Path) -> None:
    row = {"dialogue_id": 1, "turns": [{"speaker": "USER", "utterance": "hi"}]}
    path = write(tmp_path / "a.jsonl", json.dumps(row))
    with pytest.raises(
        DataError, match=r"if 'turns' is a conversation, write it as \"messages\": "
    ):
        rows_of(path)


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array(["a", None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="without unpickling, which could run foreign code"):
        rows_of(path)


def test_array_of_strings_is_read_as_texts(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["hi", "你好"]))
    assert [row.text for row in rows_of(tmp_path / "a.npy")] == ["hi", "你好"]


def test_array_of_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"holds numbers of shape \(2, 3\), not texts"):
        rows_of(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "no such file or folder"),
        ("a.docx", "files of kind '.docx' are not read; known kinds"),
        ("a.parquet", "is not a Parquet file"),
        ("a.jsonl.gz", "is not gzipped, whatever its name says; take .gz off its name"),
        ("a.yml", "is not YAML"),
        ("b.yml", "has no list under the key 'nlu'"),
    ],
)
def test_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, message: str) -> None:
    if name != "missing.csv":
        write(tmp_path / name, "version: 1" if name == "b.yml" else "nlu: [oops")
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path / name)
