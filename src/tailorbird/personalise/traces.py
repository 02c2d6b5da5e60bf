"""What a user has left in texts: their own words and names, found and taken out.

A text that somebody else wrote, too, is not the user's alone and stays.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORGOTTEN = "[forgotten]"
ROW_FILES = (
    "interactions.jsonl",
    "clean.jsonl",
    "examples.jsonl",
    "out_of_scope.jsonl",
    "held_out.jsonl",
)
"""Rows of a run or, held out, of a tuned search: one JSON object a line, with whose they are."""
MIN_CHARS = 12
"""Shorter texts are found only as wholes: within others they may be anybody's."""


def names_of(user: str) -> tuple[str, ...]:
    """The user's id, and the code that cleaning puts in place of an e-mail address or phone.

    >>> names_of("ada")[1]
    'user-fdee430d40bd'
    """
    return user, f"user-{hashlib.sha256(user.encode()).hexdigest()[:12]}"


@dataclass
class Traces:
    """The words that are one user's alone."""

    user: str
    mine: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    def note(self, row: dict[str, Any]) -> None:
        """Learn from a row of anybody."""
        owner = self.mine if row.get("user") in names_of(self.user) else self.others
        owner.update(_one_line(text) for text in _texts(row))

    @property
    def texts(self) -> list[str]:
        """What only this user wrote, each on one line, the longest first."""
        return sorted(self.mine - self.others - {""}, key=len, reverse=True)

    def is_of_user(self, line: str) -> bool:
        """Whether a line of ``rejects.jsonl`` was theirs: a row that could not be read."""
        folded = _one_line(line)
        names = [re.escape(name) for name in names_of(self.user)]
        if re.search(rf"(?<!\w)({'|'.join(names)})(?!\w)", _raw_of(line)):
            return True
        return any(len(text) >= MIN_CHARS and text in folded for text in self.texts)


class Eraser:
    """Takes the words of one user out of anything that is JSON."""

    def __init__(self, traces: Traces) -> None:
        self.texts = traces.texts
        self.long = [text for text in self.texts if len(text) >= MIN_CHARS]
        self.whole = set(self.texts)
        self.names = [name for name in names_of(traces.user) if len(name) >= MIN_CHARS]
        self.exact_names = set(names_of(traces.user))

    def clean(self, value: Any) -> Any:
        """The same without them; equal to *value* where there was nothing of theirs."""
        if isinstance(value, dict):
            return {self._string(key): self.clean(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.clean(part) for part in value]
        return self._string(value) if isinstance(value, str) else value

    def _string(self, text: str) -> str:
        line = _one_line(text)
        if line in self.whole or (self._is_cut(line) if line.endswith("…") else False):
            return FORGOTTEN
        for own in (*self.long, *self.names):
            if own in line:
                line = text = line.replace(own, FORGOTTEN)
        return text

    def _is_cut(self, line: str) -> bool:
        start = line.rstrip("… ")
        return len(start) >= MIN_CHARS and any(own.startswith(start) for own in self.long)


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line with its object; lines that hold none are skipped."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield line, row


def _texts(row: dict[str, Any]) -> Iterator[str]:
    """What people said in a row: the user's words, the other text, earlier turns."""
    for key in ("text", "second", "reply"):
        if isinstance(row.get(key), str):
            yield row[key]
    for turns in (row.get("history"), row.get("messages")):
        for turn in turns or ():
            yield turn.get("content", "")


def _raw_of(line: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        return line
    return str(row.get("raw", "")) if isinstance(row, dict) else line


def _one_line(text: str) -> str:
    return " ".join(text.split())
