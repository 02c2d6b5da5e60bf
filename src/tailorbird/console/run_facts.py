"""What the workspace knows of its runs: how far they are, what was decided, how the loss falls."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from tailorbird.runs import CURVE, STAGES
from tailorbird.store import RunRow, Workspace
from tailorbird.store.tables import BundleRow

N_RUNS = 100
"""So many runs are listed."""
PAGES = ("report", "search", "rates", "doubts", "personalise")
"""Pages that a run may hold, in the order in which they are offered."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list of runs."""

    row: RunRow
    accuracy: float | None
    """Of the bundle it led to, where there is one."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run."""

    name: str
    state: str
    """``done``, ``now`` or ``open``."""
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run as it is now."""

    row: RunRow
    folder: Path
    stages: tuple[Stage, ...]
    """Empty for a run of another kind than a build."""
    pages: tuple[str, ...]
    bundle: str
    """The id of what it led to; empty: nothing yet."""

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return self.row.status == "running"


@dataclass(slots=True)
class Curve:
    """The reports of a tuning, read on from where the last look ended."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    _n_read: int = 0

    def read_on(self) -> bool:
        """Take in what was written since; True where there is anything new.

        A line still being written waits for the next look. A file that became shorter was begun
        anew, or cut back to a checkpoint: it is read from its start.
        """
        try:
            size_bytes = self.path.stat().st_size
            if size_bytes == self._n_read:
                return False
            if size_bytes < self._n_read:
                self._n_read = 0
                self.rows.clear()
            with self.path.open("rb") as file:
                file.seek(self._n_read)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            had_rows = bool(self.rows)
            self._n_read = 0
            self.rows.clear()
            return had_rows
        self._n_read += len(whole) + len(end)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # a line that a full disk cut short
                self.rows.append(json.loads(line))
        return bool(whole)


def list_runs(workspace: Workspace) -> tuple[list[Listed], int]:
    """The newest runs, and how many there are in all."""
    with workspace.sessions() as session:
        n_all = session.scalar(select(func.count()).select_from(RunRow)) or 0
        newest = select(RunRow).order_by(RunRow.created.desc(), RunRow.name.desc()).limit(N_RUNS)
        rows = list(session.scalars(newest))
        names = [row.name for row in rows]
        made = select(BundleRow.run, BundleRow.accuracy).where(BundleRow.run.in_(names))
        accuracies = {name: accuracy for name, accuracy in session.execute(made)}  # noqa: C416
    return [Listed(row, accuracies.get(row.name)) for row in rows], n_all


def read_run(workspace: Workspace, name: str) -> RunFacts | None:
    """The run of exactly this *name*; None where the workspace knows none."""
    with workspace.sessions() as session:
        row = session.get(RunRow, name)
    if row is None:
        return None
    folder = workspace.runs_path / row.name
    bundle = _read(folder / "bundle.json").get("id", "")
    pages = tuple(page for page in PAGES if (folder / f"{page}.html").is_file())
    return RunFacts(row, folder, _stages(folder, row.status == "running"), pages, bundle)


def page_of_run(workspace: Workspace, name: str, page: str) -> Path | None:
    """The file of one of a run's pages, where both are known."""
    facts = read_run(workspace, name)
    if facts is None or page not in facts.pages:
        return None
    return facts.folder / f"{page}.html"


def curve_of(facts: RunFacts) -> Curve:
    """The curve of a run, not yet read."""
    return Curve(facts.folder / CURVE)


def took_s(row: RunRow, now: datetime) -> float:
    """How long a run has taken, or takes so far, in seconds."""
    return ((row.ended or now) - row.created).total_seconds()


def _stages(folder: Path, is_running: bool) -> tuple[Stage, ...]:
    are_done = [(folder / f"{name}.json").is_file() for name in STAGES]
    if not any(are_done) and not is_running:
        return ()
    n_done = sum(are_done)
    stages = []
    for k, (name, is_done) in enumerate(zip(STAGES, are_done, strict=True)):
        state = "done" if is_done else "now" if is_running and k == n_done else "open"
        said = _read(folder / f"{name}.json").get("decisions", []) if is_done else []
        stages.append(Stage(name, state, tuple(map(str, said))))
    return tuple(stages)


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, as of a stage that is done again."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
