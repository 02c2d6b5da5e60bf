"""The overview: how many were helped, how fast, how well, and what to mend."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from nicegui import ui
from starlette.requests import Request

from tailorbird.assistants.service_desk.figures import (
    Figures,
    Share,
    Shares,
    read_figures,
    read_shares,
)
from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH, RESPONSE_TIMEOUT_S, Console, empty_state, frame
from tailorbird.console.markup import duration, link, moment, rate, section, tile, track
from tailorbird.store import Workspace
from tailorbird.store.tables import utc_now

REFRESH_S = 30.0
KEPT_TIMES = 20
"""Figures that took so much less than the time since then are read anew: 5 % of one core."""


@dataclass(frozen=True, slots=True)
class Span:
    """A choice of how far back to look, in *n_parts* equal parts."""

    length: timedelta
    n_parts: int
    part: str
    """Which word names a part."""


SPANS = {
    "24h": Span(timedelta(hours=24), 24, "overview_hour"),
    "7d": Span(timedelta(days=7), 7, "overview_day"),
    "30d": Span(timedelta(days=30), 30, "overview_day"),
}


@dataclass(frozen=True, slots=True)
class View:
    """What is shown: the figures of a time, and the shares of as long a time before it."""

    name: str
    now: Figures
    before: Shares


def read_view(workspace: Workspace, name: str, now: datetime) -> View:
    """The figures of the span *name* up to *now*."""
    span = SPANS[name]
    since = now - span.length
    return View(
        name,
        read_figures(workspace, since=since, until=now, n_parts=span.n_parts),
        read_shares(workspace, since=since - span.length, until=since),
    )


class Views:
    """Reads views; one that was dear to read is shown a while, however many people look at it."""

    def __init__(self, read: Callable[[str], View], *, now_s: Callable[[], float]) -> None:
        self._read = read
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[View, float]] = {}

    def of(self, name: str) -> View:
        """The view of the span *name*, never older than `KEPT_TIMES` what it took to read."""
        with self._lock:
            view, good_until_s = self._kept.get(name, (None, 0.0))
            started_s = self._now_s()
            if view is None or started_s >= good_until_s:
                view = self._read(name)
                ended_s = self._now_s()
                self._kept[name] = (view, ended_s + KEPT_TIMES * (ended_s - started_s))
            return view


def add_overview_page(
    console: Console, workspace: Workspace, *, clock: Callable[[], datetime] = utc_now
) -> None:
    """Add ``/console/``, the first page of a service that remembers."""
    console.offer("overview", f"{PATH}/", place=10)
    views = Views(lambda name: read_view(workspace, name, clock()), now_s=time.monotonic)

    @ui.page("/", response_timeout=RESPONSE_TIMEOUT_S)
    async def overview(request: Request, back: str = "24h") -> None:
        with frame(console, request, here="overview", is_wide=True) as words:
            if words is None:
                return
            name = back if back in SPANS else "24h"
            shown = await asyncio.to_thread(views.of, name)
            if console.service.engine.predictor is None and not _is_anything(shown.now):
                empty_state(words["empty_title"], words["empty_text"], words["empty_command"])
                return
            _heading(words, name)

            @ui.refreshable
            def content(view: View) -> None:
                _show(view, words)

            with ui.element("div"):
                content(shown)

            async def refresh() -> None:
                content.refresh(await asyncio.to_thread(views.of, name))

            ui.timer(REFRESH_S, refresh, immediate=False)


def _heading(words: dict[str, str], chosen: str) -> None:
    with ui.element("div").classes("tb-page-head"):
        text(words["overview_heading"], tag="h1")
        with (
            ui.element("div")
            .classes("tb-segments")
            .props(f'role="group" aria-label="{words["overview_span"]}"')
        ):
            for name in SPANS:
                one = link(words[f"overview_{name}"], f"{PATH}/?back={name}", "tb-segment")
                if name == chosen:
                    one.props('aria-current="true"')


def _is_anything(figures: Figures) -> bool:
    return bool(figures.n_answers or figures.shares.n_conversations or figures.n_waiting)


def _show(view: View, words: dict[str, str]) -> None:
    now = view.now
    if not _is_anything(now):
        with ui.element("section").classes("tb-card tb-quiet"):
            text(words["overview_nothing_title"], tag="h2")
            text(words["overview_nothing_text"], "tb-soft", tag="p")
            link(words["try"], f"{PATH}/try", "tb-chip")
        return
    if now.n_answers and not now.has_decisions:
        text(words["overview_plain"], "tb-note", tag="p")
    _tiles(view, words)
    if now.shares.n_conversations:
        text(words["overview_meaning"], "tb-hint tb-below", tag="p")
    if now.n_answers:
        _timeline(view, words)
        with ui.element("div").classes("tb-two"):
            with section(words["overview_intents"]):
                _frequent(now.intents, now.n_answers, words["overview_no_intents"])
            note = words["overview_refused_note"] if now.refused else ""
            with section(words["overview_refused"], note):
                _frequent(now.refused, now.n_refused, words["overview_no_refused"])


def _tiles(view: View, words: dict[str, str]) -> None:
    now, shares, before = view.now, view.now.shares, view.before

    def shared(name: str, share: Share, earlier: Share, nothing: str) -> None:
        note = words[f"overview_{name}_of"].format(n=f"{share.n:,}", of=f"{share.of:,}")
        notes = [note, against(view.name, share, earlier, words)] if share.of else [words[nothing]]
        if name == "handed_over" and now.n_waiting:
            notes.append(words["overview_waiting"].format(n=f"{now.n_waiting:,}"))
        tile(words[f"overview_{name}"], rate(share.value), *notes)

    with ui.element("div").classes("tb-tiles"):
        shared("resolved", shares.resolved, before.resolved, "overview_no_conversations")
        shared("handed_over", shares.handed_over, before.handed_over, "overview_no_conversations")
        if now.latency:
            p95 = duration(now.latency.p95_ms / 1000)
            note = words["overview_latency_of"].format(p95=p95)
            tile(words["overview_latency"], duration(now.latency.median_ms / 1000), note)
        else:
            tile(words["overview_latency"], "–", words["overview_no_answers"])
        shared("satisfied", shares.satisfied, before.satisfied, "overview_no_ratings")
        kind = "overview_answers" if now.has_decisions else "overview_predictions"
        answered = words[kind].format(n=f"{now.n_answers:,}", refused=f"{now.n_refused:,}")
        quiet = "" if shares.n_conversations else words["overview_no_conversations"]
        tile(words["overview_conversations"], f"{shares.n_conversations:,}", quiet, answered)


def against(span: str, share: Share, earlier: Share, words: dict[str, str]) -> str:
    """How *share* has changed, in points; empty where there is nothing to compare with."""
    if share.value is None or earlier.value is None:
        return ""
    points = 100 * (share.value - earlier.value)
    sign = "±0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "\u2212")
    return words["overview_before"].format(points=sign, span=words[f"overview_{span}"])


def _timeline(view: View, words: dict[str, str]) -> None:
    """One column for each part of the time, with its number where it is pointed at."""
    now, part = view.now, words[SPANS[view.name].part]
    most = max(now.timeline)
    step = (now.until - now.since) / len(now.timeline)
    most_words = words["overview_most"].format(n=f"{most:,}", part=part)
    with section(words["overview_timeline"]), ui.element("div").classes("tb-card tb-timeline"):
        label = f"{words['overview_timeline']}: {most_words}"
        with ui.element("div").classes("tb-columns").props(f'role="img" aria-label="{label}"'):
            for k, n in enumerate(now.timeline):
                column = ui.element("span").style(f"height: {100 * n / (most or 1):.1f}%")
                column.props(f'title="{moment(now.since + step * k)} UTC · {n:,}"')
        with ui.element("div").classes("tb-columns-foot tb-hint"):
            text(moment(now.since)[5:], tag="span")
            text(most_words, tag="span")
            text(f"{moment(now.until)[5:]} UTC", tag="span")


def _frequent(rows: tuple[tuple[str, int], ...], n_all: int, nothing: str) -> None:
    if not rows:
        text(nothing, "tb-soft tb-quiet-line", tag="p")
        return
    with ui.element("ul").classes("tb-frequent"):
        for name, n in rows:
            with ui.element("li"):
                text(name, "tb-frequent-name", tag="span")
                text(f"{n:,}", "tb-number", tag="span")
                track(n / n_all)
