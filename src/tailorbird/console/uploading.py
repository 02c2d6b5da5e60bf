"""Where documents are dropped: each is read aside, and says how far it is in its own line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from nicegui import ui
from nicegui.events import UploadEventArguments

from tailorbird.console.acting import button, problem_said
from tailorbird.console.drawing import text
from tailorbird.errors import TailorbirdError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.uploads import Upload
from tailorbird.store.tables import utc_now

LOOK_S = 1.0
"""How often the page looks how far they are."""
TOLD_S = 3600.0
"""What became of one is shown so long."""
ENDINGS = ".md,.markdown,.txt,.html,.htm,.pdf,.docx,.csv"
PICK = "() => getElement({id}).$refs.qRef.pickFiles()"
DROP = """(event) => {{ event.preventDefault(); event.currentTarget.classList.remove("over");
  getElement({id}).$refs.qRef.addFiles(event.dataTransfer.files); }}"""
OVER = '(event) => { event.preventDefault(); event.currentTarget.classList.add("over"); }'
OUT = '(event) => event.currentTarget.classList.remove("over")'

Kept = Callable[[], Awaitable[None]]


class DropZone:
    """Takes documents in for *who*; *kept* hears when some of them are known from now on."""

    def __init__(self, base: KnowledgeBase, who: str, words: dict[str, str], kept: Kept) -> None:
        self._base = base
        self._who = who
        self._words = words
        self._kept = kept
        self._refused: list[str] = []
        """Sentences about files that did not come as far as the queue."""
        self._uploads: list[Upload] = []

    async def build(self) -> None:
        """Put it on the page."""
        words, limit = self._words, self._base.limits.max_bytes
        self._upload = (
            ui.upload(
                multiple=True,
                auto_upload=True,
                max_file_size=limit,
                on_upload=self._arrive,
                on_rejected=self._too_large,
            )
            .props(f'accept="{ENDINGS}"')
            .classes("tb-hidden-upload")
        )
        zone = ui.element("button").classes("tb-drop").props('type="button"')
        zone.props('data-testid="drop"')
        zone.on("click", js_handler=PICK.format(id=self._upload.id))
        zone.on("drop", js_handler=DROP.format(id=self._upload.id))
        zone.on("dragover", js_handler=OVER).on("dragleave", js_handler=OUT)
        with zone:
            text(words["knowledge_drop"], "tb-drop-title", tag="span")
            size = f"{limit / 1e6:,.0f} MB"
            text(words["knowledge_kinds"].format(size=size), "tb-hint", tag="span")
        self._list = ui.refreshable(self._show)
        self._uploads = await asyncio.to_thread(self._lately)
        with ui.element("div").props('aria-live="polite"'):
            self._list()

    def follow(self) -> None:
        """Look again and again; begun last, as a page with a timer is sent off at its next wait."""
        ui.timer(LOOK_S, self._look)

    async def _arrive(self, event: UploadEventArguments) -> None:
        name, content = event.file.name, await event.file.read()
        try:
            await asyncio.to_thread(self._base.uploads.put, name, content, who=self._who)
        except TailorbirdError as error:
            self._refused.insert(0, problem_said(error, self._words))
            self._list.refresh()
        await self._look()
        self._upload.reset()

    def _too_large(self) -> None:
        size = f"{self._base.limits.max_bytes / 1e6:,.0f} MB"
        self._refused.insert(0, self._words["knowledge_refused"].format(size=size))
        self._list.refresh()

    def _lately(self) -> list[Upload]:
        since = (utc_now() - timedelta(seconds=TOLD_S)).isoformat()
        found = self._base.uploads.list()
        return [one for one in found if not one.is_over or one.updated >= since]

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._lately)
        if found == self._uploads:
            return
        before = {one.id for one in self._uploads if one.state == "done"}
        is_more = any(one.state == "done" and one.id not in before for one in found)
        self._uploads = found
        self._list.refresh()
        if is_more:
            await self._kept()

    async def _cancel(self, upload: Upload) -> None:
        try:
            await asyncio.to_thread(self._base.uploads.cancel, upload.id)
        except TailorbirdError as error:  # it was done meanwhile
            self._refused.insert(0, problem_said(error, self._words))
        await self._look()

    def _show(self) -> None:
        if not self._uploads and not self._refused:
            return
        with ui.element("ul").classes("tb-arrivals"):
            for sentence in self._refused:
                with ui.element("li").props('data-state="failed"'):
                    text(sentence, "tb-problem-line", tag="span").props('role="alert"')
            for one in self._uploads:
                with ui.element("li").props(f'data-state="{one.state}"'):
                    self._show_upload(one)

    def _show_upload(self, one: Upload) -> None:
        words = self._words
        if one.problem is not None:
            sentence = problem_said(one.problem, words)
            text(sentence, "tb-problem-line", tag="span").props('role="alert"')
            return
        text(one.name, "tb-pieces-name", tag="span")
        with ui.element("span").classes("tb-soft"):
            text(self._state_of(one), tag="span")
            if not one.is_over:
                button(words["knowledge_cancel"], lambda: self._cancel(one), "tb-small-link")
        if one.state == "reading":
            share = f"{one.n_done / one.n_all:.0%}" if one.n_all else "100%"
            with ui.element("span").classes("tb-track"):
                ui.element("span").style(f"width: {share}")

    def _state_of(self, one: Upload) -> str:
        words = self._words
        if one.state == "done":
            word = words[f"knowledge_{one.status}"]
            return word.format(n=one.n_chunks, new=one.n_embedded)
        if one.state == "reading" and one.n_all:
            return words["knowledge_progress"].format(n=one.n_done, all=one.n_all)
        return words[f"knowledge_{one.state}"]
