"""What the folders of bundles say: their figures, and how two of them compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tailorbird.bundle import registry
from tailorbird.console.markup import duration, rate
from tailorbird.store import Workspace

Outcome = Literal["above", "below", "same", "unknown"]


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """One bundle of the workspace."""

    id: str
    path: Path
    made: datetime
    is_live: bool
    report: Mapping[str, Any]
    """Empty where it cannot be read."""

    @property
    def run(self) -> str:
        """The run it came from; empty where it does not say."""
        return str(self.report.get("run", {}).get("name", ""))

    @property
    def accuracy(self) -> float | None:
        """On the test split, in [0, 1]."""
        return _number(self.report, "test", "accuracy", "value")

    @property
    def has_page(self) -> bool:
        """Whether there is a report for people."""
        return (self.path / "report.html").is_file()

    @property
    def verdict(self) -> Mapping[str, Any]:
        """What a gate said of it, where one looked at it: ``promote`` and ``reason``."""
        verdict = self.report.get("verdict")
        return verdict if isinstance(verdict, dict) else {}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a comparison, written for people."""

    key: str
    first: str
    second: str
    difference: str = ""
    better: Literal["", "first", "second"] = ""


def list_bundles(workspace: Workspace) -> list[BundleFacts]:
    """Every bundle in the workspace, the newest first."""
    live = registry.live_bundle(workspace)
    live_id = live.id if live else ""
    found = [
        _facts(folder, live_id)
        for folder in workspace.bundles_path.iterdir()
        if (folder / "manifest.json").is_file() and not folder.name.startswith(".")
    ]
    return sorted(found, key=lambda one: (one.made, one.id), reverse=True)


def find_bundle(workspace: Workspace, bundle_id: str) -> BundleFacts | None:
    """The bundle of exactly this id; None where the workspace holds none."""
    return next((one for one in list_bundles(workspace) if one.id == bundle_id), None)


def outcome(first: BundleFacts, second: BundleFacts) -> Outcome:
    """Whether the second answers more or fewer test rows right, beyond what chance explains.

    Said only where the 95 % intervals do not meet, which is stricter than a test of the
    difference: without the rows themselves nothing finer can be honest.
    """
    a, b = _interval(first), _interval(second)
    if a is None or b is None:
        return "unknown"
    if b[0] > a[1]:
        return "above"
    return "below" if b[1] < a[0] else "same"


def are_rows_same(first: BundleFacts, second: BundleFacts) -> bool:
    """Whether both were measured on test rows of the same logs, as far as their reports tell."""
    return _rows_of(first) == _rows_of(second)


def compare(first: BundleFacts, second: BundleFacts) -> list[Figure]:
    """All figures that at least one of them has, side by side."""
    lines = [
        *(
            _line(key, (first, second), path, more_is_better=more)
            for key, path, more in (
                ("accuracy", ("test", "accuracy", "value"), True),
                ("macro_f1", ("test", "macro_f1", "value"), True),
                ("language_zh", ("slices", "language", "zh", "accuracy"), True),
                ("language_en", ("slices", "language", "en", "accuracy"), True),
                ("ece", ("test", "ece"), False),
                ("false_alarm", ("calibration", "false_alarm_rate"), False),
            )
        ),
        *(
            Figure(key, write(first), write(second))
            for key, write in (
                ("rows", _n_rows),
                ("labels", _n_labels),
                ("train", _train),
                ("backbone", _backbone),
                ("source", _source),
            )
        ),
    ]
    return [line for line in lines if (line.first, line.second) != ("–", "–")]


def _facts(folder: Path, live_id: str) -> BundleFacts:
    made = datetime.fromtimestamp((folder / "manifest.json").stat().st_mtime, UTC)
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {}
    ready = report if isinstance(report, dict) else {}
    return BundleFacts(folder.name, folder, made, folder.name == live_id, ready)


def _at(report: Mapping[str, Any], *path: str) -> Any:
    """What stands at *path* of a report; None where it does not go so far."""
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(report: Mapping[str, Any], *path: str) -> float | None:
    value = _at(report, *path)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _interval(one: BundleFacts) -> tuple[float, float] | None:
    low = _number(one.report, "test", "accuracy", "low")
    high = _number(one.report, "test", "accuracy", "high")
    return None if low is None or high is None else (low, high)


def _rows_of(one: BundleFacts) -> tuple[Any, ...]:
    report = one.report
    return (
        Path(str(_at(report, "run", "source"))).name,
        _at(report, "test", "n_rows"),
        _at(report, "run", "seed"),
    )


def _line(
    key: str, pair: tuple[BundleFacts, BundleFacts], path: tuple[str, ...], *, more_is_better: bool
) -> Figure:
    first, second = (_number(one.report, *path) for one in pair)
    if first is None or second is None:
        return Figure(key, rate(first), rate(second))
    points = 100 * (second - first)
    if abs(points) < 0.05:
        return Figure(key, rate(first), rate(second), "±0")
    is_second = (points > 0) == more_is_better
    sign = "+" if points > 0 else "\u2212"
    difference = f"{sign}{abs(points):.1f}"
    return Figure(key, rate(first), rate(second), difference, "second" if is_second else "first")


def _n_rows(one: BundleFacts) -> str:
    number = _number(one.report, "test", "n_rows")
    return "–" if number is None else f"{number:,.0f}"


def _n_labels(one: BundleFacts) -> str:
    labels = _at(one.report, "test", "labels")
    return f"{len(labels):,}" if isinstance(labels, list) else "–"


def _backbone(one: BundleFacts) -> str:
    return str(_at(one.report, "tuning", "backbone") or "–")


def _source(one: BundleFacts) -> str:
    return str(_at(one.report, "run", "source") or "–")


def _train(one: BundleFacts) -> str:
    seconds = _number(one.report, "tuning", "train_s")
    return "–" if seconds is None else duration(seconds)
