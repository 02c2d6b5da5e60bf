"""Small plots as inline SVG: numbers in, markup out, Chinese kept as text.

Colours, fonts and dark mode come from the page's style sheet through classes. A plot is drawn 360
units wide, so that its text is readable on a telephone without being scaled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from tailorbird.evaluation.words import percent

WIDTH = 360.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from data to units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of *value* in the drawing."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a line plot."""

    kind: str
    """Class of the style sheet: ``right``, ``wrong``, ``faint`` or ``plain``."""
    points: Sequence[tuple[float, float]]
    has_dots: bool = False
    is_joined: bool = True
    """Whether a line joins the points; else they are dots alone."""
    tips: Sequence[str] = ()
    """What each dot says when it is pointed at; empty: its place."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot-and-interval plot."""

    name: Markup
    value: float
    kind: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A vertical line at *x* with a word beside it."""

    x: float
    name: Markup = field(default_factory=Markup)


def element(name: str, *children: str, **attributes: Any) -> Markup:
    """One element; texts and attribute values are escaped, attributes that are None left out.

    >>> element("text", "a < b", x=1.25, class_="tick")
    Markup('<text x="1.25" class="tick">a &lt; b</text>')
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{''.join(parts)}>{inside}</{name}>")


def drawing(width: float, height: float, parts: Sequence[Markup], *, label: str) -> Markup:
    """An SVG image; *label* is the id of the element that says what it shows."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_written(width)} {_written(height)}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=label,
    )


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About *n* round numbers within [low, high].

    >>> ticks(0.0, 1.0), ticks(0.87, 0.95)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.88, 0.9, 0.92, 0.94])
    """
    if high <= low:
        return [low]
    raw = (high - low) / n
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def dot_plot(rows: Sequence[Dot], *, label: str) -> Markup:
    """Values between 0 and 1 as dots with their intervals, one row each.

    The axis shows the neighbourhood of the best two, because dots, unlike bars, need no zero; a
    row far below is an arrow at the left edge, its number as everywhere at the right.
    """
    near = sorted((row.value for row in rows), reverse=True)[:2]
    bounds = [*near, *(edge for row in rows for edge in (row.low, row.high) if edge is not None)]
    margin = max(0.02, (max(bounds) - min(bounds)) * 0.2)
    low, high = max(0.0, min(bounds) - margin), min(1.0, max(bounds) + margin)
    x = Scale(low, high, 10, WIDTH - 10)
    top, pitch = 2.0, 48.0
    bottom = top + pitch * len(rows) + 4
    parts = [_grid_x(x, tick, top, bottom, axis_percent) for tick in ticks(low, high)]
    for k, row in enumerate(rows):
        y = top + pitch * k + 34
        parts.append(element("text", row.name, x=0, y=y - 15, class_="name halo"))
        parts.append(
            element("text", percent(row.value), x=WIDTH, y=y - 15, class_=f"value {row.kind} end")
        )
        parts.append(element("line", x1=x.start, x2=x.end, y1=y, y2=y, class_="thread"))
        if row.value < low:
            parts.append(element("path", d=f"M10 {y - 5}L2 {y}L10 {y + 5}Z", class_="arrow"))
            continue
        if row.low is not None and row.high is not None:
            ends = {"x1": x(row.low), "x2": x(row.high)}
            parts.append(element("line", **ends, y1=y, y2=y, class_=f"interval {row.kind}"))
        parts.append(element("circle", cx=x(row.value), cy=y, r=6, class_=f"dot {row.kind}"))
    return drawing(WIDTH, bottom + 18, parts, label=label)


def line_plot(
    lines: Sequence[Line],
    *,
    label: str,
    x_name: str,
    y_text: Callable[[float], str],
    x_text: Callable[[float], str] = lambda value: f"{value:,.0f}",
    y_range: tuple[float, float],
    x_range: tuple[float, float],
    rule: Rule | None = None,
) -> Markup:
    """Series over a common axis; a series without a point is not drawn."""
    height, y_ticks = 220.0, ticks(*y_range)
    gutter = 10 + 6.6 * max(len(y_text(tick)) for tick in y_ticks)
    x, y = Scale(*x_range, gutter, WIDTH - 14), Scale(*y_range, height - 42, 24)
    parts = [_grid_y(y, tick, x, y_text) for tick in y_ticks]
    parts += _x_axis(x, height, x_text, x_name)
    if rule is not None:
        parts += _ruled(rule, x, y)
    for line in filter(lambda one: one.points, lines):
        if line.is_joined:
            corners = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line.points)
            parts.append(element("path", d=f"M{corners}", class_=f"line {line.kind}"))
        if line.has_dots:
            tips = line.tips or [f"{x_text(a)} · {y_text(b)}" for a, b in line.points]
            parts += [
                element("circle", cx=x(a), cy=y(b), r=3.5, class_=f"dot {line.kind}", data_tip=tip)
                for (a, b), tip in zip(line.points, tips, strict=True)
            ]
    return drawing(WIDTH, height, parts, label=label)


def reliability_plot(
    bins: Sequence[dict[str, Any]], *, kind: str, label: str, x_name: str, y_name: str
) -> Markup:
    """Accuracy against confidence: dots by bin, their area the share of rows, gaps as lines."""
    side, left, top = 286.0, 46.0, 28.0
    x, y = Scale(0, 1, left, left + side), Scale(0, 1, top + side, top)
    parts = [_grid_y(y, tick, x, _whole_percent) for tick in ticks(0, 1)]
    parts += [_grid_x(x, tick, top, top + side, _whole_percent) for tick in ticks(0, 1)]
    parts.append(element("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="diagonal"))
    parts.append(element("text", "↑ ", y_name, x=left, y=12, class_="soft"))
    parts.append(element("text", x_name, " →", x=x.end, y=top + side + 34, class_="soft end"))
    n_rows = sum(one["n"] for one in bins) or 1
    for one in bins:
        if one["n"]:
            at, right = x(one["confidence"]), y(one["accuracy"])
            gap = {"x1": at, "x2": at, "y1": y(one["confidence"]), "y2": right}
            weight = round(0.2 + 0.8 * math.sqrt(one["n"] / n_rows), 2)
            parts.append(element("line", **gap, class_=f"gap {kind}", stroke_opacity=weight))
    for one in bins:
        if one["n"]:
            tip = f"n = {one['n']:,} · {percent(one['confidence'])} → {percent(one['accuracy'])}"
            parts.append(
                element(
                    "circle",
                    cx=x(one["confidence"]),
                    cy=y(one["accuracy"]),
                    r=2.5 + 14 * math.sqrt(one["n"] / n_rows),
                    class_=f"bubble {kind}",
                    data_tip=tip,
                )
            )
    return drawing(WIDTH, top + side + 40, parts, label=label)


def histogram(bins: Sequence[dict[str, Any]], *, rule: Rule, label: str, x_name: str) -> Markup:
    """Share of rows by confidence as bars, those below the *rule* marked as turned away."""
    height = 220.0
    n_rows = sum(one["n"] for one in bins) or 1
    shares = [one["n"] / n_rows for one in bins]
    high = max(shares) * 1.12 or 1.0
    x, y = Scale(0, 1, 44, WIDTH - 14), Scale(0, high, height - 42, 24)
    parts = [_grid_y(y, tick, x, _whole_percent) for tick in ticks(0, high)]
    for one, share in zip(bins, shares, strict=True):
        is_out = one["high"] <= rule.x
        parts.append(
            element(
                "rect",
                x=x(one["low"]) + 1,
                y=y(share),
                width=x(one["high"]) - x(one["low"]) - 2,
                height=y(0) - y(share),
                rx=1.5,
                class_="column wrong" if is_out else "column right",
                data_tip=f"{percent(one['low'], 0)} – {percent(one['high'], 0)} · n = {one['n']:,}",
            )
        )
    parts += _x_axis(x, height, _whole_percent, x_name) + _ruled(rule, x, y)
    return drawing(WIDTH, height, parts, label=label)


def thinned(points: Sequence[tuple[float, float]], n_most: int) -> list[tuple[float, float]]:
    """At most *n_most* points, each the mean of its neighbours: a long run stays a small page.

    >>> thinned([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], 2)
    [(0.5, 2.0), (2.5, 6.0)]
    """
    size = math.ceil(len(points) / n_most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(a for a, _ in group) / len(group), sum(b for _, b in group) / len(group))
        for group in groups
    ]


def smoothed(points: Sequence[tuple[float, float]], weight: float) -> list[tuple[float, float]]:
    """Exponential moving average, unbiased at the start (Kingma and Ba 2015, section 3).

    >>> smoothed([(0, 2.0), (1, 2.0)], 0.9)
    [(0, 2.0), (1, 2.0)]
    """
    mean, out = 0.0, []
    for k, (x, y) in enumerate(points, start=1):
        mean = weight * mean + (1 - weight) * y
        out.append((x, round(mean / (1 - weight**k), 6)))
    return out


def _ruled(rule: Rule, x: Scale, y: Scale) -> list[Markup]:
    """The line, its word above the plot where no curve runs."""
    at = x(rule.x)
    place = "mid"
    if at > x.end - 40:
        place = "end"
    elif at < x.start + 40:
        place = "start"
    return [
        element("line", x1=at, x2=at, y1=y.start, y2=y.end - 6, class_="rule"),
        element("text", rule.name, x=at, y=y.end - 11, class_=f"rule-name {place}"),
    ]


def _x_axis(x: Scale, height: float, text: Callable[[float], str], name: str) -> list[Markup]:
    numbers = [
        element("text", text(tick), x=x(tick), y=height - 24, class_="tick mid")
        for tick in ticks(x.low, x.high)
    ]
    return [*numbers, element("text", name, " →", x=x.end, y=height - 4, class_="soft end")]


def _grid_x(
    x: Scale, tick: float, top: float, bottom: float, text: Callable[[float], str]
) -> Markup:
    at = x(tick)
    line = element("line", x1=at, x2=at, y1=top, y2=bottom, class_="grid")
    return line + element("text", text(tick), x=at, y=bottom + 16, class_="tick mid")


def _grid_y(y: Scale, tick: float, x: Scale, text: Callable[[float], str]) -> Markup:
    at = y(tick)
    line = element("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid")
    return line + element("text", text(tick), x=x.start - 7, y=at + 4, class_="tick end")


def axis_percent(value: float) -> str:
    """Digits only where they say something: 90%, 92.5%."""
    return f"{value * 100:.3g}%"


def _whole_percent(value: float) -> str:
    return percent(value, 0)


def _written(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
