"""What tests of reading do with a file: write it, read it, and look at what was guessed."""

from __future__ import annotations

from pathlib import Path

from tailorbird.config import ReadingSettings
from tailorbird.data import read
from tailorbird.records import Interaction


def rows_of(path: Path | str, **settings: str) -> list[Interaction]:
    reading = read(path, ReadingSettings(**settings))
    rows = list(reading)
    assert (reading.n_rejected, reading.n_rows) == (0, reading.n_read)
    return rows


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def decisions_of(path: Path, **settings: str) -> list[str]:
    reading = read(path, ReadingSettings(**settings))
    list(reading)
    return reading.decisions
