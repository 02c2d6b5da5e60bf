"""The page for trying things out: type, and see what the assistant understood and would answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.console.acting import on_enter, problem_said
from tailorbird.console.attribution import show_reasons, show_waiting
from tailorbird.console.drawing import svg, text
from tailorbird.console.frame import LEAF, PATH, Console, empty_state, frame
from tailorbird.console.markup import bar, percent
from tailorbird.console.words.ask import EXAMPLES
from tailorbird.errors import TailorbirdError
from tailorbird.records import Prediction
from tailorbird.serving import Answer, Service
from tailorbird.text import shorten

if TYPE_CHECKING:
    from tailorbird.serving.explainer import Reasons

N_TRIES = 8
SEND = '<path d="M5 12h13M12 5l7 7-7 7"/>'


@dataclass(frozen=True, slots=True)
class Try:
    """One text that was asked in this tab, and what came back."""

    text: str
    prediction: Prediction
    bundle: str
    latency_ms: float
    adapter: str = ""
    """The hash of the adapter it was answered with; empty: the assistant shared by all."""
    reasons: Reasons | None = None
    """The words behind the intent; None while they are being computed."""
    problem: str = ""
    """Why they are not."""


class AskPage:
    """The page of one visitor: an input, the latest answer, and the tries before it."""

    def __init__(self, service: Service, words: dict[str, str]) -> None:
        self._service = service
        self._words = words
        self._tries: list[Try] = []
        self._problem = ""
        self._is_busy = False

    def build(self) -> None:
        """Put everything on the page."""
        words = self._words
        text(words["heading"], tag="h1")
        text(words["lead"], "tb-lead tb-soft", tag="p")
        with ui.element("section").classes("tb-card tb-ask"):
            self._field = (
                ui.textarea(placeholder=words["placeholder"])
                .props(
                    f'borderless autogrow aria-label="{words["heading"]}" '
                    f"maxlength={self._service.settings.max_text_chars}"
                )
                .classes("tb-field")
            )
            on_enter(self._field, self._send, unless="event.shiftKey")
            with ui.element("div").classes("tb-ask-foot"):
                text(words["hint"], "tb-hint", tag="span")
                with (
                    ui.element("button")
                    .classes("tb-primary")
                    .props('type="button"')
                    .on("click", self._send)
                ):
                    text(words["send"], tag="span")
                    svg(SEND)
        with ui.element("div").classes("tb-chips"):
            text(words["examples"], "tb-hint", tag="span")
            with ui.element("div").classes("tb-chip-row"):
                for example in EXAMPLES:
                    chip = text(example, "tb-chip", tag="button").props('type="button"')
                    chip.on("click", self._sender(example))
        self._answer = ui.refreshable(self._show_answer)
        self._history = ui.refreshable(self._show_history)
        with ui.element("div").props('aria-live="polite"'):
            self._answer()
        self._history()

    async def restore(self) -> None:
        """Bring back the tries of this tab after a reload, as when the language changes."""
        await ui.context.client.connected()
        self._tries = nicegui_app.storage.tab.setdefault("tries", [])
        if self._tries:
            self._refresh()
            if self._tries[0].reasons is None:
                await self._explain(self._tries[0])

    def _refresh(self) -> None:
        self._answer.refresh()
        self._history.refresh()

    def _sender(self, example: str) -> Callable[[], Awaitable[None]]:
        async def send() -> None:
            self._field.value = example
            await self._send()

        return send

    async def _send(self) -> None:
        asked = (self._field.value or "").strip()
        if not asked or self._is_busy:
            return
        self._is_busy, self._problem = True, ""
        started_s = time.perf_counter()
        try:
            answer = await self._service.predict([asked], user="console")
        except TailorbirdError as error:
            self._problem = problem_said(error, self._words)
        else:
            latency_ms = 1000 * (time.perf_counter() - started_s)
            self._tries.insert(0, tried(asked, answer, latency_ms))
            del self._tries[N_TRIES:]
        finally:
            self._is_busy = False
        self._refresh()
        if not self._problem:
            await self._explain(self._tries[0])

    async def _explain(self, one: Try) -> None:
        """Add the words behind the intent once they are known; the answer stands there already."""
        try:
            reasons = await self._service.explainer.explain(
                one.text, intent=one.prediction.intent if not one.adapter else ""
            )
            known = replace(one, reasons=reasons)
        except TailorbirdError as error:
            known = replace(one, problem=str(error))
        if one in self._tries:
            self._tries[self._tries.index(one)] = known
            self._answer.refresh()

    def _show_answer(self) -> None:
        words = self._words
        if self._problem:
            with ui.element("section").classes("tb-card tb-problem").props('role="alert"'):
                text(words["failed"], tag="h2")
                text(self._problem, tag="p")
        elif self._tries:
            show_try(self._tries[0], words)
        else:
            with ui.element("section").classes("tb-card tb-nothing"):
                ui.html(LEAF, sanitize=False, tag="span").classes("tb-logo")
                text(words["nothing_yet"], tag="span")

    def _show_history(self) -> None:
        before = self._tries[1:]
        if not before:
            return
        words = self._words
        with ui.element("section").classes("tb-history").props('data-testid="history"'):
            text(words["history"], tag="h2")
            text(words["history_note"], "tb-hint", tag="p")
            with ui.element("ul"):
                for one in before:
                    with ui.element("li"), _again(self._sender(one.text)):
                        text(shorten(one.text, 60), "tb-said", tag="span")
                        text(one.prediction.intent, "tb-tag", tag="span")
                        text(percent(one.prediction.confidence), "tb-number", tag="span")


def tried(asked: str, answer: Answer, latency_ms: float) -> Try:
    """What the service's *answer* to one text says here."""
    adapter = answer.adapters[0] if answer.adapters else ""
    return Try(asked, answer.predictions[0], answer.bundle, latency_ms, adapter)


def show_try(one: Try, words: dict[str, str]) -> None:
    """The card of one answer."""
    prediction = one.prediction
    scope = "in" if prediction.in_scope else "out"
    with ui.element("article").classes("tb-card tb-answer").props(f'data-scope="{scope}"'):
        with ui.element("div").classes("tb-answer-head"):
            with ui.element("div"):
                text(words["intent"], "tb-label")
                text(prediction.intent, "tb-intent").props('data-testid="intent"')
            text(words["in_scope" if prediction.in_scope else "out_of_scope"], "tb-badge")
        if not prediction.in_scope:
            text(words["out_of_scope_note"], "tb-note", tag="p")
        text(words["answer" if prediction.in_scope else "nearest_answer"], "tb-label")
        if prediction.answer:
            text(prediction.answer, "tb-bubble", tag="blockquote").props('data-testid="answer"')
        else:
            text(words["no_answer"], "tb-soft", tag="p")
        _show_why(one, words)


def _show_why(one: Try, words: dict[str, str]) -> None:
    """Candidates, scope, and who answered."""
    prediction = one.prediction
    with ui.element("section").classes("tb-why").props('data-testid="why"'):
        text(words["why"], tag="h2")
        text(words["candidates"], "tb-label")
        bar(prediction.intent, prediction.confidence, "tb-bar-main")
        for intent, confidence in prediction.alternatives:
            bar(intent, confidence, "tb-bar-small")
        text(words["scope_score"], "tb-label")
        bar(words["in_scope"], prediction.scope_score, "tb-bar-main")
        if one.reasons is not None:
            show_reasons(one.reasons, words)
        elif one.problem:
            text(one.problem, "tb-soft", tag="p")
        else:
            show_waiting(words)
    with ui.element("footer").classes("tb-answer-foot"):
        text(f"{words['bundle']} {one.bundle}", tag="span").props('data-testid="bundle"')
        adapter = one.adapter[:12] or words["no_adapter"]
        text(f"{words['adapter']} {adapter}", tag="span").props('data-testid="adapter"')
        latency = f"{one.latency_ms:.0f}" if one.latency_ms >= 1 else "< 1"
        text(f"{words['took']} {latency} ms", tag="span")


def _again(send: Callable[[], Awaitable[None]]) -> ui.element:
    return ui.element("button").classes("tb-again").props('type="button"').on("click", send)


def add_ask_page(console: Console, *, is_first: bool) -> None:
    """Add ``/console/try``, also as the first page where *is_first*."""
    console.offer("try", f"{PATH}/try", place=11)

    async def ask(request: Request) -> None:
        with frame(console, request, here="try") as words:
            if words is None:
                return
            if console.service.engine.predictor is None:
                empty_state(words["empty_title"], words["empty_text"], words["empty_command"])
                return
            page = AskPage(console.service, words)
            page.build()
            await page.restore()

    for path in ("/", "/try") if is_first else ("/try",):
        ui.page(path)(ask)
