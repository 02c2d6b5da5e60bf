"""The test split is touched once: a note in the run folder, and a refusal at the second look."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tailorbird.errors import DataError

FILE_NAME = "test_opened.json"


@dataclass(frozen=True, slots=True)
class TestOpening:
    """One look at the test split."""

    __test__ = False  # a record, whatever pytest makes of the name

    time: str
    """ISO 8601, UTC."""
    purpose: str
    finished: bool
    """False while the look lasts; stays so where it was interrupted and nobody saw a figure."""


@contextmanager
def open_test_once(
    run_path: Path,
    purpose: str,
    *,
    again: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[list[dict[str, str]]]:
    """Open the test split of a run for the block, and note it in the run folder.

    The block gets every finished look and its own, ``[{"time": …, "purpose": …}]``, for the
    report's key ``test_openings``; the page says so loudly where there is more than one. A look
    that was interrupted showed nobody a figure and does not count. Raises DataError where the
    split was looked at before and *again* is not set.
    """
    path = run_path / FILE_NAME
    earlier = [opening for opening in _read(path) if opening.finished]
    if earlier and not again:
        raise DataError(
            f"the test split of this run was already opened on {earlier[-1].time[:16]} "
            f"for {earlier[-1].purpose}",
            where=str(run_path),
            cure="pass --again to look again; the report says so",
        )
    opening = TestOpening(now().isoformat(timespec="seconds"), purpose, finished=False)
    _write(path, [*earlier, opening])
    yield [{"time": one.time, "purpose": one.purpose} for one in (*earlier, opening)]
    _write(path, [*earlier, TestOpening(opening.time, purpose, finished=True)])


def _read(path: Path) -> list[TestOpening]:
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [TestOpening(**row) for row in rows]
    except (ValueError, TypeError) as error:
        raise DataError(
            "is not a list of openings",
            where=str(path),
            cure="restore the file; it is the proof that the test split was touched once",
        ) from error


def _write(path: Path, openings: list[TestOpening]) -> None:
    rows = [asdict(opening) for opening in openings]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    os.replace(part, path)
