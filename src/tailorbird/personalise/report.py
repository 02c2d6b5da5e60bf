"""What came out for users, as personalise.json for programs and personalise.html for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tailorbird.evaluation import frame
from tailorbird.evaluation.words import percent
from tailorbird.personalise.candidates import CANDIDATES, NONE
from tailorbird.personalise.proving import COVERAGE, Outcome, UserOutcome
from tailorbird.personalise.words import NAMES, WORDS, both
from tailorbird.store import files

JSON_NAME, PAGE_NAME = "personalise.json", "personalise.html"
TEMPLATES = Path(__file__).parent / "templates"
MAX_SHOWN = 2000
"""Users in the table of the page; the JSON has all of them."""


def write(folder: Path, outcome: Outcome, facts: Mapping[str, Any]) -> None:
    """Write both files into *folder*; *facts* are of the run: run, test_openings, processor."""
    report = to_json(outcome) | dict(facts)
    path = folder / JSON_NAME
    files.write_atomically(path, files.to_json_bytes(report, where=str(path)))
    write_page(folder, report)


def write_page(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the page of *report* alone, as after a user was forgotten."""
    files.write_atomically(folder / PAGE_NAME, render(report).encode("utf-8", errors="replace"))


def to_json(outcome: Outcome) -> dict[str, Any]:
    """JSON-ready: totals, then one entry a user, with why they got what they got."""
    return {
        "loss": outcome.loss_name,
        "losses": outcome.losses,
        "accuracies": outcome.accuracies,
        "gain": asdict(outcome.gain),
        "coverage": COVERAGE,
        "reference": outcome.reference,
        "confidence": outcome.confidence,
        "population": outcome.population,
        "chosen": outcome.chosen,
        "worse_users_fraction": outcome.worse_fraction,
        "users": [_user(user, outcome) for user in outcome.users],
    }


def why(user: UserOutcome, outcome: Outcome) -> dict[str, Any]:
    """The reason of the gate, or of a bad outcome, as a key of the words and its numbers."""
    if user.is_worse:
        assert user.gain is not None
        believed = user.beliefs[user.chosen]
        return {
            "key": "changed" if believed.gain > 0 else "leaned",
            "n": user.n_validation,
            "gain": believed.gain,
            "believed": believed.believed,
            "test": user.gain.value,
            "n_test": user.n_test,
        }
    if not user.beliefs:
        return {"key": "no_validation", "n": user.n_train}
    reference = outcome.reference
    best = user.chosen
    if best == NONE:
        best = user.best if reference == NONE else reference
    believed = user.beliefs[best]
    numbers = {
        "candidate": best,
        "n": user.n_validation,
        "gain": believed.gain,
        "believed": believed.believed,
        "sure": believed.sure,
        "confidence": outcome.confidence,
    }
    if user.chosen != NONE:
        if user.chosen == reference:
            return {"key": "begun", **numbers, "of_all": outcome.population[reference]["mean"]}
        return {"key": "won", **numbers}
    if reference != NONE:
        return {"key": "spared", **numbers}
    return {"key": "harms" if believed.believed <= 0 else "unsure", **numbers}


def _user(user: UserOutcome, outcome: Outcome) -> dict[str, Any]:
    return asdict(user) | {"is_worse": user.is_worse, "why": why(user, outcome)}


def render(report: Mapping[str, Any]) -> str:
    """The page of a report; it needs no other file and makes no request."""
    users = sorted(report["users"], key=lambda user: user["gain"]["value"] if user["gain"] else 0.0)
    return frame.render_page(
        "users.html",
        chapters=("totals", "worse", "users"),
        words=WORDS,
        own=TEMPLATES,
        report=report,
        names=(NONE, *CANDIDATES),
        n_users=len(users),
        worse=[user for user in users if user["is_worse"]],
        users=users[:MAX_SHOWN],
        reach=_reach(users),
        candidate=candidate_name,
        reason=reason,
        signed=signed,
        number=number,
    )


def _reach(users: list[dict[str, Any]]) -> float:
    """How far the axis of the intervals goes to both sides: over nine of ten of them."""
    ends = sorted(
        max(abs(user["gain"]["low"]), abs(user["gain"]["high"])) for user in users if user["gain"]
    )
    return ends[int(0.9 * (len(ends) - 1))] or 1.0 if ends else 1.0


def candidate_name(name: str) -> Markup:
    """A candidate in both languages."""
    return both(NAMES[name])


def reason(why: Mapping[str, Any]) -> Markup:
    """The reason in both languages, its numbers rounded."""
    numbers: dict[str, Any] = {}
    for key, value in why.items():
        if key in ("sure", "confidence"):
            numbers[key] = percent(value)
        elif key in ("gain", "believed", "test", "of_all"):
            numbers[key] = signed(value)
        elif key == "candidate":
            numbers[key] = candidate_name(value)
        elif key != "key":
            numbers[key] = value
    return both(f"why_{why['key']}", **numbers)


def signed(value: float) -> str:
    """A gain, with its sign.

    >>> signed(0.1234), signed(-2.0)
    ('+0.123', '−2.000')
    """
    return f"{value:+.3f}".replace("-", "−")


def number(value: float) -> str:
    """A loss.

    >>> number(0.70126)
    '0.7013'
    """
    return f"{value:.4f}" if math.isfinite(value) else "–"


def read(folder: Path) -> dict[str, Any] | None:
    """The report in *folder*; None where there is none."""
    path = folder / JSON_NAME
    if not path.is_file():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
