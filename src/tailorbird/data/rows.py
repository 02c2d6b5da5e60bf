"""What readers hand on: a row as it lies in its source, and a row that could not be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tailorbird.errors import RowError
from tailorbird.records import SplitName

MAX_LINE_CHARS = 10_000_000
"""A longer line is no row of a log; it is rejected without being kept in memory."""

Note = Callable[[str], None]
"""Takes a sentence about something the program decided for the user."""

NAME_ENCODING = "name its encoding, as --set reading.encoding=gb18030"

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNDECODED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source; *error* is set where its format already could not be read."""

    line: int
    values: Any = None
    raw: Any = None
    error: RowError | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One file or database table: a name for messages and its rows, read when asked for."""

    name: str
    rows: Callable[[Note], Iterator[Row]]
    split: SplitName | None = None
    """Set where the file's own name says which split it is."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be used: where, why, and what would mend it."""

    file: str
    line: int
    cause: str
    cure: str
    raw: str
    """The row as it was found, cut to 500 characters."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.cause}; {self.cure}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping, one line of ``rejects.jsonl``."""
        return asdict(self)


def reject(file: str, row: Row, error: RowError) -> Reject:
    """The record of a *row* of *file* that failed with *error*.

    >>> reject("a.csv", Row(3, raw=["x"]), RowError("has 1 field", cure="add one")).raw
    '["x"]'
    """
    raw = row.raw if row.raw is not None else row.values
    if not isinstance(raw, str):
        raw = json.dumps(raw, ensure_ascii=False, default=str)
    # A reject must itself be valid UTF-8, whatever the row held.
    shown = raw.strip()[:500].encode("utf-8", "backslashreplace").decode("utf-8")
    cause = error.what.encode("utf-8", "backslashreplace").decode("utf-8")
    return Reject(file, row.line, cause, error.cure, shown)


def column_name(number: int) -> str:
    """What a column is called that has no name of its own, counted from 1.

    >>> column_name(2)
    'column 2'
    """
    return f"column {number}"


def checked_text(text: str, what: str) -> str:
    """*text* itself, or RowError where it holds what no text file can: NUL, half characters.

    >>> checked_text("好", "text")
    '好'
    """
    if text.isascii():
        if "\0" not in text:
            return text
    elif "\0" not in text and not _SURROGATE.search(text):
        return text
    if "\0" in text:
        raise RowError(f"{what} holds a NUL byte", cure="remove it; the file may be damaged")
    if _UNDECODED.search(text):
        raise undecodable(text)
    raise RowError(
        f"{what} holds half of a character (a lone surrogate)",
        cure="write the character as UTF-8 or as both of its \\u escapes",
    )


def undecodable(text: str) -> RowError:
    """The error for a line whose bytes were not in the file's encoding."""
    found = _UNDECODED.search(text)
    byte = f" (first: 0x{ord(found[0]) - 0xDC00:02X})" if found else ""
    return RowError(
        f"holds bytes that are not in the file's encoding{byte}",
        cure=f"save the file as UTF-8, or {NAME_ENCODING}",
    )


def is_decoded(line: str) -> bool:
    """False where the line holds a byte that the file's encoding does not have."""
    return line.isascii() or not _UNDECODED.search(line)
