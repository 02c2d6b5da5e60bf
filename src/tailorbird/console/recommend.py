"""The page about recommendation: a user's history, what they would be shown, why, and the dials."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

from nicegui import ui
from nicegui.events import GenericEventArguments
from sqlalchemy import select
from starlette.requests import Request

from tailorbird.assistants.recommend import Event, Listing, Recommender, Wish
from tailorbird.console.acting import Said, button, on_enter, one_line
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    language_of_visitor,
)
from tailorbird.console.markup import link
from tailorbird.console.recommend_lists import show_history, show_list
from tailorbird.console.words import Language
from tailorbird.errors import UnavailableError
from tailorbird.store.tables import EventRow

RECOMMEND = f"{PATH}/recommend"
STYLE = Path(__file__).with_name("recommend.css").read_text(encoding="utf-8")
N_SHOWN = 12
N_LATELY = 8
"""So many users who did something lately are offered."""
LOOK_BACK = 2_000
"""They are found among so many of the latest events."""


def add_recommend_page(console: Console, recommender: Recommender | None) -> None:
    """Add ``/console/recommend``; without *recommender* it says why there is nothing."""
    console.offer("recommend", RECOMMEND, place=51)

    @ui.page("/recommend", response_timeout=RESPONSE_TIMEOUT_S)
    async def recommend(request: Request, user: str = "") -> None:
        with frame(console, request, here="recommend", is_wide=True) as words:
            if words is None:
                return
            if recommender is None:
                command = words["no_recommend_command"]
                empty_state(words["no_recommend_title"], words["no_recommend_text"], command)
                return
            ui.add_head_html(f"<style>{STYLE}</style>")
            page = RecommendPage(recommender, words, language_of_visitor(request))
            await page.build(user.strip())


class RecommendPage:
    """One look at one user."""

    def __init__(self, recommender: Recommender, words: dict[str, str], language: Language) -> None:
        self._recommender = recommender
        self._words = words
        self._language = language
        self._said = Said(words)
        self._user = ""
        self._diversity = recommender.settings.diversity
        self._explores = False
        self._imagined: list[Event] = []
        self._events: tuple[Event, ...] = ()
        self._listing: Listing | None = None
        self._is_missing = False

    async def build(self, user: str) -> None:
        """Put everything on the page, for *user*, or for the one who was here last."""
        words = self._words
        text(words["recommend_heading"], tag="h1")
        text(words["recommend_lead"], "tb-lead tb-soft", tag="p")
        lately = await asyncio.to_thread(users_lately, self._recommender)
        self._user = user or next(iter(lately), "")
        await self._read()
        if self._is_missing:
            sample = words["recommend_sample_text"], words["recommend_sample_command"]
            empty_state(
                words["no_model_title"], words["no_model_text"], words["no_model_command"], sample
            )
            return
        self._history = ui.refreshable(self._show_history)
        self._list = ui.refreshable(self._show_list)
        with ui.element("div").classes("tb-card tb-whom"):
            self._show_whom(lately)
            self._show_dials()
        self._said.build()
        with ui.element("div").classes("tb-beside"):
            with ui.element("div"):
                self._history()
            with ui.element("div").props('aria-live="polite"'):
                self._list()

    def _show_whom(self, lately: list[str]) -> None:
        words = self._words
        with ui.element("div").classes("tb-asking"):
            name = words["recommend_user"]
            self._field = one_line(name, self._user, hint=name)
            on_enter(self._field, self._go)
            button(words["recommend_show"], self._go)
        with ui.element("div").classes("tb-chip-row"):
            text(words["recommend_lately"], "tb-hint", tag="span")
            for user in lately:
                link(user, f"{RECOMMEND}?user={quote(user, safe='')}", "tb-chip")
            button(words["recommend_nobody"], self._forget_user, "tb-chip")

    def _show_dials(self) -> None:
        words = self._words
        with (
            ui.element("div")
            .classes("tb-dials")
            .props(f'role="group" aria-label="{words["recommend_dials"]}"')
        ):
            with ui.element("div").classes("tb-dial"), ui.element("label"):
                text(words["recommend_diversity"], tag="span")
                dial = ui.element("input").props(
                    f'type="range" min="0" max="100" step="5" value="{100 * self._diversity:.0f}" '
                    f'title="0: {words["recommend_same"]}; 100: {words["recommend_unlike"]}"'
                )
                self._number = ui.refreshable(self._show_number)
                self._number()
            dial.on("change", self._turn, js_handler="(event) => emit(event.target.value)")
            with ui.element("div").classes("tb-dial"), ui.element("label"):
                box = ui.element("input").props('type="checkbox"')
                text(words["recommend_explore"], tag="span")
            box.on("change", self._switch, js_handler="(event) => emit(event.target.checked)")

    def _show_number(self) -> None:
        text(f"{self._diversity:.2f}", "tb-number", tag="span")

    async def _go(self) -> None:
        self._user = (self._field.value or "").strip()
        self._imagined = []
        await self._redraw()

    async def _forget_user(self) -> None:
        self._field.value = ""
        await self._go()

    async def _turn(self, event: GenericEventArguments) -> None:
        self._diversity = min(max(float(event.args) / 100, 0.0), 1.0)
        self._number.refresh()
        await self._redraw()

    async def _switch(self, event: GenericEventArguments) -> None:
        self._explores = bool(event.args)
        await self._redraw()

    async def _take(self, item: str) -> None:
        """Imagine that they took *item*."""
        now = self._recommender.clock()
        self._imagined.append(Event(self._user, item, "click", None, now))
        await self._redraw()

    async def _take_back(self) -> None:
        self._imagined = []
        await self._redraw()

    async def _redraw(self) -> None:
        await self._read()
        self._history.refresh()
        self._list.refresh()

    async def _read(self) -> None:
        wish = Wish(
            user=self._user or None,
            n=N_SHOWN,
            diversity=self._diversity,
            imagined=tuple(self._imagined),
        )

        def look() -> tuple[tuple[Event, ...], Listing]:
            events = self._recommender.histories.of(self._user).events if self._user else ()
            return events, self._recommender.preview(wish, explore=self._explores)

        try:
            self._events, self._listing = await asyncio.to_thread(look)
            self._is_missing = False
        except UnavailableError:
            self._listing, self._is_missing = None, True

    def _show_history(self) -> None:
        show_history(
            self._events,
            self._imagined,
            words=self._words,
            title=self._recommender.shelf.title,
            take_back=self._take_back,
        )

    def _show_list(self) -> None:
        if self._listing is None:
            text(self._words["no_model_title"], "tb-soft tb-quiet-line", tag="p")
            return
        show_list(
            self._listing,
            self._recommender.shelf,
            words=self._words,
            language=self._language,
            take=self._take,
        )


def users_lately(recommender: Recommender, *, n: int = N_LATELY) -> list[str]:
    """At most *n* users who did something lately, the latest first."""
    latest = select(EventRow.user).order_by(EventRow.time.desc()).limit(LOOK_BACK)
    with recommender.workspace.sessions() as session:
        return list(dict.fromkeys(session.scalars(latest)))[:n]
