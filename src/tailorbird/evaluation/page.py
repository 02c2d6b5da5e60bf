"""The report as two files: report.json for programs, report.html for people.

`write_report` is the door; `sections` turns the report's numbers into what the template places.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tailorbird import __version__
from tailorbird.evaluation import sections
from tailorbird.evaluation.frame import render_page, write_whole


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json and report.html into *folder*, each in one step.

    The only key that *report* must have is ``test``, an `EvalReport.to_json`. A number that is
    not finite becomes null. The page needs no other file and makes no request: its own content
    policy forbids them, and allows the one script by its hash.
    """
    ready = _json_ready(report)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(ready, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    write_whole(folder / "report.json", text)
    write_whole(folder / "report.html", render(ready))


def render(report: Mapping[str, Any]) -> str:
    """The page of a JSON-ready *report*."""
    run, tuning = report.get("run") or {}, report.get("tuning") or {}
    chapters: dict[str, Any] = {
        "learning": sections.learning(report),
        "calibration": sections.calibration(report),
        "threshold": sections.threshold(report),
        "scope": sections.scope(report),
        "confusion": sections.confusion(report),
        "classes": sorted(
            (row for row in report["test"]["per_class"] if row["support"]),
            key=lambda row: (row["f1"], row["label"]),
        ),
        "mistakes": report.get("mistakes", []),
        "data": sections.data(report),
        "decisions": [sections.decided(sentence) for sentence in report.get("decisions", [])],
    }
    return render_page(
        "report.html",
        chapters=[name for name, content in chapters.items() if content],
        version=run.get("version", __version__),
        run=run,
        openings=report.get("test_openings", []),
        head=sections.headline(report),
        splits=[report[name] for name in ("validation", "test") if report.get(name)],
        slices=report.get("slices", {}).get("language", {}),
        settings=sections.facts(report.get("settings") or tuning.get("settings") or {}),
        machine=sections.facts(report.get("processor", {})),
        **chapters,
    )


def _json_ready(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_ready(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(part) for part in value]
    if isinstance(value, np.generic):
        return _json_ready(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
