"""The report's numbers as the sections of its page: drawings, and figures ready to be placed.

A section whose numbers are missing is None, and the template leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from tailorbird.config import EvaluationSettings
from tailorbird.evaluation.heat_map import N_NAMED, confused_pairs, heat_map
from tailorbird.evaluation.plots import (
    Dot,
    Line,
    Rule,
    axis_percent,
    dot_plot,
    histogram,
    line_plot,
    reliability_plot,
    smoothed,
    thinned,
)
from tailorbird.evaluation.words import both, compact, count, duration, percent
from tailorbird.records import SPLITS

N_CURVE_POINTS = 300
"""Points of a drawn training curve; a longer run is averaged down to so many."""

Section = dict[str, Any] | None


def headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the first screen, and how they compare with the baselines."""
    test = report["test"]
    tuning = report.get("tuning", {})
    return {
        "test": test,
        "coverage": percent(_evaluation_settings(report)["confidence"], 0),
        "n_classes": sum(1 for row in test["per_class"] if row["support"]),
        "perfect_limit": percent(min(1.0, 3 / test["n_rows"])),
        "against": _against_words(test),
        "train_time": duration(tuning["train_s"]) if tuning.get("train_s") else None,
        "speed": compact(tuning["tokens_per_s"]) if tuning.get("tokens_per_s") else None,
        "n_trainable": compact(tuning["n_trainable"]) if tuning.get("n_trainable") else None,
        "n_parameters": compact(tuning["n_parameters"]) if tuning.get("n_parameters") else None,
        "backbone": tuning.get("backbone", ""),
        "plot": dot_plot(_rivals(test), label="plot-accuracy") if test["baselines"] else None,
    }


def _rivals(test: Mapping[str, Any]) -> list[Dot]:
    mine, others = test["accuracy"], test["baselines"]
    return [
        Dot(both("this_model", "tspan"), mine["value"], "right", mine["low"], mine["high"]),
        *(
            Dot(both(name, "tspan"), others[name]["accuracy"], "plain")
            for name in ("tfidf_logreg", "majority")
            if name in others
        ),
    ]


def _against_words(test: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which sentence compares the model with the word-counting baseline, and by how much."""
    rival = test["baselines"].get("tfidf_logreg", {}).get("accuracy")
    if rival is None:
        return None
    mine = test["accuracy"]
    points = abs(mine["value"] - rival) * 100
    if points < 0.05:
        key = "equal"
    elif mine["value"] < rival:
        key = "below"
    else:
        key = "above" if mine["low"] > rival else "near"
    return {"key": key, "points": f"{points:.1f}"}


def learning(report: Mapping[str, Any]) -> Section:
    """Loss and validation metrics over the steps of the tuning run."""
    curve = report.get("tuning", {}).get("curve") or []
    train = [(row["step"], row["loss"]) for row in _of(curve, "step") if row["loss"] is not None]
    validation = _of(curve, "validation")
    if len(train) < 2:
        return None
    losses = [(row["step"], row["loss"]) for row in validation if row["loss"] is not None]
    steps = (0, max(point[0] for point in (*train, *losses)))
    thin = thinned(train, N_CURVE_POINTS)
    highest = max(y for _, y in (*thin, *losses))
    best = report["tuning"].get("best_step")
    rule = Rule(best, both("best_step", "tspan", n=count(best))) if best else None
    metrics = {
        name: [(row["step"], row["metrics"][name]) for row in validation if name in row["metrics"]]
        for name in ("accuracy", "macro_f1")
    }
    shares = [share for points in metrics.values() for _, share in points]
    kinds = {"accuracy": "right", "macro_f1": "wrong"}
    return {
        "loss": line_plot(
            [
                Line("faint", thin),
                Line("right", smoothed(thin, 0.8)),
                Line("wrong", losses, has_dots=True),
            ],
            label="plot-loss",
            y_text=lambda value: f"{value:.3g}",
            y_range=(0.0, highest * 1.05 or 1.0),
            x_range=steps,
            x_name=both("step", "tspan"),
            rule=rule,
        ),
        "metrics": line_plot(
            [Line(kinds[name], points, has_dots=True) for name, points in metrics.items()],
            label="plot-metrics",
            y_text=axis_percent,
            y_range=_around(shares),
            x_range=steps,
            x_name=both("step", "tspan"),
            rule=rule,
        )
        if shares
        else None,
    }


def _around(shares: list[float]) -> tuple[float, float]:
    """A range within [0, 1] that shows all *shares* and their neighbourhood."""
    margin = max(0.02, (max(shares) - min(shares)) * 0.08)
    return max(0.0, min(shares) - margin), min(1.0, max(shares) + margin)


def calibration(report: Mapping[str, Any]) -> Section:
    """Reliability before and after the temperature, on validation."""
    found = report.get("calibration") or {}
    if not found.get("bins"):
        return None
    names = {"x_name": both("confidence", "tspan"), "y_name": both("share_right", "tspan")}
    after = {
        "title": both(
            "after", temperature=f"{found['temperature']:.2f}", ece=percent(_ece(found["bins"]))
        ),
        "plot": reliability_plot(found["bins"], kind="right", label="plot-after", **names),
        "id": "plot-after",
    }
    if not found.get("bins_before"):
        return {"figures": [after]}
    before = {
        "title": both("before", ece=percent(_ece(found["bins_before"]))),
        "plot": reliability_plot(found["bins_before"], kind="wrong", label="plot-before", **names),
        "id": "plot-before",
    }
    return {"figures": [before, after]}


def _ece(bins: list[dict[str, Any]]) -> float:
    n_rows = sum(one["n"] for one in bins) or 1
    gaps = (one["n"] / n_rows * abs(one["confidence"] - one["accuracy"]) for one in bins)
    return float(sum(gaps))


def threshold(report: Mapping[str, Any]) -> Section:
    """Where validation confidences lie, and what other thresholds would do.

    Left to `scope` where a score of its own decides.
    """
    found = report.get("calibration") or {}
    if not found.get("bins") or found.get("threshold") is None or report.get("scope"):
        return None
    rule = Rule(found["threshold"], Markup(percent(found["threshold"])))
    curve = found.get("curve") or []
    lines = [
        Line("plain", [(point["threshold"], point["kept"]) for point in curve]),
        Line("right", [(point["threshold"], point["accuracy"]) for point in curve]),
    ]
    return {
        "threshold": percent(found["threshold"]),
        "rate": percent(found.get("false_alarm_rate")),
        "histogram": histogram(
            found["bins"], rule=rule, label="plot-histogram", x_name=both("confidence", "tspan")
        ),
        "curve": line_plot(
            lines,
            label="plot-threshold",
            x_name=both("threshold_axis", "tspan"),
            y_text=axis_percent,
            x_text=axis_percent,
            y_range=(0.0, 1.0),
            x_range=(0.0, 1.0),
            rule=rule,
        )
        if curve
        else None,
    }


def scope(report: Mapping[str, Any]) -> Section:
    """What the scope score turns away at its threshold, and at others."""
    found = report.get("scope") or {}
    if not found.get("curve"):
        return None
    curve, test = found["curve"], found.get("test") or {}
    lines = [Line("wrong", [(point["threshold"], point["false_alarms"]) for point in curve])]
    is_taught = found["caught"] is not None
    if is_taught:
        lines.append(Line("right", [(point["threshold"], point["caught"]) for point in curve]))
    return {
        "threshold": percent(found["threshold"]),
        "rate": percent(found["false_alarm_rate"]),
        "caught": percent(found["caught"]) if is_taught else None,
        "by_confidence": percent(found["caught_by_confidence"]) if is_taught else None,
        "test_rate": percent(test["false_alarm_rate"]) if test else None,
        "test_caught": percent(test["caught"]) if "caught" in test else None,
        "curve": line_plot(
            lines,
            label="plot-scope",
            x_name=both("scope_axis", "tspan"),
            y_text=axis_percent,
            x_text=axis_percent,
            y_range=(0.0, 1.0),
            x_range=(0.0, 1.0),
            rule=Rule(found["threshold"], Markup(percent(found["threshold"]))),
        ),
    }


def confusion(report: Mapping[str, Any]) -> Section:
    """The confusion matrix of the test split, and its worst pairs."""
    test = report["test"]
    counts = np.asarray(test["confusion"], dtype=np.int64)
    if len(counts) < 2:
        return None
    return {
        "map": heat_map(counts, test["labels"], label="plot-confusion"),
        "is_named": len(counts) <= N_NAMED,
        "pairs": confused_pairs(counts, test["labels"]),
    }


def data(report: Mapping[str, Any]) -> Section:
    """What reading, cleaning and splitting kept, dropped and changed."""
    stages = report.get("data") or {}
    read, clean, split = (stages.get(key) or {} for key in ("read", "clean", "split"))
    sizes = split.get("n_rows") or {}
    flow = [
        ("rows", read.get("n_rows"), ""),
        ("n_rejected", read.get("n_rejected"), "out"),
        ("n_read", read.get("n_interactions", read.get("n_read")), ""),
        ("n_cleaned", clean.get("n_out"), ""),
        ("n_unlabelled", split.get("n_unlabelled"), "out"),
    ]
    steps = clean.get("steps") or []
    known = set(report.get("decisions") or [])
    found = {
        "flow": [
            {"word": word, "n": n, "kind": kind}
            for word, n, kind in flow
            if n or (n == 0 and kind != "out")
        ],
        "sizes": {name: sizes[name] for name in SPLITS if sizes.get(name)},
        "steps": [step for step in steps if step["n_dropped"] or step["n_changed"]],
        "idle": [step["name"] for step in steps if not (step["n_dropped"] or step["n_changed"])],
        "missing": {name: n for name, n in (clean.get("missing") or {}).items() if n},
        "conflicts": clean.get("conflicts") or [],
        "notes": [
            note
            for stage in (read, clean, split)
            for note in stage.get("decisions") or []
            if note not in known
        ],
    }
    return found if any(found.values()) else None


def decided(sentence: str) -> tuple[str, str]:
    """``backbone: e5 (why)`` as its subject and the rest; no subject where there is none.

    >>> decided("backbone: e5 (31 % Chinese)"), decided("3 rows say: nothing of note, at all")
    (('backbone', 'e5 (31 % Chinese)'), ('', '3 rows say: nothing of note, at all'))
    """
    subject, colon, rest = sentence.partition(": ")
    is_subject = bool(subject and colon) and len(subject) <= 24 and not subject[0].isdigit()
    return (subject, rest) if is_subject else ("", sentence)


def facts(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as flat ``section.key`` lines."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += facts(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            lines.append((f"{prefix}{key}", ", ".join(map(str, value))))
        elif isinstance(value, bool) or not isinstance(value, float):
            lines.append((f"{prefix}{key}", "–" if value in (None, "") else str(value)))
        else:
            lines.append((f"{prefix}{key}", f"{value:g}"))
    return lines


def _of(curve: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [row for row in curve if row["event"] == event]


def _evaluation_settings(report: Mapping[str, Any]) -> dict[str, Any]:
    given = (report.get("settings") or {}).get("evaluation", {})
    return {"confidence": EvaluationSettings().confidence, **given}
