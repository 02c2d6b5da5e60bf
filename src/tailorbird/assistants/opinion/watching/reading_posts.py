"""Posts that were read before, from a file: what a replay needs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tailorbird.assistants.opinion.watching.posts import ReadPost
from tailorbird.errors import DataError

SENTIMENTS = ("negative", "neutral", "positive")


def read_posts(path: Path) -> tuple[list[ReadPost], list[str]]:
    """The posts of a JSONL or CSV file, and what is wrong with the rows that were left out.

    A time without a zone is in UTC. Raises DataError where the file cannot be read or no row can.
    """
    posts, rejects = [], []
    for number, row in _rows(path):
        try:
            posts.append(_post(row, number))
        except (ValueError, TypeError, AttributeError) as error:
            rejects.append(f"{path.name}:{number}: {error}")
    if not posts:
        raise DataError(
            f"no row can be used ({rejects[0] if rejects else 'there are none'})",
            where=str(path),
            cure='rows are as {"time": "2026-03-14T09:00:00Z", "title": "…", '
            '"sentiment": "negative", "topics": ["…"]}',
        )
    return posts, rejects


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                for row in (reader := csv.DictReader(file)):
                    yield reader.line_num, row
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _json(line)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read ({error})", where=str(path)) from error


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line  # what is wrong with it is said with its row


def _post(row: Any, number: int) -> ReadPost:
    if not isinstance(row, Mapping):
        raise ValueError("is not a JSON object")
    time = datetime.fromisoformat(str(row["time"]).strip() if row.get("time") else "no time")
    sentiment = str(row.get("sentiment") or "")
    if sentiment not in SENTIMENTS:
        raise ValueError(f"sentiment {sentiment!r} is not one of {', '.join(SENTIMENTS)}")
    entities = row.get("entities") or {}
    if not isinstance(entities, Mapping):
        entities = dict.fromkeys(_names(entities), "")
    return ReadPost(
        id=str(row.get("id") or number),
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        title=str(row.get("title") or ""),
        text=str(row.get("text") or ""),
        url=str(row.get("url") or ""),
        sentiment=sentiment,
        topics=tuple(_names(row.get("topics") or row.get("topic") or ())),
        mentions={str(name): str(value or "") for name, value in entities.items()},
        copy_of=str(row.get("copy_of") or ""),
    )


def _names(value: Any) -> list[str]:
    """Names of a list, of an object's keys, or of a text that | parts."""
    parts = value.split("|") if isinstance(value, str) else list(value)
    return sorted({str(part).strip() for part in parts} - {""})
