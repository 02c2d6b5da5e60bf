"""Pages that change what is live: they show what will happen, ask why, and then do it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nicegui import ui
from starlette.requests import Request

from tailorbird.console import deploying
from tailorbird.console.acting import problem_said
from tailorbird.console.bundle_facts import find_bundle, list_bundles
from tailorbird.console.comparing import show_figures
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.console.markup import link
from tailorbird.errors import TailorbirdError
from tailorbird.store import Workspace

log = logging.getLogger(__name__)
BUNDLES = f"{PATH}/bundles"
MAX_REASON_CHARS = 500

Act = Callable[[str], None]
"""Does it, for a reason."""


def add_changing_pages(console: Console, workspace: Workspace) -> None:
    """Add ``/console/bundles/promote`` and ``/console/bundles/rollback``."""

    @ui.page("/bundles/promote", response_timeout=RESPONSE_TIMEOUT_S)
    async def promote(request: Request, bundle: str = "") -> None:
        with frame(console, request, here="bundles", role="admin", is_wide=True) as words:
            if words is None:
                return

            person = person_of(request)

            def act(reason: str) -> None:
                deploying.promote(workspace, bundle, person=person, reason=reason)

            await _ask(workspace, "promote", bundle, words, act)

    @ui.page("/bundles/rollback", response_timeout=RESPONSE_TIMEOUT_S)
    async def rollback(request: Request) -> None:
        with frame(console, request, here="bundles", role="admin", is_wide=True) as words:
            if words is None:
                return
            earlier = await asyncio.to_thread(deploying.earlier_bundle, workspace)
            if not earlier:
                empty_state(words["bundles_heading"], words["rollback_none"])
                return

            person = person_of(request)

            def act(reason: str) -> None:
                deploying.roll_back(workspace, person=person, reason=reason, expected=earlier)

            await _ask(workspace, "rollback", earlier, words, act)


async def _ask(
    workspace: Workspace, change: str, bundle_id: str, words: dict[str, str], act: Act
) -> None:
    """The page of one *change*, ``promote`` or ``rollback``, that makes *bundle_id* live."""
    facts = await asyncio.to_thread(find_bundle, workspace, bundle_id)
    if facts is None:
        empty_state(words["not_found"], words["not_found_text"])
        return
    if facts.is_live:
        empty_state(facts.id, words["change_is_live"])
        return
    known = await asyncio.to_thread(list_bundles, workspace)
    live = next((one for one in known if one.is_live), None)
    link(f"← {words['bundles_heading']}", BUNDLES, "tb-back")
    text(words[f"{change}_heading"].format(id=facts.id), tag="h1")
    text(words[f"{change}_text"], "tb-lead tb-soft", tag="p")
    _Form(words, words[f"{change}_button"], act).build()
    if live is not None:
        show_figures((live, facts), words)


class _Form:
    """A reason, a button, and what went wrong."""

    def __init__(self, words: dict[str, str], button: str, act: Act) -> None:
        self._words = words
        self._button = button
        self._act = act
        self._said = ""
        self._is_problem = False
        self._is_busy = False

    def build(self) -> None:
        """Put it on the page."""
        words = self._words
        with ui.element("section").classes("tb-card tb-change"):
            self._reason = (
                ui.textarea(placeholder=words["change_reason"])
                .props(
                    f'borderless autogrow aria-label="{words["change_reason"]}" '
                    f"maxlength={MAX_REASON_CHARS}"
                )
                .classes("tb-field")
            )
            self._state = ui.refreshable(self._show_state)
            with ui.element("div").props('aria-live="polite"'):
                self._state()
            with ui.element("div").classes("tb-change-foot"):
                link(words["change_cancel"], BUNDLES, "tb-link")
                button = text(self._button, "tb-primary", tag="button")
                button.props('type="button"').on("click", self._do)

    async def _do(self) -> None:
        if self._is_busy:
            return
        reason = (self._reason.value or "").strip()
        if not reason:
            self._say(self._words["change_reason_missing"])
            return
        self._is_busy = True
        self._say(self._words["change_busy"])
        try:
            await asyncio.to_thread(self._act, reason)
        except TailorbirdError as error:
            log.warning("what is live could not be changed: %s", error)
            self._is_busy = False
            sentence = problem_said(error, self._words)
            self._say(self._words["failed_because"].format(sentence=sentence), is_problem=True)
            return
        ui.navigate.to(BUNDLES.removeprefix(PATH))  # NiceGUI adds where it is mounted

    def _say(self, sentence: str, *, is_problem: bool = False) -> None:
        self._said, self._is_problem = sentence, is_problem
        self._state.refresh()

    def _show_state(self) -> None:
        if self._said:
            kind = "tb-problem-line" if self._is_problem else "tb-soft"
            text(self._said, "tb-change-said", kind, tag="p").props('role="status"')
