"""The bars of the daily report, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from tailorbird.assistants.opinion.watching.series import Key, start_of, window_of, windows_of
from tailorbird.evaluation.plots import WIDTH, drawing, element
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow

_MOST_BARS = 120


def small_bars(counts: Sequence[int]) -> Markup:
    """A row of bars as high as a line of text, the last one marked."""
    pitch, height = 5.0, 22.0
    high = max(*counts, 1)
    parts = [
        element(
            "rect",
            x=pitch * k,
            y=height - max(height * n / high, 1.0),
            width=pitch - 1.5,
            height=max(height * n / high, 1.0),
            class_="column wrong" if k == len(counts) - 1 else "column plain",
        )
        for k, n in enumerate(counts)
    ]
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {pitch * len(counts):g} {height:g}",
        width=pitch * len(counts),
        height=height,
        aria_hidden="true",
        class_="small",
    )


def day_bars(counts: Sequence[int], day: datetime) -> Markup:
    """The negative posts of the last days, this one marked."""
    n = len(counts)
    tips = [f"{(day - timedelta(days=n - 1 - k)):%Y-%m-%d} · {one}" for k, one in enumerate(counts)]
    begin, end = f"{(day - timedelta(days=n - 1)):%m-%d}", f"{day:%m-%d}"
    marks = [k == n - 1 for k in range(n)]
    return _bars(counts, marks, tips, (begin, end), label="plot-days", usual=None)


def rise_bars(workspace: Workspace, alert: AlertRow) -> Markup:
    """Windows of an alert's series around the rise; those of the rise marked, the usual a line."""
    window_s = int(alert.story.get("window_s", 3600))
    first, end = window_of(alert.since, window_s), window_of(alert.until, window_s)
    before = max(12, (end - first) // 2)
    step = -(-(end - first + before) // _MOST_BARS)  # several windows a bar where it is long
    begin = first - -(-before // step) * step
    key = Key(alert.topic, alert.entity)
    both = bool(alert.topic and alert.entity)
    windows = windows_of(workspace, begin, end, window_s=window_s, pairs=both)
    counts, marks, tips = [], [], []
    for start in range(begin, end, step):
        inside = [
            windows[n].counts.get(key, (0, 0))[1]
            for n in range(start, min(start + step, end))
            if n in windows
        ]
        counts.append(sum(inside))
        marks.append(start >= first)
        tips.append(f"{start_of(start, window_s):%m-%d %H:%M} · {counts[-1]}")
    usual = float(alert.story["expected"]) / max(end - first, 1) * step
    edges = (f"{start_of(begin, window_s):%m-%d %H:%M}", f"{alert.until:%m-%d %H:%M}")
    return _bars(counts, marks, tips, edges, label=f"plot-{alert.id}", usual=usual)


def _bars(
    counts: Sequence[int],
    marks: Sequence[bool],
    tips: Sequence[str],
    edges: tuple[str, str],
    *,
    label: str,
    usual: float | None,
) -> Markup:
    height, left, top = 150.0, 26.0, 8.0
    bottom = height - 22
    high = max(*counts, usual or 0.0, 1.0)
    pitch = (WIDTH - left) / max(len(counts), 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / high

    parts = [
        element("line", x1=left, x2=WIDTH, y1=y(high), y2=y(high), class_="grid"),
        element("text", f"{high:g}", x=left - 5, y=y(high) + 4, class_="tick end"),
        element("line", x1=left, x2=WIDTH, y1=bottom, y2=bottom, class_="grid"),
        element("text", edges[0], x=left, y=height - 6, class_="tick"),
        element("text", edges[1], x=WIDTH, y=height - 6, class_="tick end"),
    ]
    for k, (n, is_marked, tip) in enumerate(zip(counts, marks, tips, strict=True)):
        parts.append(
            element(
                "rect",
                x=left + pitch * k + pitch * 0.1,
                y=y(n) if n else bottom - 1,
                width=pitch * 0.8,
                height=max(bottom - y(n), 1.0),
                class_="column wrong" if is_marked else "column plain",
                data_tip=tip,
            )
        )
    if usual is not None:
        parts.append(
            element("line", x1=left, x2=WIDTH, y1=y(usual), y2=y(usual), class_="line plain")
        )
    return drawing(WIDTH, height, parts, label=label)
