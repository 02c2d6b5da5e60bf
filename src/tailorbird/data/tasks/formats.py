"""The files that hold rows of tasks: those of logs, and some that only data sets have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from tailorbird.data.files import LogFile
from tailorbird.data.formats import FORMATS
from tailorbird.data.formats.conll import read_conll
from tailorbird.data.formats.delimited import read_delimited
from tailorbird.data.formats.jsonl import mapping_or_columns, read_json
from tailorbird.data.rows import Note, Row, checked_text
from tailorbird.data.tasks.columns import is_known_name
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.values import SPLIT_WORDS
from tailorbird.errors import DataError, RowError

MAX_OBJECT_CHARS = 500_000_000
"""One JSON object over a whole file is read at once; a larger one is refused."""

_CONLL = (".conll", ".bio", ".bmes", ".iob", ".iob2", ".bioes", ".txt", ".annotated")
_JSON = (".jsonl", ".ndjson", ".json")
_LISTS = ("data", "rows", "examples", "instances")
_DELIMITED = (".csv", ".tsv", ".tab", ".txt")


def formats_of(
    task: TaskKind, named: frozenset[str] = frozenset()
) -> dict[str, Callable[[LogFile, Note], Iterator[Row]]]:
    """Suffix → reader of the files that may hold rows of *task*, whose caller *named* columns.

    >>> ".conll" in formats_of("token_classification"), ".conll" in formats_of("ranking")
    (True, False)
    """

    def is_header(names: list[str]) -> bool:
        return any(name in named or is_known_name(name, task) for name in names)

    found = {".parquet": FORMATS[".parquet"]}
    found |= dict.fromkeys(_DELIMITED, partial(read_delimited, is_header=is_header))
    found |= dict.fromkeys(_JSON, _read_json)
    if task == "token_classification":
        found |= dict.fromkeys(_CONLL, read_conll)
    if task in ("single_label", "binary"):
        found |= {suffix: FORMATS[suffix] for suffix in (".yml", ".yaml")}
    return found


def _read_json(file: LogFile, note: Note) -> Iterator[Row]:
    """Objects or arrays, a line each or in one array; or one object of such lists by split."""
    with file.open_text(note) as handle:
        first = handle.readline(MAX_OBJECT_CHARS)
        while first and not first.strip():
            first = handle.readline(MAX_OBJECT_CHARS)
        if not _is_part_of_object(first):
            yield from read_json(file, lambda sentence: None, shape=mapping_or_columns)
            return
        text = first + handle.read(MAX_OBJECT_CHARS)
    if len(text) >= MAX_OBJECT_CHARS:
        raise DataError(
            "is one JSON object of more than 500 million characters",
            where=file.name,
            cure="write one object a line (.jsonl)",
        )
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"is one JSON object over several lines, and not well formed: {error}",
            where=file.name,
            cure="mend it, or write one object a line (.jsonl)",
        ) from error
    yield from _lists_of(whole, file.name, note)


def _is_part_of_object(line: str) -> bool:
    """Whether a first line opens, or is, one object that holds all rows in its lists."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        # A damaged row of a JSONL file has words after its brace; an object laid out has none.
        return line.strip() == "{" or _opens_a_list(line)
    # {"messages": [{…}]} on one line is a row.
    return bool(value) and all(
        _is_rows(part) and (key in _LISTS or _split_in(key)) for key, part in value.items()
    )


def _opens_a_list(line: str) -> bool:
    key, colon, rest = line.strip().removeprefix("{").partition(":")
    return bool(colon) and key.strip().strip('"') in SPLIT_WORDS and rest.lstrip().startswith("[")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)


def _lists_of(whole: Mapping[str, Any], name: str, note: Note) -> Iterator[Row]:
    lists = {key: value for key, value in whole.items() if _is_rows(value)}
    splits = {key: split for key in lists if (split := _split_in(key))}
    taken = {key: lists[key] for key in lists if key in splits or len(lists) == 1}
    if not taken:
        raise DataError(
            f"is one JSON object with {', '.join(map(repr, list(whole)[:8]))}, not rows",
            where=name,
            cure='write an array of objects, or lists by split: {"train": […], "test": […]}',
        )
    note(f"rows: the lists {', '.join(map(repr, taken))}; lines are counted over them")
    number = 0
    for key, rows in taken.items():
        for value in rows:
            number += 1
            raw = json.dumps(value, ensure_ascii=False)[:500]
            try:
                checked_text(raw, "row")
                row = mapping_or_columns(value)
            except RowError as error:
                yield Row(number, raw=raw, error=error)
                continue
            yield Row(number, row | ({"split": splits[key]} if key in splits else {}), raw)


def _split_in(key: str) -> str:
    """The split that a key such as ``oos_val`` names; empty where it names none."""
    parts = key.casefold().replace("-", "_").split("_")
    return next((SPLIT_WORDS[part] for part in parts if part in SPLIT_WORDS), "")
