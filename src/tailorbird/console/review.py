"""The review queue: what people say the assistant should learn, judged one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from nicegui import ui
from nicegui.events import KeyEventArguments
from starlette.requests import Request

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.console.acting import (
    Said,
    button,
    intents_of,
    many_lines,
    one_line,
    problem_said,
)
from tailorbird.console.desk_list import ago
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    LEAF,
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.console.markup import bar, link
from tailorbird.console.review_queue import KINDS, Item, Kind, Queue, Reviewing, read_queue
from tailorbird.errors import TailorbirdError
from tailorbird.serving.access import Person
from tailorbird.text import shorten

MAX_CHARS = 8000
LINE_CHARS = 90
SHOW_LINE = (
    "document.querySelector('.tb-review-list [aria-current]')?.scrollIntoView({block: 'nearest'})"
)


def add_review_page(console: Console, service_desk: ServiceDesk | None) -> None:
    """Add ``/console/review``; without a service desk it says so."""
    console.offer("review", f"{PATH}/review", place=21)

    @ui.page("/review", response_timeout=RESPONSE_TIMEOUT_S)
    async def review(request: Request, kind: str = "") -> None:
        with frame(console, request, here="review", is_wide=True) as words:
            if words is None:
                return
            if service_desk is None:
                empty_state(words["no_desk_title"], words["no_desk_text"])
                return
            page = ReviewPage(console, service_desk, person_of(request), words)
            await page.build(kind)


class ReviewPage:
    """The queue of one visitor: a list, and the item that is being judged."""

    def __init__(
        self,
        console: Console,
        service_desk: ServiceDesk,
        person: Person,
        words: dict[str, str],
    ) -> None:
        self._workspace = service_desk.books.workspace
        self._reviewing = Reviewing(service_desk, person)
        self._intents = intents_of(console.service)
        self._words = words
        self._said = Said(words)
        self._queue: Queue = {kind: [] for kind in KINDS}
        self._kind: Kind = "drafts"
        self._place = 0
        self._is_busy = False

    async def build(self, kind: str) -> None:
        """Put everything on the page, with the queue *kind*, or the first that holds anything."""
        words = self._words
        self._queue = await asyncio.to_thread(read_queue, self._workspace)
        wanted = [one for one in KINDS if one == kind]
        full = [one for one in KINDS if self._queue[one]]
        self._kind = [*wanted, *full, KINDS[0]][0]
        self._kinds = ui.refreshable(self._show_kinds)
        self._list = ui.refreshable(self._show_list)
        self._form = ui.refreshable(self._show_form)
        with ui.element("div").classes("tb-page-head"):
            text(words["review_heading"], tag="h1")
            self._kinds()
        text(words[f"review_about_{self._kind}"], "tb-lead tb-soft", tag="p")
        self._said.build()
        with ui.element("div").classes("tb-panes") as self._panes:
            with (
                ui.element("nav")
                .classes("tb-pane-list tb-review-list")
                .props(f'aria-label="{words["review_heading"]}"')
            ):
                self._list()
            with ui.element("section").classes("tb-card tb-pane"):
                self._form()
        self._fit()
        self._suggest()
        ui.keyboard(on_key=self._on_key, ignore=["input", "select", "textarea"], repeating=False)

    @property
    def _items(self) -> list[Item]:
        return self._queue[self._kind]

    @property
    def _item(self) -> Item | None:
        return self._items[self._place] if self._place < len(self._items) else None

    def _fit(self) -> None:
        """Without a list, what is said instead has the whole width."""
        if self._items:
            self._panes.props(remove="data-empty")
        else:
            self._panes.props('data-empty="yes"')

    def _suggest(self) -> None:
        """The intents that the field of the intent offers."""
        with ui.element("datalist").props('id="tb-intents"'):
            for name in self._intents:
                text(name, tag="option")

    def _show_kinds(self) -> None:
        words = self._words
        with (
            ui.element("div")
            .classes("tb-segments")
            .props(f'role="group" aria-label="{words["review_kinds"]}"')
        ):
            for kind in KINDS:
                name = f"{words[f'review_{kind}']} {len(self._queue[kind])}"
                one = link(name, f"{PATH}/review?kind={kind}", "tb-segment")
                if kind == self._kind:
                    one.props('aria-current="true"')

    def _show_list(self) -> None:
        words = self._words
        for place, item in enumerate(self._items):
            line = ui.element("button").classes("tb-pane-line").props('type="button"')
            line.on("click", lambda _, place=place: self._choose(place))
            if place == self._place:
                line.props('aria-current="true"')
            with line:
                text(shorten(item.question, LINE_CHARS), "tb-line-text", tag="span")
                times = words["review_times"].format(n=len(item.ids)) if len(item.ids) > 1 else ""
                notes = filter(None, (item.intent, item.author, ago(item.time, words), times))
                text(" · ".join(notes), "tb-hint", tag="span")

    def _show_form(self) -> None:
        words, item = self._words, self._item
        if item is None:
            with ui.element("div").classes("tb-nothing tb-pane-nothing"):
                ui.html(LEAF, sanitize=False, tag="span").classes("tb-logo")
                text(words[f"review_no_{self._kind}"], tag="span")
            return
        with ui.element("div").classes("tb-form"):
            button(f"← {words['review_back']}", self._leave, "tb-back tb-only-narrow")
            text(words["review_question"], "tb-label")
            self._question = many_lines(words["review_question"], item.question, limit=MAX_CHARS)
            if item.conversation:
                where = f"{PATH}/desk?conversation={item.conversation}"
                link(words["review_conversation"], where, "tb-small-link")
            if item.given:
                text(words["review_given"], "tb-label")
                text(item.given, "tb-said-before")
            if item.kind != "drafts" and item.intent:
                text(words["review_taken_for"], "tb-label")
                bar(item.intent, item.confidence, "tb-bar-small")
            text(words["review_intent"], "tb-label")
            known = item.intent if item.kind == "drafts" else ""
            self._intent = one_line(
                words["review_intent"], known, hint=words["review_intent_hint"]
            ).props('list="tb-intents" autocomplete="off"')
            text(words["review_answer"], "tb-label")
            hint = "" if item.kind == "drafts" else words["review_answer_hint"]
            self._answer = many_lines(
                words["review_answer"], item.wanted, limit=MAX_CHARS, hint=hint
            )
            self._show_buttons()

    def _show_buttons(self) -> None:
        words = self._words
        with ui.element("div").classes("tb-form-foot"):
            for name, do, kind, key in (
                ("review_accept", self._accept, "tb-primary", "a"),
                ("review_reject", self._reject, "tb-second tb-danger", "r"),
            ):
                with button(words[name], do, kind):
                    text(key, "tb-key-hint", tag="kbd").props('aria-hidden="true"')
            text(words["review_keys"], "tb-hint", tag="span")

    async def _on_key(self, event: KeyEventArguments) -> None:
        modifiers = event.modifiers
        if not event.action.keydown or modifiers.ctrl or modifiers.alt or modifiers.meta:
            return
        if event.key.name == "j":
            self._choose(min(self._place + 1, len(self._items) - 1))
        elif event.key.name == "k":
            self._choose(max(self._place - 1, 0))
        elif event.key.name == "a":
            await self._accept()
        elif event.key.name == "r":
            await self._reject()

    def _choose(self, place: int) -> None:
        self._said.say("")
        self._panes.props('data-open="yes"')
        if 0 <= place < len(self._items):
            self._place = place
            self._redraw()

    def _leave(self) -> None:
        """Back to the list, which a telephone shows alone."""
        self._panes.props(remove="data-open")

    def _redraw(self) -> None:
        self._fit()
        self._kinds.refresh()
        self._list.refresh()
        self._form.refresh()
        ui.run_javascript(SHOW_LINE)

    async def _accept(self) -> None:
        item = self._item
        if item is None or self._is_busy:
            return
        intent = (self._intent.value or "").strip()
        if intent and self._intents and intent not in self._intents:
            self._said.say(self._words["review_no_intent"].format(name=intent), is_problem=True)
            return
        question, answer = self._question.value or "", self._answer.value or ""
        if not answer.strip() and (not intent or item.kind == "drafts"):
            self._said.say(self._words["review_nothing"], is_problem=True)
            return
        doing = self._reviewing.accept(item, question=question, answer=answer, intent=intent)
        await self._judge(doing, "review_accepted" if answer.strip() else "review_labelled")

    async def _reject(self) -> None:
        item = self._item
        if item is not None and not self._is_busy:
            await self._judge(self._reviewing.reject(item), "review_rejected")

    async def _judge(self, doing: Awaitable[None], done: str) -> None:
        """Do it, say so, and go on with what is next."""
        self._is_busy = True
        try:
            await doing
        except TailorbirdError as error:
            sentence = problem_said(error, self._words)
            said, is_problem = self._words["failed_because"].format(sentence=sentence), True
        else:
            said, is_problem = self._words[done], False
        finally:
            self._is_busy = False
        self._queue = await asyncio.to_thread(read_queue, self._workspace)
        self._place = max(min(self._place, len(self._items) - 1), 0)
        self._redraw()
        self._said.say(said, is_problem=is_problem)
