"""File formats: each reader turns one file into rows, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tailorbird.data.files import LogFile
from tailorbird.data.formats.columnar import read_npy, read_parquet
from tailorbird.data.formats.delimited import read_delimited
from tailorbird.data.formats.jsonl import read_json
from tailorbird.data.formats.rasa import read_rasa
from tailorbird.data.rows import Note, Row

FORMATS: dict[str, Callable[[LogFile, Note], Iterator[Row]]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".parquet": read_parquet,
    ".npy": read_npy,
    ".yml": read_rasa,
    ".yaml": read_rasa,
}

__all__ = ["FORMATS"]
