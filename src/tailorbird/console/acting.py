"""What pages that do something are made of: buttons, and a line that says what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from nicegui import ui
from nicegui.events import GenericEventArguments

from tailorbird.console.drawing import text
from tailorbird.errors import TailorbirdError
from tailorbird.serving import Service
from tailorbird.serving.access import error_said

Result = TypeVar("Result")
Do = Callable[[], Any]
ON_ENTER = """(event) => {
  if (event.isComposing || UNLESS) return;
  event.preventDefault();
  emit(event.target.value);
}"""


@runtime_checkable
class HasLabels(Protocol):
    """A predictor that knows its intents, as a Bundle does."""

    @property
    def labels(self) -> tuple[str, ...]:
        """By name."""


def intents_of(service: Service) -> tuple[str, ...]:
    """The intents of what is served, by name; none where it does not tell them."""
    predictor = service.engine.predictor
    return tuple(sorted(predictor.labels)) if isinstance(predictor, HasLabels) else ()


def problem_said(error: TailorbirdError, words: dict[str, str]) -> str:
    """*error* in the language of *words*."""
    return error_said(error, "zh" if words["code"] == "zh" else "en")


def button(name: str, do: Do, *classes: str) -> ui.element:
    """A button that does *do*."""
    made = text(name, *(classes or ("tb-primary",)), tag="button").props('type="button"')
    return made.on("click", do)


def many_lines(label: str, value: str = "", *, limit: int, hint: str = "") -> ui.textarea:
    """A field that grows with what is written into it; *hint* stands in it while it is empty."""
    field = ui.textarea(value=value, placeholder=hint or None).classes("tb-field tb-lines")
    return field.props(f'borderless autogrow aria-label="{label}" maxlength={limit}')


def one_line(label: str, value: str = "", *, limit: int = 200, hint: str = "") -> ui.input:
    """A field of one line."""
    field = ui.input(value=value, placeholder=hint or None).classes("tb-field tb-line")
    return field.props(f'borderless dense aria-label="{label}" maxlength={limit}')


def on_enter(field: ui.input | ui.textarea, do: Do, *, unless: str = "false") -> None:
    """Do *do* when Enter is pressed in *field*; *unless* is a condition on the ``event``.

    What stands in the field comes with the key, for of what is typed before a page is connected the
    key may come first. The Enter that ends the choice of a Chinese character is none.
    """

    async def send(event: GenericEventArguments) -> None:
        field.value = event.args
        done = do()
        if inspect.isawaitable(done):
            await done

    field.on("keydown.enter", send, js_handler=ON_ENTER.replace("UNLESS", unless))


class Said:
    """What came of the last thing that was done, where whoever did it looks."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words
        self._sentence = ""
        self._is_problem = False

    def build(self) -> None:
        """Put the line on the page; it is empty at first."""
        self._line = ui.refreshable(self._show)
        with ui.element("div").props('aria-live="polite"'):
            self._line()

    def say(self, sentence: str, *, is_problem: bool = False) -> None:
        """Say *sentence* in place of what was said before; empty: nothing."""
        if (sentence, is_problem) != (self._sentence, self._is_problem):
            self._sentence, self._is_problem = sentence, is_problem
            self._line.refresh()

    def complain(self, error: TailorbirdError) -> None:
        """Say what went wrong."""
        sentence = problem_said(error, self._words)
        self.say(self._words["failed_because"].format(sentence=sentence), is_problem=True)

    async def attempt(self, doing: Awaitable[Result]) -> Result | None:
        """What comes of *doing*; where it fails it is said why, and nothing comes."""
        try:
            done = await doing
        except TailorbirdError as error:
            self.complain(error)
            return None
        self.say("")
        return done

    def _show(self) -> None:
        if self._sentence:
            kind = "tb-problem-line" if self._is_problem else "tb-soft"
            text(self._sentence, "tb-said-line", kind, tag="p").props('role="status"')
