"""Where posts come from and how that goes, the names that are known, and the daily reports."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from nicegui import ui

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.assistants.opinion.sources import Health, list_sources
from tailorbird.console.acting import Said, button
from tailorbird.console.drawing import text
from tailorbird.console.markup import link_out, moment, section, table
from tailorbird.serving.access import Person, note_action
from tailorbird.store.tables import EntityRow, utc_now
from tailorbird.text import shorten

REFRESH_S = 10.0
N_NAMES = 200
STATUS_OF = {"ok": "done", "failing": "failed", "waiting": "running", "paused": ""}
"""How the colours of runs are used for sources."""


class SourcesPage:
    """The sources with their health."""

    def __init__(self, opened: OpenOpinion, person: Person, words: dict[str, str]) -> None:
        self._opened = opened
        self._workspace = opened.workspace
        self._person = person
        self._words = words
        self._said = Said(words)
        self._sources: list[Health] = []
        self._names: list[EntityRow] = []

    async def build(self) -> None:
        """Put everything on the page."""
        words = self._words
        self._sources = await asyncio.to_thread(list_sources, self._workspace)
        self._names = await asyncio.to_thread(self._opened.entities.all)
        self._list = ui.refreshable(self._show)
        self._said.build()
        with ui.element("div"):
            self._list()
        with ui.element("div").classes("tb-links"):
            for back in (1, 2, 3):
                day = f"{utc_now() - timedelta(days=back):%Y-%m-%d}"
                address = f"/v1/opinion/report?day={day}&language={words['opinion_language']}"
                link_out(words["opinion_report"].format(day=day), address, "tb-chip")
        with section(words["opinion_names"]):
            self._show_names()
        ui.timer(REFRESH_S, self._refresh, immediate=False)

    async def _refresh(self) -> None:
        found = await asyncio.to_thread(list_sources, self._workspace)
        if [_state(one) for one in found] != [_state(one) for one in self._sources]:
            self._sources = found
            self._list.refresh()

    def _show(self) -> None:
        words = self._words
        if not self._sources:
            with ui.element("section").classes("tb-card tb-quiet"):
                text(words["opinion_no_sources"], tag="h2")
                text(words["opinion_no_sources_text"], "tb-soft", tag="p")
                with ui.element("div"):
                    text(words["opinion_no_sources_command"], "tb-command", tag="code")
            return
        names = ("name", "state", "kind", "address", "last", "total", "day")
        headings = [*(words[f"opinion_{name}"] for name in names), ""]
        with table(headings, label=words["opinion_sources"]) as rows:
            for one in self._sources:
                with rows.row().props('data-testid="source"'):
                    rows.write(one.row.name, "tb-named")
                    with rows.cell():
                        state = text(words[f"opinion_state_{one.state}"], "tb-status", tag="span")
                        state.props(f'data-status="{STATUS_OF[one.state]}"')
                    rows.write(words.get(f"opinion_kind_{one.row.kind}", one.row.kind))
                    with rows.cell("tb-source"):
                        self._show_address(one)
                    rows.write(moment(one.row.last_ok) if one.row.last_ok else "–", "tb-figures")
                    rows.write(f"{one.n_posts:,}", "tb-figures")
                    rows.write(f"{one.n_last_day:,}", "tb-figures")
                    with rows.cell("tb-actions"):
                        if self._person.may("admin"):
                            word = "opinion_resume" if one.row.is_paused else "opinion_pause"
                            do = partial(self._pause, one.row.name, not one.row.is_paused)
                            button(words[word], do, "tb-small-link")

    def _show_address(self, one: Health) -> None:
        words = self._words
        with ui.element("div"):
            text(one.address or "–", tag="span")
            if one.state == "failing":
                error = words["opinion_failures"].format(
                    n=one.row.n_failures, error=shorten(one.row.last_error, 200)
                )
                text(error, "tb-problem-line", tag="p")
            if one.row.next_poll is not None and not one.row.is_paused:
                text(words["opinion_next"].format(time=moment(one.row.next_poll)), "tb-hint")

    def _show_names(self) -> None:
        words = self._words
        if not self._names:
            text(words["opinion_no_names"], "tb-soft tb-quiet-line", tag="p")
            return
        headings = [words[f"opinion_{name}"] for name in ("name", "kind", "aliases")]
        with table(headings, label=words["opinion_names"]) as rows:
            for one in self._names[:N_NAMES]:
                with rows.row():
                    rows.write(one.name)
                    rows.write(words.get(f"opinion_kind_{one.kind}", one.kind))
                    rows.write(", ".join(map(str, one.aliases)), "tb-source")

    async def _pause(self, name: str, is_paused: bool) -> None:
        def change() -> bool:
            self._opened.gatherer.pause(name, is_paused)
            action = "pause source" if is_paused else "resume source"
            note_action(self._workspace, self._person, action, name)
            return True

        if await self._said.attempt(asyncio.to_thread(change)):
            self._sources = await asyncio.to_thread(list_sources, self._workspace)
            self._list.refresh()


def _state(one: Health) -> tuple[object, ...]:
    row = one.row
    return (row.name, one.state, row.last_ok, row.n_failures, row.next_poll, one.n_posts)
