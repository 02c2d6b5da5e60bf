"""The versions of rules and facts: who saved which, what they changed, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nicegui import ui

from tailorbird.console.acting import Said, button
from tailorbird.console.drawing import text
from tailorbird.console.markup import moment
from tailorbird.knowledge import rules as ruling
from tailorbird.serving.access import Person, note_action
from tailorbird.store import Workspace

N_SHOWN = 50
N_SENTENCES = 40
"""Of the differences of one version; longer lists are cut."""

Restored = Callable[[int], Awaitable[None]]


class History:
    """The list of versions; *restored* hears the number of one that came back."""

    def __init__(
        self, workspace: Workspace, words: dict[str, str], person: Person, restored: Restored
    ) -> None:
        self._workspace = workspace
        self._words = words
        self._person = person
        self._restored = restored
        self._said = Said(words)
        self._versions: list[ruling.Version] = []
        self._differences: dict[int, list[str]] = {}
        """By version, where they were asked for: from the one before it."""
        self._doubtful = 0

    async def build(self) -> None:
        """Put it on the page."""
        found = await asyncio.to_thread(ruling.history, self._workspace)
        self._versions = found[:N_SHOWN]
        self._said.build()
        self._list = ui.refreshable(self._show)
        self._list()

    async def refresh(self) -> None:
        """Show what was saved meanwhile."""
        found = await asyncio.to_thread(ruling.history, self._workspace)
        self._versions, self._doubtful = found[:N_SHOWN], 0
        self._list.refresh()

    def _show(self) -> None:
        words = self._words
        if not self._versions:
            text(words["rules_no_history"], "tb-soft", tag="p")
            return
        with ui.element("ol").classes("tb-versions"):
            for place, version in enumerate(self._versions):
                with ui.element("li").props(f'data-testid="version-{version.version}"'):
                    self._show_one(version, is_in_force=place == 0)

    def _show_one(self, version: ruling.Version, *, is_in_force: bool) -> None:
        words, number = self._words, version.version
        with ui.element("div").classes("tb-version-head"):
            text(words["rules_version"].format(n=number), tag="strong")
            if is_in_force:
                text(words["rules_now"], "tb-status", tag="span").props('data-status="done"')
            when = f"{moment(version.created)} UTC" if version.created else ""
            text(" · ".join(filter(None, (when, version.author))), "tb-hint", tag="span")
            with ui.element("div").classes("tb-version-acts"):
                word = "rules_hide" if number in self._differences else "rules_show"
                button(words[word], lambda: self._compare(number), "tb-small-link")
                if not is_in_force and self._person.may("admin"):
                    self._show_restore(number)
        if version.note:
            text(version.note, tag="p")
        if number in self._differences:
            sentences = self._differences[number]
            with ui.element("ul").classes("tb-differences"):
                for sentence in sentences[:N_SENTENCES]:
                    text(sentence, tag="li")
                if len(sentences) > N_SENTENCES:
                    more = words["rules_more"].format(n=len(sentences) - N_SENTENCES)
                    text(more, "tb-soft", tag="li")

    def _show_restore(self, number: int) -> None:
        words = self._words
        if number != self._doubtful:
            button(words["rules_restore"], lambda: self._doubt(number), "tb-small-link")
            return
        with ui.element("span").classes("tb-sure"):
            text(words["rules_sure"], "tb-problem-line", tag="span")
            button(words["rules_restore_now"], lambda: self._restore(number), "tb-small-link")
            button(words["rules_keep"], lambda: self._doubt(0), "tb-small-link")

    def _doubt(self, number: int) -> None:
        self._doubtful = number
        self._list.refresh()

    async def _compare(self, number: int) -> None:
        """Show what *number* changed, or hide it again."""
        if self._differences.pop(number, None) is None:
            found = await self._said.attempt(asyncio.to_thread(self._difference, number))
            if found is None:
                return
            self._differences[number] = found
        self._list.refresh()

    def _difference(self, number: int) -> list[str]:
        new = ruling.load_rules(self._workspace, number)
        earlier = [one.version for one in ruling.history(self._workspace) if one.version < number]
        old = ruling.load_rules(self._workspace, earlier[0] if earlier else 0)
        return ruling.difference(old, new, self._words["rules_language"])

    async def _restore(self, number: int) -> None:
        def restore() -> int:
            old = ruling.saved_version(self._workspace, number)
            note = self._words["rules_restored_note"].format(n=number)
            version = ruling.save_rules(
                self._workspace, old.rules, old.facts, author=self._person.name, note=note
            )
            note_action(
                self._workspace, self._person, "change rules", f"version {version}", note=note
            )
            return version

        self._doubtful = 0
        version = await self._said.attempt(asyncio.to_thread(restore))
        if version is None:
            self._list.refresh()
            return
        await self._restored(version)
