"""JSON lines, and one JSON array of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from tailorbird.data.files import LogFile
from tailorbird.data.rows import (
    MAX_LINE_CHARS,
    Note,
    Row,
    column_name,
    is_decoded,
    undecodable,
)
from tailorbird.errors import DataError, RowError

_CHUNK_CHARS = 65_536


Shape = Callable[[Any], dict[str, Any]]
"""What makes a row's mapping of a JSON value; RowError where it cannot be one."""


def mapping_of(value: Any) -> dict[str, Any]:
    """The object itself; RowError for anything else.

    >>> mapping_of({"text": "hi"})
    {'text': 'hi'}
    """
    if isinstance(value, dict):
        return value
    kind = {list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")
    kind = "null" if value is None else kind
    raise RowError(f"is {kind}, not an object", cure='write it as {"text": …}')


def mapping_or_columns(value: Any) -> dict[str, Any]:
    """The object itself, or the entries of an array as columns by their number.

    >>> mapping_or_columns(["where is it?", "track"])
    {'column 1': 'where is it?', 'column 2': 'track'}
    """
    if isinstance(value, list) and value:
        return {column_name(number): entry for number, entry in enumerate(value, 1)}
    return mapping_of(value)


def read_json(file: LogFile, note: Note, *, shape: Shape = mapping_of) -> Iterator[Row]:
    """The objects of a ``.jsonl`` or ``.json`` file, whichever of the two forms it has."""
    with file.open_text(note) as handle:
        start = handle.read(1)
        n_blank_lines = 0
        while start.isspace():
            n_blank_lines += start == "\n"
            start = handle.read(1)
        if start == "[":
            yield from _array(handle, file.name, n_blank_lines + 1, shape)
        else:
            yield from _lines(handle, start, n_blank_lines, file.name, shape)


def _lines(
    handle: io.TextIOWrapper, start: str, number: int, name: str, shape: Shape
) -> Iterator[Row]:
    while line := start + handle.readline(MAX_LINE_CHARS):
        start = ""
        number += 1
        if len(line) >= MAX_LINE_CHARS and not line.endswith("\n"):
            skip_line(handle)
            yield Row(number, raw=line[:500], error=too_long())
        elif text := line.strip():
            if number == 1 and text == "{":
                raise DataError(
                    "is one JSON object over several lines, not rows",
                    where=name,
                    cure="write one object a line (.jsonl) or an array of objects",
                )
            yield _parse(number, text, shape)


def _parse(number: int, text: str, shape: Shape) -> Row:
    if not is_decoded(text):
        return Row(number, raw=text, error=undecodable(text))
    if "\0" in text:
        error = RowError("the line holds a NUL byte", cure="remove it; the file may be damaged")
        return Row(number, raw=text, error=error)
    try:
        return Row(number, shape(json.loads(text)), text)
    except json.JSONDecodeError as error:
        return Row(number, raw=text, error=_not_json(error, text))
    except RowError as error:
        return Row(number, raw=text, error=error)
    except (ValueError, RecursionError):
        deep = RowError("is nested too deeply or holds a huge number", cure="check its writer")
        return Row(number, raw=text, error=deep)


def _not_json(error: json.JSONDecodeError, text: str) -> RowError:
    if error.msg.startswith("Unterminated string") or error.pos >= len(text):
        return RowError(
            f"the line is cut off after {len(text)} characters",
            cure="write the row again in full; its writer may have been stopped",
        )
    return RowError(
        f"is not JSON: {error.msg} at column {error.colno}", cure="write one object a line"
    )


def too_long() -> RowError:
    """The error for a line that never seems to end."""
    return RowError(
        f"the line is longer than {MAX_LINE_CHARS:,} characters", cure="write one row a line"
    )


def skip_line(handle: io.TextIOWrapper) -> None:
    """Read to the end of a line without keeping it."""
    while (part := handle.readline(_CHUNK_CHARS)) and not part.endswith("\n"):
        pass


def _array(handle: io.TextIOWrapper, name: str, line: int, shape: Shape) -> Iterator[Row]:
    """Elements of an array whose ``[`` was read, decoded one at a time from a sliding buffer."""
    decoder = json.JSONDecoder()
    buffer = handle.read(_CHUNK_CHARS)
    position = 0
    while True:
        while position < len(buffer) and buffer[position] in " \t\r\n,":
            line += buffer[position] == "\n"
            position += 1
        if position == len(buffer):
            buffer, position = handle.read(_CHUNK_CHARS), 0
            if not buffer:
                raise _broken_array(name, line, "ends before its closing bracket")
            continue
        if buffer[position] == "]":
            if (buffer[position + 1 :] + handle.read(_CHUNK_CHARS)).strip():
                raise _broken_array(name, line, "goes on after its closing bracket")
            return
        try:
            value, end = decoder.raw_decode(buffer, position)
            is_whole = end < len(buffer)  # a number may go on in the next chunk
        except json.JSONDecodeError as error:
            is_whole, problem = False, error.msg
        except RecursionError:
            raise _broken_array(name, line, "is nested too deeply") from None
        else:
            problem = "ends before its closing bracket"
        if not is_whole:
            # Doubling what is read keeps a large element linear.
            more = handle.read(max(_CHUNK_CHARS, len(buffer) - position))
            if not more or len(buffer) - position > MAX_LINE_CHARS:
                raise _broken_array(name, line, f"is not JSON: {problem}")
            buffer, position = buffer[position:] + more, 0
            continue
        yield _element(line, value, buffer[position:end], shape)
        line += buffer.count("\n", position, end)
        position = end


def _element(line: int, value: Any, raw: str, shape: Shape) -> Row:
    if not is_decoded(raw):
        return Row(line, raw=raw[:500], error=undecodable(raw))
    try:
        return Row(line, shape(value), raw[:500])
    except RowError as error:
        return Row(line, raw=raw[:500], error=error)


def _broken_array(name: str, line: int, what: str) -> DataError:
    return DataError(
        f"the JSON array {what}",
        where=f"{name}:{line}",
        cure="mend the file, or write one object a line (.jsonl): a bad line costs only itself",
    )
