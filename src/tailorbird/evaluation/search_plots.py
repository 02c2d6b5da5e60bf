"""Plots of a search: how it went, each setting alone, all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from markupsafe import Markup, escape

from tailorbird.evaluation.plots import Line, Scale, drawing, element, line_plot

TrialRow = Mapping[str, Any]
"""A trial of ``search.json``: ``trial``, ``state``, ``value``, ``settings``."""

Axis = Mapping[str, Any]
"""A setting: ``key``, ``is_log``, ``is_whole``, ``choices`` (texts; empty for a range)."""

KINDS = {"done": "right", "pruned": "wrong"}
"""Classes of the style sheet by what became of a trial."""

WIDE, TALL = 720.0, 250.0


def number(value: float) -> str:
    """A value as a plot shows it.

    >>> number(0.91234), number(0.0005)
    ('0.912', '0.0005')
    """
    return f"{value:.3g}"


def history_plot(trials: Sequence[TrialRow], *, by_loss: bool, label: str, x_name: str) -> Markup:
    """Each trial as a dot, and the best until then as a line."""
    low, high = value_range(trials, by_loss=by_loss)
    best: list[tuple[float, float]] = []
    better = min if by_loss else max
    for one in trials:
        if one["state"] == "done":
            so_far = better(best[-1][1], one["value"]) if best else one["value"]
            best += (
                [(one["trial"], best[-1][1]), (one["trial"], so_far)]
                if best
                else [(one["trial"], so_far)]
            )
    last = max((one["trial"] for one in trials), default=0)
    if best:
        best.append((last, best[-1][1]))
    lines = [Line("right", [(x, min(max(y, low), high)) for x, y in best])]
    lines += _dots(trials, lambda one: float(one["trial"]), (low, high))
    return line_plot(
        lines,
        label=label,
        x_name=x_name,
        y_text=number,
        y_range=(low, high),
        x_range=(0.0, float(max(last, 1))),
    )


def slice_plot(trials: Sequence[TrialRow], axis: Axis, *, by_loss: bool, label: str) -> Markup:
    """What came out against one setting, whatever the others were."""
    y_range = value_range(trials, by_loss=by_loss)
    places = [_place(one, axis) for one in trials]
    choices = axis["choices"]
    if choices:
        x_range, x_text = (-0.5, len(choices) - 0.5), _named(choices)
    else:
        low, high = min(places, default=0.0), max(places, default=1.0)
        pad = 0.04 * (high - low) or 0.5
        x_range = (low - pad, high + pad)
        x_text = _text_of(axis)
    return line_plot(
        _dots(trials, lambda one: _place(one, axis), y_range),
        label=label,
        x_name=axis["key"],
        x_text=x_text,
        y_text=number,
        y_range=y_range,
        x_range=x_range,
    )


def parallel_plot(
    trials: Sequence[TrialRow], axes: Sequence[Axis], *, metric: str, by_loss: bool, label: str
) -> Markup:
    """Each trial as a line through all of its settings to what came out of it.

    The better a trial, the stronger its line; that of the best is thick.
    """
    shown = [one for one in trials if one["value"] is not None]
    low, high = value_range(shown, by_loss=by_loss)
    value_axis = Scale(low, high, TALL - 34, 30)
    xs = Scale(0, len(axes), 46, WIDE - 46)
    scales = [_axis_scale(shown, axis) for axis in axes]
    order = sorted(shown, key=lambda one: one["value"], reverse=by_loss)
    parts = []
    for rank, one in enumerate(order, start=1):
        ys = [scale(_place(one, axis)) for scale, axis in zip(scales, axes, strict=True)]
        ys.append(value_axis(min(max(one["value"], low), high)))
        corners = "L".join(f"{xs(k):.1f} {y:.1f}" for k, y in enumerate(ys))
        is_best = rank == len(order)
        parts.append(
            element(
                "path",
                d=f"M{corners}",
                class_=f"line {KINDS.get(one['state'], 'plain')}",
                stroke_opacity=1.0 if is_best else round(0.08 + 0.6 * (rank / len(order)) ** 3, 2),
                stroke_width=3.5 if is_best else None,
                data_tip=_tip(one),
            )
        )
    for k, (scale, axis) in enumerate(zip(scales, axes, strict=True)):
        parts += _axis(xs(k), _marks(scale, axis), str(axis["key"]).partition(".")[2], k)
    ends = [(value_axis(value), number(value)) for value in (low, high)]
    parts += _axis(xs(len(axes)), ends, metric, len(axes))
    return drawing(WIDE, TALL, parts, label=label)


def value_range(trials: Sequence[TrialRow], *, by_loss: bool) -> tuple[float, float]:
    """From which to which value a plot goes; a trial far worse than most lies on the edge.

    >>> rows = [{"value": value} for value in (0.1, 0.9, 0.92, 0.94)]
    >>> [round(end, 3) for end in value_range(rows, by_loss=False)]
    [0.814, 0.946]
    """
    values = [one["value"] for one in trials if one["value"] is not None]
    if not values:
        return 0.0, 1.0
    sign = -1 if by_loss else 1
    best, middle = max(sign * v for v in values), median(sign * v for v in values)
    worst = max(min(sign * v for v in values), best - 4 * (best - middle))
    pad = 0.05 * (best - worst) or 0.01
    low, high = sorted((sign * (worst - pad), sign * (best + pad)))
    return low, high


def _dots(
    trials: Sequence[TrialRow],
    place: Callable[[TrialRow], float],
    y_range: tuple[float, float],
) -> list[Line]:
    low, high = y_range
    lines = []
    for state, kind in KINDS.items():
        some = [one for one in trials if one["state"] == state and one["value"] is not None]
        points = [(place(one), min(max(one["value"], low), high)) for one in some]
        lines.append(
            Line(kind, points, has_dots=True, is_joined=False, tips=[_tip(one) for one in some])
        )
    return lines


def _tip(one: TrialRow) -> str:
    values = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in one["settings"].items())
    return f"#{one['trial']} · {number(one['value'])} · {values}"


def _place(one: TrialRow, axis: Axis) -> float:
    """Where a trial stands on the axis of a setting."""
    value = one["settings"][axis["key"]]
    if axis["choices"]:
        return float(axis["choices"].index(str(value)))
    return math.log10(value) if axis["is_log"] else float(value)


def _axis_scale(trials: Sequence[TrialRow], axis: Axis) -> Scale:
    places = [_place(one, axis) for one in trials] or [0.0]
    ends = (0.0, len(axis["choices"]) - 1.0) if axis["choices"] else (min(places), max(places))
    return Scale(*ends, TALL - 34, 30)


def _marks(scale: Scale, axis: Axis) -> list[tuple[float, str]]:
    if axis["choices"]:
        return [(scale(k), name) for k, name in enumerate(axis["choices"])]
    text = _text_of(axis)
    return [(scale(end), text(end)) for end in dict.fromkeys((scale.low, scale.high))]


def _axis(x: float, marks: Sequence[tuple[float, str]], name: str, k: int) -> list[Markup]:
    """A vertical axis; names stand on two lines in turn, so that neighbours do not touch."""
    return [
        element("line", x1=x, x2=x, y1=30, y2=TALL - 34, class_="grid"),
        *(element("text", text, x=x + 4, y=y + 4, class_="tick halo") for y, text in marks),
        element("text", escape(name), x=x, y=TALL - 17 + 12 * (k % 2), class_="soft mid"),
    ]


def _text_of(axis: Axis) -> Callable[[float], str]:
    """How places on the axis of a range are written; between whole numbers there is nothing."""
    if axis["is_log"]:
        return _magnitude
    return _whole if axis["is_whole"] else number


def _whole(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else ""


def _magnitude(exponent: float) -> str:
    return number(10**exponent)


def _named(choices: Sequence[str]) -> Callable[[float], str]:
    def name(place: float) -> str:
        is_one = place == round(place) and 0 <= place < len(choices)
        return choices[round(place)] if is_one else ""

    return name
