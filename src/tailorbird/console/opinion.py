"""The pages about what is said in public: timeline, alerts, new topics, sources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from nicegui import ui
from starlette.requests import Request

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    frame,
    person_of,
)
from tailorbird.console.markup import link
from tailorbird.console.opinion_alerts import AlertsPage
from tailorbird.console.opinion_sources import SourcesPage
from tailorbird.console.opinion_timeline import TimelinePage, Views
from tailorbird.console.opinion_topics import TopicsPage
from tailorbird.serving.access import Person
from tailorbird.store.tables import utc_now

OPINION = f"{PATH}/opinion"
STYLE = (Path(__file__).parent / "opinion.css").read_text(encoding="utf-8")
PARTS = {"timeline": "", "alerts": "/alerts", "topics_page": "/topics", "sources": "/sources"}

Build = Callable[[Person, dict[str, str]], Awaitable[None]]


def add_opinion_pages(
    console: Console, opened: OpenOpinion, *, clock: Callable[[], datetime] = utc_now
) -> None:
    """Add ``/console/opinion`` and the pages below it."""
    console.offer("opinion", OPINION, place=50)
    views = Views(opened.workspace, clock)

    async def show(request: Request, here: str, build: Build) -> None:
        with frame(console, request, here="opinion", is_wide=True) as words:
            if words is None:
                return
            ui.add_head_html(f"<style>{STYLE}</style>")
            await _heading(opened, words, here)
            await build(person_of(request), words)

    @ui.page("/opinion", response_timeout=RESPONSE_TIMEOUT_S)
    async def timeline(
        request: Request, back: str = "7d", topic: str = "", entity: str = "", at: str = ""
    ) -> None:
        async def build(person: Person, words: dict[str, str]) -> None:
            page = TimelinePage(opened, person, words, views)
            await page.build(back=back, topic=topic, entity=entity, at=at)

        await show(request, "timeline", build)

    @ui.page("/opinion/alerts", response_timeout=RESPONSE_TIMEOUT_S)
    async def alerts(request: Request, which: str = "open") -> None:
        async def build(person: Person, words: dict[str, str]) -> None:
            await AlertsPage(opened.workspace, person, words).build(which)

        await show(request, "alerts", build)

    @ui.page("/opinion/topics", response_timeout=RESPONSE_TIMEOUT_S)
    async def topics(request: Request) -> None:
        async def build(person: Person, words: dict[str, str]) -> None:
            await TopicsPage(opened, person, words).build()

        await show(request, "topics_page", build)

    @ui.page("/opinion/sources", response_timeout=RESPONSE_TIMEOUT_S)
    async def sources(request: Request) -> None:
        async def build(person: Person, words: dict[str, str]) -> None:
            await SourcesPage(opened, person, words).build()

        await show(request, "sources", build)


async def _heading(opened: OpenOpinion, words: dict[str, str], here: str) -> None:
    counts = await asyncio.to_thread(opened.waiting)
    with ui.element("div").classes("tb-page-head"):
        text(words["opinion_heading"], tag="h1")
        with (
            ui.element("nav").classes("tb-segments").props(f'aria-label="{words["opinion_parts"]}"')
        ):
            for part, path in PARTS.items():
                n = {"alerts": counts.n_alerts, "topics_page": counts.n_proposals}.get(part, 0)
                name = words[f"opinion_{part}"] + (f" {n}" if n else "")
                one = link(name, f"{OPINION}{path}", "tb-segment")
                if part == here:
                    one.props('aria-current="page"')
    if not counts.has_model and counts.n_unread:
        text(words["opinion_no_model"], "tb-note", tag="p")
