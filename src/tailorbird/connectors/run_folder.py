"""What a run's folder says to a tracker: settings, results, and the tracker's own run of before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REMEMBERED = "trackers.json"
"""In a run's folder: tracker → its own id of the run, so that a resumed run goes on in it."""


def settings_of(folder: Path) -> dict[str, Any]:
    """The run's settings by ``section.key``, with what the plan made of them as ``plan.key``."""
    found = flat(read_json(folder / "settings.json"))
    return found | flat({"plan": read_json(folder / "tune.json").get("settings", {})})


def results_of(folder: Path) -> dict[str, float]:
    """The figures of the test, of speed and of size, as far as the run has come."""
    tuned = read_json(folder / "tune.json")
    keys = ("train_s", "tokens_per_s", "n_parameters", "n_trainable", "best_step")
    figures: dict[str, Any] = {key: tuned.get(key) for key in keys}
    for key, value in read_json(folder / "report.json").get("test", {}).items():
        figures[f"test.{key}"] = value.get("value") if isinstance(value, dict) else value
    return {key: float(value) for key, value in figures.items() if is_number(value)}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots.

    >>> flat({"tuning": {"epochs": 3}})
    {'tuning.epochs': 3}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def is_number(value: Any) -> bool:
    """Whether *value* is a figure to draw: true and false are none.

    >>> is_number(0.5), is_number(True)
    (True, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_json(file: Path) -> dict[str, Any]:
    """The object in *file*; empty where there is none yet."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def remembered(folder: Path, tracker: str) -> str:
    """The id that *tracker* gave this run before; empty for a run it has not heard of."""
    return str(read_json(folder / REMEMBERED).get(tracker, ""))


def remember(folder: Path, tracker: str, own_id: str) -> None:
    """Keep *tracker*'s id of this run."""
    ids = read_json(folder / REMEMBERED) | {tracker: own_id}
    (folder / REMEMBERED).write_text(json.dumps(ids, indent=1), encoding="utf-8")
