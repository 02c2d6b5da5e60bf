"""Curves of a tuning as drawings: loss and what was measured on validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailorbird.evaluation.plots import Line, axis_percent, line_plot, smoothed, thinned

N_POINTS = 200
"""Of a drawn curve: what is drawn anew each second must stay small."""
SHARES = ("accuracy", "macro_f1")
"""What is drawn of the validation, where it was measured; else the first that was."""
KINDS = ("right", "wrong")

Points = list[tuple[float, float]]


def loss_plot(rows: Sequence[dict[str, Any]], x_name: str) -> str:
    """Training loss, smoothed, and validation loss over the steps; empty without two of them.

    >>> loss_plot([{"event": "step", "step": 1, "loss": 2.0}], "step")
    ''
    """
    train = [(float(row["step"]), row["loss"]) for row in _of(rows, "step") if _is_number(row)]
    tested = [(float(row["step"]), row["loss"]) for row in _of(rows, "validation")]
    tested = [point for point in tested if point[1] is not None]
    if len(train) < 2:
        return ""
    thin = thinned(train, N_POINTS)
    highest = max(loss for _, loss in (*thin, *tested))
    return str(
        line_plot(
            [
                Line("faint", thin),
                Line("right", smoothed(thin, 0.8)),
                Line("wrong", tested, has_dots=True),
            ],
            label="curve-loss",
            x_name=x_name,
            y_text=lambda value: f"{value:.3g}",
            y_range=(0.0, highest * 1.05 or 1.0),
            x_range=(0, _last_step(rows)),
        )
    )


def metric_names(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """What was measured on validation and is drawn; at most two."""
    known: dict[str, None] = {}
    for row in _of(rows, "validation"):
        known.update(dict.fromkeys(row.get("metrics") or {}))
    return tuple(name for name in SHARES if name in known) or tuple(known)[:1]


def metric_plot(rows: Sequence[dict[str, Any]], x_name: str) -> str:
    """The measures of `metric_names` over the steps; empty before the first validation."""
    names = metric_names(rows)
    series: list[Points] = [
        [
            (float(row["step"]), row["metrics"][name])
            for row in _of(rows, "validation")
            if (row.get("metrics") or {}).get(name) is not None
        ]
        for name in names
    ]
    values = [value for points in series for _, value in points]
    if not values:
        return ""
    margin = max(0.02, (max(values) - min(values)) * 0.15)
    is_share = min(values) >= 0 and max(values) <= 1
    low, high = min(values) - margin, max(values) + margin
    return str(
        line_plot(
            [
                Line(kind, points, has_dots=True)
                for kind, points in zip(KINDS, series, strict=False)
            ],
            label="curve-metrics",
            x_name=x_name,
            y_text=axis_percent if is_share else lambda value: f"{value:.3g}",
            y_range=(max(0.0, low), min(1.0, high)) if is_share else (low, high),
            x_range=(0, _last_step(rows)),
        )
    )


def _of(rows: Sequence[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["event"] == event]


def _is_number(row: dict[str, Any]) -> bool:
    return row["loss"] is not None and row["loss"] == row["loss"]


def _last_step(rows: Sequence[dict[str, Any]]) -> int:
    """The step that the axis ends with: that which the run is to take, if nothing stops it."""
    last = rows[-1]
    return max(1, int(last["step"]), int(last.get("n_steps") or 0))
