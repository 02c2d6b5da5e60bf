"""CoNLL files: a token and its tag a line, a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tailorbird.data.files import LogFile
from tailorbird.data.formats.jsonl import skip_line, too_long
from tailorbird.data.rows import MAX_LINE_CHARS, Note, Row, checked_text
from tailorbird.errors import RowError

_COMMENT = re.compile(r"#\s*(?P<key>[\w-]+)\s*[=:]\s*(?P<value>.*)")


def read_conll(file: LogFile, note: Note) -> Iterator[Row]:
    """One row ``{"tokens": […], "tags": […]}`` a sentence; its line is that of its first token.

    The token is the first column (the second where the first counts 1, 2, 3 …), the tag the last;
    columns are divided by tabs, else by spaces. A comment ``# text = …`` before a sentence adds its
    own ``"text"``; other comments and ``-DOCSTART-`` are passed over.
    """
    lines: list[tuple[int, str]] = []
    text = ""
    number = 0
    with file.open_text(note) as handle:
        while line := handle.readline(MAX_LINE_CHARS):
            number += 1
            if len(line) >= MAX_LINE_CHARS and not line.endswith("\n"):
                skip_line(handle)
                yield Row(number, raw=line[:500], error=too_long())
                continue
            line = line.rstrip("\r\n")
            comment = None if lines or "\t" in line else _COMMENT.match(line)
            if not line.strip() or line.startswith("-DOCSTART-"):
                if lines:
                    yield _sentence(lines, text)
                lines, text = [], ""
            elif comment:
                text = comment["value"] if comment["key"] == "text" else text
            else:
                lines.append((number, line))
    if lines:
        yield _sentence(lines, text)


def _sentence(lines: list[tuple[int, str]], text: str) -> Row:
    first = lines[0][0]
    raw = "\n".join(line for _, line in lines)
    try:
        rows = [_columns(number, line) for number, line in lines]
    except RowError as error:
        return Row(first, raw=raw, error=error)
    counted = [str(position) for position in range(1, len(rows) + 1)]
    is_counted = all(len(row) > 2 for row in rows) and [row[0] for row in rows] == counted
    values: dict[str, Any] = {
        "tokens": [row[1 if is_counted else 0] for row in rows],
        "tags": [row[-1] for row in rows],
    }
    return Row(first, values | ({"text": text} if text else {}), raw)


def _columns(number: int, line: str) -> list[str]:
    columns = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
    if len(columns) < 2 or not columns[0] or not columns[-1]:
        raise RowError(
            f"line {number} is {line[:40]!r}, not a token and its tag",
            cure="write 'TOKEN<tab>TAG', and a blank line between sentences",
        )
    checked_text(line, f"line {number}")
    return columns
