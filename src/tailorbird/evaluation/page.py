"""The report as two files: report.json for programs, report.html for people.

`write_report` is the door; `sections` turns the report's numbers into what the template places.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tailorbird import __version__
from tailorbird.evaluation import sections
from tailorbird.evaluation.words import WORDS, both, breakable, count, moment, percent
from tailorbird.text import language_of, shorten

TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json and report.html into *folder*, each in one step.

    The only key that *report* must have is ``test``, an `EvalReport.to_json`. A number that is
    not finite becomes null. The page needs no other file and makes no request: its own content
    policy forbids them, and allows the one script by its hash.
    """
    ready = _json_ready(report)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(ready, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    _write_whole(folder / "report.json", text)
    _write_whole(folder / "report.html", render(ready))


def render(report: Mapping[str, Any]) -> str:
    """The page of a JSON-ready *report*."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(t=both, words=WORDS, language_of=language_of)
    environment.filters.update(
        percent=percent, count=count, shorten=shorten, breakable=breakable, moment=moment
    )
    run, tuning = report.get("run") or {}, report.get("tuning") or {}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("report.html").render(
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        version=run.get("version", __version__),
        run=run,
        openings=report.get("test_openings", []),
        head=sections.headline(report),
        splits=[report[name] for name in ("validation", "test") if report.get(name)],
        learning=sections.learning(report),
        calibration=sections.calibration(report),
        threshold=sections.threshold(report),
        confusion=sections.confusion(report),
        classes=sorted(
            (row for row in report["test"]["per_class"] if row["support"]),
            key=lambda row: (row["f1"], row["label"]),
        ),
        slices=report.get("slices", {}).get("language", {}),
        mistakes=report.get("mistakes", []),
        data=sections.data(report),
        decisions=[sections.decided(sentence) for sentence in report.get("decisions", [])],
        settings=sections.facts(report.get("settings") or tuning.get("settings") or {}),
        machine=sections.facts(report.get("processor", {})),
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


def _write_whole(path: Path, text: str) -> None:
    # Half a surrogate pair, which JSON logs may hold, cannot be written as UTF-8.
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text.encode("utf-8", errors="replace"))
    os.replace(part, path)
