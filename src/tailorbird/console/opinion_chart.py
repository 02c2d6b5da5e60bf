"""A timeline as a chart: one column a window, what is negative below, alerts behind it.

Colours are names of the style sheet, which the SVG renderer hands on as they are: the chart is
light or dark as the page is, also where the visitor changes that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tailorbird.assistants.opinion.figures import Timeline, Window
from tailorbird.console.markup import moment
from tailorbird.store.tables import AlertRow

KINDS = ("negative", "neutral", "positive", "unjudged")
COLOURS = {
    "negative": "var(--said-bad)",
    "neutral": "var(--said-so)",
    "positive": "var(--said-good)",
    "unjudged": "var(--line)",
}
DAY = timedelta(days=1)
SMALL = {"color": "var(--soft)", "fontSize": 12}


def options(timeline: Timeline, words: dict[str, str], alerts: Sequence[AlertRow] = ()) -> Any:
    """What ECharts draws of *timeline*; *alerts* are shaded from their begin to their end."""
    windows = timeline.windows
    series = [
        {
            "name": words[f"opinion_{kind}"],
            "type": "bar",
            "stack": "n",
            "data": [_of(window, kind) for window in windows],
            "itemStyle": {"color": COLOURS[kind]},
            "emphasis": {"disabled": True},
            "barCategoryGap": "18%",
            "cursor": "pointer",
        }
        for kind in kinds_in(timeline)
    ]
    if marks := [mark for one in alerts if (mark := _mark(timeline, one))]:
        series[0]["markArea"] = {
            "silent": True,
            "itemStyle": {"color": "var(--said-alert)"},
            "data": marks,
        }
    return {
        "animation": False,
        "grid": {"left": 34, "right": 10, "top": 14, "bottom": 26},
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "transitionDuration": 0,
            "axisPointer": {"type": "shadow", "shadowStyle": {"color": "var(--said-pointer)"}},
            "backgroundColor": "var(--card)",
            "borderColor": "var(--line)",
            "textStyle": {"color": "var(--ink)", "fontSize": 13},
        },
        "xAxis": {
            "type": "category",
            "data": [label_of(window.start, timeline.window) for window in windows],
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "axisLabel": SMALL | {"hideOverlap": True},
        },
        "yAxis": {
            "type": "value",
            "minInterval": 1,
            "axisLabel": SMALL,
            "splitLine": {"lineStyle": {"color": "var(--line)"}},
        },
        "series": series,
    }


def kinds_in(timeline: Timeline) -> list[str]:
    """What columns are made of, from below; posts that nobody has read where there are any."""
    has_unread = any(window.n_unjudged for window in timeline.windows)
    return [kind for kind in KINDS if kind != "unjudged" or has_unread]


def label_of(start: datetime, window: timedelta) -> str:
    """A window's begin, as short as it can be told.

    >>> from datetime import UTC
    >>> label_of(datetime(2026, 10, 3, 6, tzinfo=UTC), timedelta(hours=6))
    '10-03 06:00'
    >>> label_of(datetime(2026, 10, 3, tzinfo=UTC), timedelta(days=1))
    '10-03'
    """
    return moment(start)[5:10] if window % DAY == timedelta() else moment(start)[5:]


def place_of(timeline: Timeline, time: datetime) -> int:
    """In which window *time* is, counted from 0; -1 where it is in none."""
    if not timeline.windows:
        return -1
    place = (time - timeline.windows[0].start) // timeline.window
    return place if 0 <= place < len(timeline.windows) else -1


def _of(window: Window, kind: str) -> int:
    n: int = getattr(window, f"n_{kind}")
    return n


def _mark(timeline: Timeline, alert: AlertRow) -> list[dict[str, Any]]:
    """From which to which window an alert went; empty where the timeline does not show it."""
    if not timeline.windows:
        return []
    first, window = timeline.windows[0].start, timeline.window
    begin = (alert.since - first) // window
    end = (alert.until - timedelta(microseconds=1) - first) // window
    if end < 0 or begin >= len(timeline.windows):
        return []
    last = len(timeline.windows) - 1
    return [{"xAxis": max(0, begin)}, {"xAxis": min(last, max(begin, end))}]
