"""Where documents are dropped: each is read aside, and says what became of it in its own line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from nicegui import ui
from nicegui.events import UploadEventArguments

from tailorbird.console.drawing import text
from tailorbird.errors import TailorbirdError
from tailorbird.knowledge import Added, KnowledgeBase

MAX_READING = 2
"""Documents that are read at once; others wait."""
ENDINGS = ".md,.markdown,.txt,.html,.htm,.pdf,.docx,.csv"
PICK = "() => getElement({id}).$refs.qRef.pickFiles()"
DROP = """(event) => {{ event.preventDefault(); event.currentTarget.classList.remove("over");
  getElement({id}).$refs.qRef.addFiles(event.dataTransfer.files); }}"""
OVER = '(event) => { event.preventDefault(); event.currentTarget.classList.add("over"); }'
OUT = '(event) => event.currentTarget.classList.remove("over")'

Kept = Callable[[Added], Awaitable[None]]


@dataclass(slots=True)
class Arrival:
    """One file that was dropped."""

    name: str
    state: Literal["reading", "done", "failed"] = "reading"
    sentence: str = ""


class DropZone:
    """Takes documents in; *kept* hears of each that was kept."""

    def __init__(self, base: KnowledgeBase, words: dict[str, str], kept: Kept) -> None:
        self._base = base
        self._words = words
        self._kept = kept
        self._arrivals: list[Arrival] = []
        self._reading = asyncio.Semaphore(MAX_READING)

    def build(self) -> None:
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
        with ui.element("div").props('aria-live="polite"'):
            self._list()

    async def _arrive(self, event: UploadEventArguments) -> None:
        arrival = Arrival(event.file.name)
        self._arrivals.insert(0, arrival)
        self._list.refresh()
        try:
            async with self._reading:
                content = await event.file.read()
                added = await asyncio.to_thread(self._base.add, arrival.name, content)
        except TailorbirdError as error:
            arrival.state, arrival.sentence = "failed", str(error)
        else:
            arrival.state = "done"
            word = self._words[f"knowledge_{added.status}"]
            arrival.sentence = word.format(n=added.n_chunks, new=added.n_embedded)
            if added.status != "unchanged":
                await self._kept(added)
        self._list.refresh()
        self._upload.reset()

    def _too_large(self) -> None:
        size = f"{self._base.limits.max_bytes / 1e6:,.0f} MB"
        sentence = self._words["knowledge_refused"].format(size=size)
        self._arrivals.insert(0, Arrival("", "failed", sentence))
        self._list.refresh()

    def _show(self) -> None:
        if not self._arrivals:
            return
        with ui.element("ul").classes("tb-arrivals"):
            for one in self._arrivals:
                with ui.element("li").props(f'data-state="{one.state}"'):
                    if one.state == "failed":
                        text(one.sentence, "tb-problem-line", tag="span").props('role="alert"')
                        continue
                    text(one.name, "tb-pieces-name", tag="span")
                    text(one.sentence or self._words["knowledge_reading"], "tb-soft", tag="span")
                    if one.state == "reading":
                        with ui.element("span").classes("tb-track"):
                            ui.element("span")
