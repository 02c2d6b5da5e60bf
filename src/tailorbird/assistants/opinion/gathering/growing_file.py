"""Posts from a file that others write to: JSON lines, or CSV; read on from where it was left."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tailorbird.assistants.opinion.gathering.fields import Fields
from tailorbird.assistants.opinion.gathering.items import Cursor, Item, Polled, Reject
from tailorbird.errors import ConfigError, RowError, SourceError

MAX_ROW_BYTES = 2_000_000
"""A longer row is no post; it is skipped without being kept in memory."""
MAX_ROW_LINES = 200
"""A quoted field over more lines was most likely never closed."""
N_ROWS_A_POLL = 2_000
_HEAD_BYTES = 1024
_DELIMITERS = ",\t;|"
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}


@dataclass(slots=True)
class _Place:
    """Where reading goes on."""

    offset: int = 0
    line: int = 0
    """Lines before it."""
    columns: tuple[str, ...] = ()
    delimiter: str = ","


class FileSource:
    """The rows of a ``.jsonl`` or ``.csv`` file, each once, also while it grows.

    A last line without its end is left until the file has not grown between two looks, as its
    writer may be amid it; *is_whole* says that there is no writer any more. A file that was
    written anew is read from its beginning.
    """

    def __init__(
        self, path: str | Path, settings: Mapping[str, Any] | None = None, *, is_whole: bool = False
    ) -> None:
        self.path = Path(path).expanduser()
        self._fields = Fields.of(settings or {})
        self._encoding = str((settings or {}).get("encoding") or "utf-8")
        self._is_whole = is_whole
        kind = _SUFFIXES.get(self.path.suffix.lower())
        if kind is None:
            raise ConfigError(
                f"{self.path.suffix or 'no suffix'!r} is no kind of file that posts come in",
                where=str(self.path),
                cure=f"known: {' '.join(_SUFFIXES)}",
            )
        try:
            "".encode(self._encoding)
        except LookupError as error:
            raise ConfigError(
                f"encoding = {self._encoding!r} is unknown", cure="as utf-8 or gb18030"
            ) from error
        self._is_csv = kind == "csv"

    def poll(self, cursor: Cursor) -> Polled:
        """The next rows, at most N_ROWS_A_POLL; SourceError where there is no such file."""
        try:
            with self.path.open("rb") as handle:
                return self._poll(handle, cursor)
        except OSError as error:
            raise SourceError(
                f"cannot be read ({error.strerror})",
                where=str(self.path),
                cure="put it there, or remove the source",
            ) from error

    def _poll(self, handle: BinaryIO, cursor: Cursor) -> Polled:
        size = os.fstat(handle.fileno()).st_size
        place, notes = self._begin(handle, cursor, size)
        is_still = self._is_whole or cursor.get("size") == size
        items: list[Item] = []
        rejects: list[Reject] = []
        handle.seek(place.offset)
        n_rows = 0
        for row, where in self._rows(handle, place, is_still):
            n_rows += 1
            try:
                if isinstance(row, RowError):
                    raise row
                items.append(self._fields.item(row))
            except RowError as error:
                raw = json.dumps(row, ensure_ascii=False)[:200] if isinstance(row, dict) else ""
                rejects.append(Reject(where, error.what, error.cure, raw))
            if n_rows == N_ROWS_A_POLL:
                break
        kept = {
            "offset": place.offset,
            "line": place.line,
            "columns": list(place.columns),
            "delimiter": place.delimiter,
            "size": size,
            **_head(handle, place.offset),
        }
        has_more = n_rows == N_ROWS_A_POLL and place.offset < size
        return Polled(items, kept, tuple(rejects), notes, has_more)

    def _begin(self, handle: BinaryIO, cursor: Cursor, size: int) -> tuple[_Place, tuple[str, ...]]:
        """Where the last look ended, or the beginning where the file is another one now."""
        offset = int(cursor.get("offset") or 0)
        if not offset:
            return _Place(), ()
        if size >= offset and _head(handle, offset, int(cursor.get("n_head") or 0)) == {
            key: cursor.get(key) for key in ("head", "n_head")
        }:
            columns = tuple(cursor.get("columns") or ())
            line, delimiter = int(cursor.get("line") or 0), str(cursor.get("delimiter") or ",")
            return _Place(offset, line, columns, delimiter), ()
        return _Place(), (f"{self.path.name} was written anew; it is read from its beginning",)

    def _rows(
        self, handle: BinaryIO, place: _Place, is_still: bool
    ) -> Iterator[tuple[dict[str, Any] | RowError, str]]:
        """Each row, or why it is none, and where it stands; *place* moves along."""
        lines = _Lines(handle, place, is_still, self._encoding)
        while True:
            number = place.line + 1
            try:
                row = self._csv_row(lines, place) if self._is_csv else _json_row(lines)
            except RowError as error:
                yield error, f"{self.path.name}:{number}"
                continue
            if row is None:
                return
            if row:
                yield row, f"{self.path.name}:{number}"

    def _csv_row(self, lines: _Lines, place: _Place) -> dict[str, Any] | None:
        """The next row, empty for an empty line; None at the end."""
        if not place.columns:
            first = lines.read()
            if first is None:
                return None
            place.delimiter = max(_DELIMITERS, key=first.count)
            names = next(csv.reader([first.removeprefix("\ufeff")], delimiter=place.delimiter), [])
            place.columns = tuple(name.strip() for name in names)
            return {}
        values = lines.read_csv()
        if values is None:
            return None
        if values and len(values) != len(place.columns):
            raise RowError(
                f"has {len(values)} fields where the header has {len(place.columns)}",
                cure="put quotes around fields that hold the delimiter or a line break",
            )
        return dict(zip(place.columns, values, strict=False))


class _Lines:
    """Whole lines from a place on, which moves behind what was read."""

    def __init__(self, handle: BinaryIO, place: _Place, is_still: bool, encoding: str) -> None:
        self._handle = handle
        self._place = place
        self._is_still = is_still
        self._encoding = encoding

    def read(self) -> str | None:
        """The next line; None where there is none that is whole. RowError for an endless one."""
        place = self._place
        start = place.offset
        content = self._handle.readline(MAX_ROW_BYTES + 1)
        n_bytes, is_ended = len(content), content.endswith(b"\n")
        is_long = n_bytes > MAX_ROW_BYTES and not is_ended
        while is_long and not is_ended:
            part = self._handle.readline(1 << 16)
            if not part:
                break
            n_bytes, is_ended = n_bytes + len(part), part.endswith(b"\n")
        if not n_bytes or (not is_ended and not self._is_still):
            self._handle.seek(start)
            return None
        place.offset += n_bytes
        place.line += 1
        if is_long:
            raise RowError(
                f"is one row of {n_bytes:,} bytes, at most {MAX_ROW_BYTES:,} are read",
                cure="send the text alone, without pictures and attachments",
            )
        try:
            return content.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise RowError(
                f"holds bytes that are not {self._encoding}", cure="name its --encoding"
            ) from error

    def read_csv(self) -> list[str] | None:
        """The fields of the next row, which may go over several lines; None at the end."""
        before = (self._place.offset, self._place.line)
        text = self.read()
        if text is None:
            return None
        after_first = (self._place.offset, self._place.line)
        for _ in range(MAX_ROW_LINES):
            try:
                return next(csv.reader([text], delimiter=self._place.delimiter, strict=True), [])
            except csv.Error as error:
                if "unexpected end" not in str(error):
                    raise RowError(f"is no row of CSV: {error}", cure="check its quotes") from error
            more = self.read() if len(text) <= MAX_ROW_BYTES else None
            if more is None:
                break
            text += more
        if not self._is_still and len(text) <= MAX_ROW_BYTES and self._is_at_end():
            self._go_to(before)  # its writer may be amid it
            return None
        self._go_to(after_first)  # what the open quote swallowed is read again
        raise RowError("opens a quote that is never closed", cure='close it, or double it: ""')

    def _is_at_end(self) -> bool:
        position = self._handle.tell()
        rest = self._handle.readline(MAX_ROW_BYTES)
        self._handle.seek(position)
        return not rest.endswith(b"\n")

    def _go_to(self, place: tuple[int, int]) -> None:
        self._place.offset, self._place.line = place
        self._handle.seek(self._place.offset)


def _json_row(lines: _Lines) -> dict[str, Any] | None:
    """The object of the next line, empty for an empty line; None at the end."""
    text = lines.read()
    if text is None:
        return None
    text = text.strip().removeprefix("\ufeff")
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError("is no JSON", cure="write one object a line") from error
    if not isinstance(value, dict) or not value:
        raise RowError("is no object with fields", cure='write it as {"text": …}')
    return value


def _head(handle: BinaryIO, offset: int, n_bytes: int = 0) -> dict[str, Any]:
    """What tells a file from the one that took its place: a hash of how it begins."""
    n_bytes = n_bytes or min(offset, _HEAD_BYTES)
    handle.seek(0)
    return {"head": hashlib.sha256(handle.read(n_bytes)).hexdigest(), "n_head": n_bytes}
