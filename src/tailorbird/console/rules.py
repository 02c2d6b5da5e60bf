"""The page about rules and facts: edit, check, try and save them, and go back."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from tailorbird.console.acting import Said, button, intents_of, on_enter, one_line
from tailorbird.console.drawing import text
from tailorbird.console.editor import MAX_CHARS, SCRIPT, Editor, place_of
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.console.markup import section
from tailorbird.console.rules_history import History
from tailorbird.console.rules_trying import Tried, show_tried, try_rules
from tailorbird.errors import KnowledgeError, TailorbirdError
from tailorbird.knowledge import rules as ruling
from tailorbird.serving.access import Person, note_action
from tailorbird.store import Workspace

MAX_NOTE_CHARS = 500
EXAMPLE = """[[rule]]
name = "who is hurt talks to a person"
when = 'text =~~ "hurt|injured|受伤|烫伤"'
answer.zh = "非常抱歉，马上为您转接同事。"
answer.en = "I am sorry. A colleague will be with you in a moment."
action = "hand_over"
"""
EXAMPLE_FACTS = """kettle | is a | appliance
kettle | also called | 水壶
kettle | warranty | 1 year
warranty | also called | 保修
"""


def add_rules_page(console: Console, workspace: Workspace) -> None:
    """Add ``/console/rules``."""
    console.offer("rules", f"{PATH}/rules", place=31)

    @ui.page("/rules", response_timeout=RESPONSE_TIMEOUT_S)
    async def rules(request: Request) -> None:
        with frame(console, request, here="rules", is_wide=True) as words:
            if words is None:
                return
            saved = await asyncio.to_thread(ruling.saved_version, workspace)
            if max(len(saved.rules), len(saved.facts)) > MAX_CHARS:
                empty_state(words["rules_long"], words["rules_long_text"], words["rules_command"])
                return
            await RulesPage(console, person_of(request), words, saved).build()


class RulesPage:
    """The rules and facts of one visitor's editor, on top of the version that was in force."""

    def __init__(
        self,
        console: Console,
        person: Person,
        words: dict[str, str],
        saved: ruling.Version,
    ) -> None:
        assert console.workspace is not None
        self._workspace = console.workspace
        self._person = person
        self._intents = intents_of(console.service)
        self._words = words
        self._saved = saved
        self._said = Said(words)
        self._tried: Tried | None = None
        can_edit = person.may("admin")
        self._rules = Editor(
            "rules", words["rules_rules"], words["rules_toml"], EXAMPLE, can_edit=can_edit
        )
        self._facts = Editor(
            "facts", words["rules_facts"], words["rules_lines"], EXAMPLE_FACTS, can_edit=can_edit
        )
        self._history = History(self._workspace, words, person, self._restored)

    async def build(self) -> None:
        """Put everything on the page."""
        words = self._words
        ui.add_head_html(SCRIPT)
        self._state = ui.refreshable(self._show_state)
        self._result = ui.refreshable(self._show_result)
        with ui.element("div").classes("tb-page-head"):
            text(words["rules_heading"], tag="h1")
            self._state()
        text(words["rules_lead"], "tb-lead tb-soft", tag="p")
        self._rules.build(self._saved.rules)
        self._show_symbols()
        with ui.element("div").classes("tb-section"):
            self._facts.build(self._saved.facts)
        if self._person.may("admin"):
            self._show_save()
        self._said.build()
        with section(words["rules_try"], words["rules_try_note"]):
            with ui.element("div").classes("tb-asking"):
                self._sentence = one_line(
                    words["rules_sentence"], limit=2000, hint=words["rules_sentence"]
                )
                on_enter(self._sentence, self._try)
                button(words["rules_try_button"], self._try)
            with ui.element("div").props('aria-live="polite"'):
                self._result()
        with section(words["rules_history"]):
            await self._history.build()

    def _show_state(self) -> None:
        number = self._saved.version
        word = "rules_in_force" if number else "rules_none"
        text(self._words[word].format(n=number), "tb-hint", tag="span").props(
            'data-testid="version"'
        )

    def _show_symbols(self) -> None:
        words = self._words
        with ui.element("details").classes("tb-sources"):
            text(words["rules_symbols"], tag="summary")
            with ui.element("dl").classes("tb-symbols"):
                for name in (*ruling.SYMBOLS, "slots.NAME"):
                    text(name, tag="dt")
                    text(words[f"rules_symbol_{name.replace('.', '_')}"], tag="dd")
            if self._person.may("admin") and not self._saved.rules:
                button(words["rules_example"], self._put_example, "tb-small-link")

    def _show_save(self) -> None:
        words = self._words
        with ui.element("div").classes("tb-save"):
            self._note = one_line(
                words["rules_note"], limit=MAX_NOTE_CHARS, hint=words["rules_note"]
            )
            button(words["rules_check"], self._check, "tb-second")
            button(words["rules_save"], self._save)

    def _put_example(self) -> None:
        if not self._rules.value.strip():
            self._rules.value = EXAMPLE
        if not self._facts.value.strip():
            self._facts.value = EXAMPLE_FACTS

    async def _read(self) -> ruling.RuleSet | None:
        """What is written in the editors, checked whole; None once it was said what is wrong."""
        texts = self._rules.value, self._facts.value
        self._said.say(self._words["rules_checking"])
        try:
            return await asyncio.to_thread(
                ruling.RuleSet.read, *texts, version=self._saved.version, intents=self._intents
            )
        except TailorbirdError as error:
            self._complain(error)
            return None

    def _complain(self, error: TailorbirdError) -> None:
        self._said.complain(error)
        which, line = place_of(str(error)) if isinstance(error, KnowledgeError) else ("", 0)
        for name, editor in (("rules", self._rules), ("facts", self._facts)):
            if name == which:
                editor.mark(line)

    async def _check(self) -> None:
        read = await self._read()
        if read is not None:
            word = self._words["rules_right"]
            self._said.say(word.format(n=len(read.rules), facts=len(read.facts)))

    async def _save(self) -> None:
        note = (self._note.value or "").strip()
        if not note:
            self._said.say(self._words["rules_note_missing"], is_problem=True)
            return
        if await self._read() is None:
            return
        texts = self._rules.value, self._facts.value
        before = self._saved.version

        def save() -> int:
            return ruling.save_rules(
                self._workspace, *texts, author=self._person.name, note=note, based_on=before
            )

        try:
            version = await asyncio.to_thread(save)
        except TailorbirdError as error:
            self._complain(error)
            return
        if version == before:
            self._said.say(self._words["rules_same"])
            return
        await asyncio.to_thread(self._remember, version, note)
        self._note.value = ""
        await self._went_on()
        self._said.say(self._words["rules_saved"].format(n=version))

    def _remember(self, version: int, note: str) -> None:
        target = f"version {version}"
        note_action(self._workspace, self._person, "change rules", target, note=note)

    async def _restored(self, version: int) -> None:
        """An old version is in force again, as *version*."""
        await self._went_on()
        self._rules.value, self._facts.value = self._saved.rules, self._saved.facts
        self._said.say(self._words["rules_saved"].format(n=version))

    async def _went_on(self) -> None:
        self._saved = await asyncio.to_thread(ruling.saved_version, self._workspace)
        self._state.refresh()
        await self._history.refresh()

    async def _try(self) -> None:
        sentence = (self._sentence.value or "").strip()
        if not sentence:
            return
        read = await self._read()
        if read is None:
            self._tried = None
        else:
            self._said.say("")
            self._tried = await asyncio.to_thread(try_rules, read, sentence)
        self._result.refresh()

    def _show_result(self) -> None:
        if self._tried is not None:
            show_tried(self._tried, self._words)
