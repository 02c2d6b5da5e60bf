"""The timeline: how much is said of what, how well, and the texts behind each point."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import EChartPointClickEventArguments

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.assistants.opinion.alert_list import alerts_within, open_alerts
from tailorbird.assistants.opinion.figures import (
    SENTIMENTS,
    Subject,
    Tally,
    Timeline,
    newest_post,
    read_entities,
    read_timeline,
    read_topics,
)
from tailorbird.assistants.opinion.finding import Found, Wanted, find_posts
from tailorbird.assistants.opinion.sources import Health, list_sources
from tailorbird.console.acting import button
from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH
from tailorbird.console.markup import link, moment, rate, section, tile
from tailorbird.console.opinion_chart import COLOURS, kinds_in, label_of, options, place_of
from tailorbird.console.opinion_posts import PostList
from tailorbird.serving.access import Person
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow

HERE = f"{PATH}/opinion"
REFRESH_S = 15.0
N_TEXTS = 20
KEPT_TIMES = 20
"""Views that took so much less than the time since then are read anew: 5 % of one core."""
N_KEPT = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEVELS = ("critical", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Span:
    """A choice of how far back to look, and in which windows."""

    length: timedelta
    window: timedelta


SPANS = {
    "24h": Span(timedelta(hours=24), timedelta(hours=1)),
    "7d": Span(timedelta(days=7), timedelta(hours=6)),
    "30d": Span(timedelta(days=30), timedelta(days=1)),
    "90d": Span(timedelta(days=90), timedelta(days=3)),
}


@dataclass(frozen=True, slots=True)
class View:
    """What is shown: one time, and as long a time before it."""

    timeline: Timeline
    before: Timeline
    topics: tuple[Tally, ...]
    entities: tuple[Tally, ...]
    alerts: list[AlertRow]
    """That go on."""
    marked: list[AlertRow]
    """Of this subject and time, also those that are over."""
    sources: list[Health]
    newest: datetime | None
    """Set where the newest post is older than the time that was asked for."""


def read_view(workspace: Workspace, span: Span, subject: Subject, now: datetime) -> View | None:
    """What is to be shown of *subject* up to *now*; None where there are no posts at all.

    Where nothing is as new as that, the time that ends with the newest post.
    """
    newest = newest_post(workspace)
    if newest is None:
        return None
    is_old = newest < now - span.length
    until = ceiling(newest if is_old else now, span.window)
    since = until - span.length
    read = partial(read_timeline, workspace, subject, window=span.window)
    return View(
        timeline=read(since=since, until=until),
        before=read(since=since - span.length, until=since),
        topics=read_topics(workspace, since=since, until=until, entity=subject.entity),
        entities=read_entities(workspace, since=since, until=until, topic=subject.topic),
        alerts=open_alerts(workspace, topic=subject.topic, entity=subject.entity),
        marked=alerts_within(workspace, since, until, topic=subject.topic, entity=subject.entity),
        sources=list_sources(workspace, now=now),
        newest=newest if is_old else None,
    )


def ceiling(time: datetime, window: timedelta) -> datetime:
    """The end of the window that *time* is in; windows begin with that of 1970.

    >>> ceiling(datetime(2026, 10, 3, 7, 5, tzinfo=UTC), timedelta(hours=6)).isoformat()
    '2026-10-03T12:00:00+00:00'
    """
    return EPOCH + window * ((time - EPOCH) // window + 1)


class Views:
    """Reads views; one that was dear to read is shown a while, however many people look at it."""

    def __init__(
        self,
        workspace: Workspace,
        clock: Callable[[], datetime],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._clock = clock
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, Subject], tuple[View | None, float]] = {}

    def of(self, name: str, subject: Subject) -> View | None:
        """The view of the span *name*, never older than `KEPT_TIMES` what it took to read."""
        with self._lock:
            view, good_until_s = self._kept.pop((name, subject), (None, 0.0))
            begun_s = self._now_s()
            if view is None or begun_s >= good_until_s:
                view = read_view(self._workspace, SPANS[name], subject, self._clock())
                ended_s = self._now_s()
                good_until_s = ended_s + KEPT_TIMES * (ended_s - begun_s)
            self._kept[name, subject] = view, good_until_s  # the newest last
            if len(self._kept) > N_KEPT:
                del self._kept[next(iter(self._kept))]
            return view


class TimelinePage:
    """The timeline of one visitor."""

    def __init__(
        self,
        opened: OpenOpinion,
        person: Person,
        words: dict[str, str],
        views: Views,
    ) -> None:
        self._workspace = opened.workspace
        self._words = words
        self._views = views
        self._posts = PostList(opened.workspace, person, words)
        self._subject = Subject()
        self._back = "7d"
        self._at: datetime | None = None
        """The window whose texts are shown; None: all."""
        self._sentiment = ""
        self._found: list[Found] = []

    async def build(self, *, back: str, topic: str, entity: str, at: str) -> None:
        """Put everything on the page, as its address says."""
        self._back = back if back in SPANS else "7d"
        self._subject = Subject(topic[:200], entity[:200])
        view = await asyncio.to_thread(self._read)
        if view is None:
            words = self._words
            with ui.element("section").classes("tb-card tb-quiet"):
                text(words["opinion_nothing_title"], tag="h2")
                text(words["opinion_nothing_text"], "tb-soft", tag="p")
                with ui.element("div"):
                    text(words["opinion_nothing_command"], "tb-command", tag="code")
                text(words["opinion_sample_text"], "tb-soft", tag="p")
                with ui.element("div"):
                    text(words["opinion_sample_command"], "tb-command", tag="code")
            return
        self._view = view
        self._at = _moment_of(at)
        self._found = await asyncio.to_thread(self._find)
        self._show_choice()
        self._tiles = ui.refreshable(self._show_tiles)
        self._tallies = ui.refreshable(self._show_tallies)
        self._texts_head = ui.refreshable(self._show_texts_head)
        self._more = ui.refreshable(self._show_more)
        with ui.element("div"):
            self._tiles()
        self._show_chart()
        with ui.element("div"):
            self._tallies()
        with ui.element("section").classes("tb-section").props('id="texts"'):
            with ui.element("div").classes("tb-texts-head"):
                self._texts_head()
            self._posts.build(self._found, [one.name for one in view.topics])
            with ui.element("div"):
                self._more()
        ui.timer(REFRESH_S, self._refresh, immediate=False)

    def _read(self) -> View | None:
        return self._views.of(self._back, self._subject)

    def _find(self, before: str = "") -> list[Found]:
        timeline = self._view.timeline
        since = timeline.windows[0].start
        until = since + timeline.window * len(timeline.windows)
        if self._at is not None:
            since, until = self._at, self._at + timeline.window
        wanted = Wanted(self._subject, since, until, self._sentiment)
        return find_posts(self._workspace, wanted, limit=N_TEXTS, before=before)

    async def _refresh(self) -> None:
        view = await asyncio.to_thread(self._read)
        if view is None or view == self._view:
            return
        is_new = view.timeline != self._view.timeline
        self._view = view
        self._tiles.refresh()
        self._tallies.refresh()
        if is_new:
            self._chart.options.update(options(view.timeline, self._words, view.marked))
            self._chart.update()
            if not self._posts.is_busy and len(self._found) <= N_TEXTS:
                await self._show_found()

    def _address(self, **changes: str) -> str:
        """The page with another choice."""
        now = {"topic": self._subject.topic, "entity": self._subject.entity, "back": self._back}
        wanted = {key: value for key, value in (now | changes).items() if value}
        return f"{HERE}?{urlencode(wanted)}"

    def _show_choice(self) -> None:
        words = self._words
        with ui.element("div").classes("tb-choices"):
            group = ui.element("div").classes("tb-segments")
            with group.props(f'role="group" aria-label="{words["opinion_span"]}"'):
                for name in SPANS:
                    one = link(words[f"opinion_{name}"], self._address(back=name), "tb-segment")
                    if name == self._back:
                        one.props('aria-current="true"')
            for key in ("topic", "entity"):
                if chosen := getattr(self._subject, key):
                    one = link(f"{chosen} ×", self._address(**{key: ""}), "tb-chip tb-chosen")
                    one.props(f'data-testid="chosen-{key}"')
        if self._view.newest is not None:
            note = words["opinion_until_newest"].format(time=moment(self._view.newest))
            text(note, "tb-hint tb-below", tag="p")

    def _show_tiles(self) -> None:
        words, view = self._words, self._view
        span = words[f"opinion_{self._back}"]
        now, before = view.timeline, view.before
        with ui.element("div").classes("tb-tiles"):
            earlier = words["opinion_posts_before"].format(n=f"{before.n:,}", span=span)
            tile(words["opinion_posts"], f"{now.n:,}", earlier, words["opinion_copies_note"])
            share, was = now.negative_share, before.negative_share
            change = ""
            if share is not None and was is not None:
                change = words["opinion_points"].format(points=points(share - was), span=span)
            nothing = "" if now.n else words["opinion_no_posts"]
            tile(words["opinion_negative"], rate(share), change, nothing)
            levels = [
                f"{words[f'opinion_level_{level}']} {n}"
                for level in LEVELS
                if (n := sum(one.level == level for one in view.alerts))
            ]
            note = ", ".join(levels) or words["opinion_none_open"]
            tile(words["opinion_open"], f"{len(view.alerts)}", note)
            n_read = sum(one.state == "ok" for one in view.sources)
            n_bad = sum(one.state == "failing" for one in view.sources)
            read = words["opinion_sources_of"].format(n=n_read, of=len(view.sources))
            state = words["opinion_failing"].format(n=n_bad) if n_bad else ""
            tile(words["opinion_sources"], f"{len(view.sources)}", read, state)

    def _show_chart(self) -> None:
        words, timeline = self._words, self._view.timeline
        what = " · ".join(filter(None, (self._subject.entity, self._subject.topic)))
        heading = words["opinion_over_time"].format(what=what or words["opinion_everything"])
        label = words["opinion_chart_label"].format(
            n=f"{timeline.n:,}",
            share=rate(timeline.negative_share),
            most=max((one.n for one in timeline.windows), default=0),
        )
        with section(heading), ui.element("div").classes("tb-card tb-opinion-chart"):
            with ui.element("div").classes("tb-legend").props('aria-hidden="true"'):
                for kind in kinds_in(timeline):
                    with ui.element("span").classes("tb-legend-one"):
                        ui.element("span").style(f"background: {COLOURS[kind]}")
                        text(words[f"opinion_{kind}"], tag="span")
                text(words["opinion_click"], "tb-hint", tag="span")
            self._chart = ui.echart(
                options(timeline, words, self._view.marked),
                on_point_click=self._choose,
                renderer="svg",
            ).classes("tb-chart")
            self._chart.props(f'role="img" aria-label="{label}"')

    def _show_tallies(self) -> None:
        words, view = self._words, self._view
        with ui.element("div").classes("tb-two"):
            with section(words["opinion_by_topic"]):
                self._tally("topic", view.topics, words["opinion_no_topics"])
            with section(words["opinion_by_entity"]):
                self._tally("entity", view.entities, words["opinion_no_entities"])

    def _tally(self, key: str, rows: Sequence[Tally], nothing: str) -> None:
        if not rows:
            text(nothing, "tb-soft tb-quiet-line", tag="p")
            return
        most = max(row.n for row in rows)
        with ui.element("ul").classes("tb-frequent tb-tallies"):
            for row in rows:
                chosen = getattr(self._subject, key) == row.name
                with ui.element("li"):
                    target = self._address(**{key: "" if chosen else row.name})
                    one = link(row.name, target, "tb-frequent-name tb-in-text")
                    if chosen:
                        one.props('aria-current="true"')
                    share = f"{rate(row.n_negative / row.n)} {self._words['opinion_share']}"
                    text(f"{row.n:,} · {share}", "tb-number", tag="span")
                    with ui.element("span").classes("tb-track"):
                        with ui.element("span").style(f"width: {100 * row.n / most:.1f}%") as bar:
                            ui.element("span").style(f"width: {100 * row.n_negative / row.n:.1f}%")
                        bar.classes("tb-parted")

    def _show_texts_head(self) -> None:
        words = self._words
        if self._at is None:
            text(words["opinion_texts"], tag="h2")
        else:
            at = label_of(self._at, self._view.timeline.window)
            end = label_of(self._at + self._view.timeline.window, self._view.timeline.window)
            text(words["opinion_texts_of"].format(time=f"{at} – {end}"), tag="h2")
            button(words["opinion_all"], partial(self._go_to, None), "tb-small-link")
        group = ui.element("div").classes("tb-segments")
        with group.props(f'role="group" aria-label="{words["opinion_sentiment"]}"'):
            for kind in ("", *SENTIMENTS):
                word = words[f"opinion_{kind or 'any'}"]
                one = button(word, partial(self._only, kind), "tb-segment")
                one.props(f'aria-pressed="{str(kind == self._sentiment).lower()}"')

    def _show_more(self) -> None:
        if len(self._found) and len(self._found) % N_TEXTS == 0:
            button(self._words["opinion_more"], self._go_on, "tb-second tb-below")

    async def _choose(self, event: EChartPointClickEventArguments) -> None:
        windows = self._view.timeline.windows
        if 0 <= event.data_index < len(windows):
            await self._go_to(windows[event.data_index].start)
            ui.run_javascript("document.getElementById('texts').scrollIntoView({block: 'start'})")

    async def _go_to(self, at: datetime | None) -> None:
        self._at = at
        await self._show_found()

    async def _only(self, kind: str) -> None:
        self._sentiment = kind
        await self._show_found()

    async def _show_found(self) -> None:
        if self._at is not None and place_of(self._view.timeline, self._at) < 0:
            self._at = None  # time has passed, and the window is not shown any more
        self._found = await asyncio.to_thread(self._find)
        self._show_again()

    async def _go_on(self) -> None:
        self._found += await asyncio.to_thread(self._find, self._found[-1].post.id)
        self._show_again()

    def _show_again(self) -> None:
        self._texts_head.refresh()
        self._posts.show(self._found)
        self._more.refresh()


def points(change: float) -> str:
    """A change of a share, in points.

    >>> points(0.031), points(-0.5), points(0.0001)
    ('+3.1', '\u221250.0', '±0')
    """
    return "±0" if abs(change) < 0.0005 else f"{100 * change:+.1f}".replace("-", "\u2212")


def _moment_of(written: str) -> datetime | None:
    """The moment that an address names; None where it names none."""
    try:
        found: Any = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None
