"""A large log goes through in small memory."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailorbird.config import ReadingSettings
from tailorbird.data import read

N_ROWS = 10_000
TEXT = "words of a long message " * 40  # about 1 kB a row, so about 10 MB a file
LIMIT_BYTES = 3_000_000


def as_jsonl(path: Path) -> str:
    with path.open("w") as file:
        for number in range(N_ROWS):
            file.write(json.dumps({"text": f"{number} {TEXT}", "label": "a"}) + "\n")
    return str(path)


def as_array(path: Path) -> str:
    with path.open("w") as file:
        for number in range(N_ROWS):
            file.write("[" if number == 0 else ",\n")
            file.write(json.dumps({"text": f"{number} {TEXT}", "label": "a"}))
        file.write("]")
    return str(path)


def as_csv(path: Path) -> str:
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f'"{number}\n{TEXT}",a\n' for number in range(N_ROWS))
    return str(path)


def as_parquet(path: Path) -> str:
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, N_ROWS, 500):
            rows = [{"text": f"{n} {TEXT}", "label": "a"} for n in range(start, start + 500)]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return str(path)


def as_sql(path: Path) -> str:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table log (id integer primary key, text text, label text)")
        connection.executemany(
            "insert into log values (?, ?, 'a')", ((n, f"{n} {TEXT}") for n in range(N_ROWS))
        )
    connection.close()
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.jsonl", as_jsonl),
        ("a.json", as_array),
        ("a.csv", as_csv),
        ("a.parquet", as_parquet),
        ("a.db", as_sql),
    ],
)
def test_peak_memory_does_not_grow_with_the_log(
    tmp_path: Path, name: str, make: Callable[[Path], str]
) -> None:
    source = make(tmp_path / name)
    next(iter(read(source, ReadingSettings(table="log"))))  # imports are not what is measured
    reading = read(source, ReadingSettings(table="log"))
    tracemalloc.start()
    try:
        n_rows = sum(1 for _ in reading)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_rows == N_ROWS
    assert peak_bytes < LIMIT_BYTES
