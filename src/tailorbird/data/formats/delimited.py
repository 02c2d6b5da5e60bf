"""CSV and TSV, with line breaks inside quotes and recovery from quotes that never close."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator

from tailorbird.data.files import LogFile
from tailorbird.data.formats.jsonl import skip_line, too_long
from tailorbird.data.rows import MAX_LINE_CHARS, Note, Row, checked_text, column_name
from tailorbird.errors import DataError, RowError

MAX_ROW_LINES = 1_000
"""A quoted field over more lines than this was most likely never closed."""

_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


class _UnclosedQuoteError(Exception):
    pass


class _TooLongError(Exception):
    pass


class _Lines(Iterator[str]):
    """Feeds the csv reader, remembers the lines of the row at hand, takes lines back."""

    def __init__(self, handle: io.TextIOWrapper) -> None:
        self.handle = handle
        self.number = 0
        """Lines of the file that were handed out and not taken back."""
        self.taken: list[str] = []
        self._waiting: deque[str] = deque()

    def __next__(self) -> str:
        if len(self.taken) >= MAX_ROW_LINES:
            raise _UnclosedQuoteError
        line = self._waiting.popleft() if self._waiting else self.handle.readline(MAX_LINE_CHARS)
        if not line:
            if self.taken:
                raise _UnclosedQuoteError
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        if len(line) >= MAX_LINE_CHARS and not line.endswith("\n"):
            skip_line(self.handle)
            raise _TooLongError
        return line

    def put_back_all_but_first(self) -> None:
        """Read the lines after the first again: they may be rows of their own."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        del self.taken[1:]


def read_delimited(
    file: LogFile, note: Note, *, is_header: Callable[[list[str]], bool] = lambda names: True
) -> Iterator[Row]:
    """Rows of a CSV or TSV file as mappings from the columns of its first line.

    Where *is_header* says that the first line holds no names, it is a row like the others and the
    columns are called by their numbers.
    """
    with file.open_text(note, newline="") as handle:
        lines = _Lines(handle)
        delimiter = _delimiter(file, note)
        reader = csv.reader(lines, delimiter=delimiter)
        first_line = _first_line(reader, file.name)
        columns = _names(first_line)
        if not is_header(columns):
            note("header: none, the first line is a row; columns are called by their numbers")
            columns = [column_name(number) for number in range(1, len(columns) + 1)]
            first_line = [field.removeprefix("\ufeff") for field in first_line]
            yield Row(lines.number, dict(zip(columns, first_line, strict=True)))
        while True:
            lines.taken.clear()
            first = lines.number + 1
            try:
                fields = next(reader)
                if not fields:
                    continue
                row = Row(first, _values(fields, columns), "".join(lines.taken).rstrip("\r\n"))
            except StopIteration:
                return
            except _TooLongError:
                row = Row(first, raw=lines.taken[-1][:500], error=too_long())
            except _UnclosedQuoteError:
                row = _rejected(first, lines, _unclosed())
            except csv.Error as error:
                is_long = "field limit" in str(error) and len(lines.taken) == 1
                row = _rejected(first, lines, _too_wide() if is_long else _unclosed())
            except RowError as error:
                row = _rejected(first, lines, error)
            yield row


def _rejected(line: int, lines: _Lines, error: RowError) -> Row:
    raw = "".join(lines.taken)[:500]
    if len(lines.taken) > 1:
        # Only the first line is known to be bad; what a wild quote swallowed is read anew.
        lines.put_back_all_but_first()
    return Row(line, raw=raw, error=error)


def _values(fields: list[str], columns: list[str]) -> dict[str, str]:
    if len(fields) != len(columns):
        raise RowError(
            f"has {len(fields)} fields where the header has {len(columns)}",
            cure="put quotes around fields that hold the delimiter or a line break",
        )
    return {
        column: checked_text(field, f"column {column!r}")
        for column, field in zip(columns, fields, strict=True)
    }


def _unclosed() -> RowError:
    return RowError("opens a quote that is never closed", cure='close it, or double it: ""')


def _too_wide() -> RowError:
    return RowError(
        f"has a field of more than {csv.field_size_limit():,} characters", cure="shorten it"
    )


def _first_line(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        return next((fields for fields in reader if fields), [])
    except (csv.Error, _UnclosedQuoteError, _TooLongError) as error:
        raise DataError(
            "the first line is not a header", where=f"{name}:1", cure="name the columns in it"
        ) from error


def _names(fields: list[str]) -> list[str]:
    columns: list[str] = []
    for index, column in enumerate(fields, 1):
        bare = column.strip() or column_name(index)
        columns.append(bare if bare not in columns else f"{bare} ({index})")
    return columns


def _delimiter(file: LogFile, note: Note) -> str:
    usual = "\t" if file.suffix in (".tsv", ".tab") else ","
    with file.open_text(lambda sentence: None, newline="") as handle:
        first = handle.readline(MAX_LINE_CHARS).rstrip("\r\n")
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in _DELIMITERS}
    if counts[usual] > 1:
        return usual
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best] <= 1:
        return usual
    note(f"delimiter: {_DELIMITERS[best]} (the first line holds no {_DELIMITERS[usual]})")
    return best
