"""The sweep of the learning rate as one page with its plot, which needs no other file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from tailorbird.evaluation.plots import Line, Rule, line_plot

_STYLE = Markup("""
:root { color-scheme: light dark; --leaf: #2f7d4f; --soft: #6b7280; --thread: #d6d9de; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; font-size: 11px; }
svg text { fill: var(--soft); stroke: none; }
.grid { stroke: var(--thread); stroke-width: .6; opacity: .6; }
.line { fill: none; stroke: var(--leaf); stroke-width: 1.8; }
.line.faint { stroke: var(--soft); stroke-width: .8; opacity: .5; }
.rule { stroke: #b4531f; stroke-dasharray: 4 3; }
.end { text-anchor: end; } .mid { text-anchor: middle; } .start { text-anchor: start; }
""")


def write_rate_page(
    path: Path, points: Sequence[Mapping[str, float]], advice: Mapping[str, Any]
) -> None:
    """Write the losses of a sweep over the rate, with the advised *rate*, to *path*.

    Args:
        path: the HTML file.
        points: ``rate``, ``loss`` and ``smoothed`` of each step.
        advice: ``rate`` and ``reason``.
    """
    xs = [math.log10(point["rate"]) for point in points]
    smooth = [point["smoothed"] for point in points]
    top = min(max(smooth), 2 * smooth[0])  # what comes after the break would flatten the rest
    low, high = min(smooth), top + 0.1 * (top - min(smooth) + 1e-9)

    def line(kind: str, values: Sequence[float]) -> Line:
        inside = [(x, min(y, high)) for x, y in zip(xs, values, strict=True)]
        return Line(kind, [(x, max(y, low)) for x, y in inside])

    plot = line_plot(
        [line("faint", [point["loss"] for point in points]), line("right", smooth)],
        label="what",
        x_name="learning rate",
        x_text=lambda x: f"{10**x:.0e}",
        y_text=lambda y: f"{y:.2f}",
        x_range=(xs[0], xs[-1]),
        y_range=(low, high),
        rule=Rule(math.log10(advice["rate"]), escape(f"{advice['rate']:.1e}")),
    )
    sentence = escape(f"Advised rate: {advice['rate']:.1e} ({advice['reason']}).")
    page = Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Learning rates</title><style>{style}</style></head><body>"
        '<h1>Learning rates</h1><p id="what">Training loss while the rate grows; the thick line '
        "is smoothed.</p>{plot}<p><strong>{sentence}</strong></p></body></html>\n"
    ).format(style=_STYLE, plot=plot, sentence=sentence)
    path.write_text(page, encoding="utf-8")
