"""A run: one execution, its folder, and its row in the database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from tailorbird.errors import StoreError
from tailorbird.store.files import to_json_bytes, write_atomically
from tailorbird.store.tables import RunRow, RunStatus, utc_now


@dataclass(frozen=True, slots=True)
class Run:
    """One execution; its files are written whole or not at all."""

    name: str
    """Sortable and human, as ``20261124-153012-shop``; the time is UTC."""
    path: Path
    row: Callable[[], RunRow] = field(repr=False, compare=False)
    """Reads the database row as it is now."""
    change: Callable[[Callable[[RunRow], None]], None] = field(repr=False, compare=False)
    """Applies a change to the database row."""

    @property
    def status(self) -> str:
        """``running``, ``done``, ``failed`` or ``interrupted``, as it is now."""
        return self.row().status

    @property
    def source(self) -> str:
        """The logs it is built from."""
        return self.row().source

    @property
    def created(self) -> datetime:
        """When it began, in UTC."""
        return self.row().created

    def set_status(self, status: RunStatus, note: str = "") -> None:
        """Remember how the run is doing, with a *note* that says why where it went wrong."""
        if status not in get_args(RunStatus):
            raise StoreError(
                f"status {status!r} is not one of {', '.join(get_args(RunStatus))}",
                where=f"run {self.name}",
            )

        def update(row: RunRow) -> None:
            row.status, row.note = status, note
            row.ended = None if status == "running" else utc_now()

        self.change(update)

    def write_json(self, name: str, value: Any) -> Path:
        """Write *value* as the file *name* of the run's folder, atomically; returns its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_json_bytes(value, where=str(path)))
        return path

    def read_json(self, name: str) -> Any:
        """What `write_json` wrote; StoreError where it is not there or not JSON."""
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            there = sorted(file.name for file in self.path.glob("*.json")) or ["none"]
            raise StoreError(
                f"run {self.name} has no {name}",
                where=str(self.path),
                cure=f"the stage that writes it has not run; there: {', '.join(there)}",
            ) from error
        except ValueError as error:
            raise StoreError(
                f"is not JSON ({error})", where=str(path), cure="run the stage again"
            ) from error


def name_of_run(created: datetime, source: str, name: str = "") -> str:
    """A folder name that sorts by time and says what the run is about.

    >>> name_of_run(datetime(2026, 11, 24, 15, 30, 12, tzinfo=UTC), "logs/Shop Chats.jsonl.gz")
    '20261124-153012-shop-chats'
    """
    words = name or re.split(r"[/\\]", source.rstrip("/\\"))[-1].split(".")[0]
    slug = re.sub(r"[\W_]+", "-", words.lower()).strip("-")[:60].strip("-")
    return f"{created.astimezone(UTC):%Y%m%d-%H%M%S}-{slug or 'run'}"
