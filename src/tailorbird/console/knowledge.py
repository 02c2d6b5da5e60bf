"""The page about knowledge: documents in and out, what they were cut into, what is found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from nicegui import ui
from sqlalchemy import select
from starlette.requests import Request

from tailorbird.console.acting import Said, button, on_enter, one_line
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.console.markup import bar, link, moment, section, table
from tailorbird.console.uploading import DropZone
from tailorbird.errors import TailorbirdError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.records import Passage
from tailorbird.serving.access import Person, note_action
from tailorbird.store.tables import ChunkRow, DocumentRow

KNOWLEDGE = f"{PATH}/knowledge"
N_FOUND = 5
N_PIECES = 300
"""So many pieces of one document are shown."""
MAX_QUESTION_CHARS = 2000


def add_knowledge_pages(console: Console, base: KnowledgeBase | None) -> None:
    """Add ``/console/knowledge`` and the page of one document; without *base* they say why."""
    console.offer("knowledge", KNOWLEDGE, place=30)

    def has_base(words: dict[str, str]) -> bool:
        if base is None:
            command = words["no_knowledge_command"]
            empty_state(words["no_knowledge_title"], words["no_knowledge_text"], command)
        return base is not None

    @ui.page("/knowledge", response_timeout=RESPONSE_TIMEOUT_S)
    async def knowledge(request: Request) -> None:
        with frame(console, request, here="knowledge", is_wide=True) as words:
            if words is not None and has_base(words):
                assert base is not None
                await KnowledgePage(base, person_of(request), words).build()

    @ui.page("/knowledge/document", response_timeout=RESPONSE_TIMEOUT_S)
    async def document(request: Request, name: str = "") -> None:
        with frame(console, request, here="knowledge", is_wide=True) as words:
            if words is not None and has_base(words):
                assert base is not None
                await _show_document(base, name, words)


class KnowledgePage:
    """The documents, and what a question finds in them."""

    def __init__(self, base: KnowledgeBase, person: Person, words: dict[str, str]) -> None:
        self._person = person
        self._base = base
        self._words = words
        self._said = Said(words)
        self._rows: list[tuple[DocumentRow, int]] = []
        self._doubtful = ""
        """The document that is about to be removed, and asked about once more."""
        self._asked = ""
        self._found: list[Passage] = []

    async def build(self) -> None:
        """Put everything on the page."""
        words = self._words
        text(words["knowledge_heading"], tag="h1")
        text(words["knowledge_lead"], "tb-lead tb-soft", tag="p")
        if self._person.may("admin"):
            zone = DropZone(self._base, self._person.name, words, self._kept)
            await zone.build()
        self._documents = ui.refreshable(self._show_documents)
        self._passages = ui.refreshable(self._show_passages)
        await self._read()
        with section(words["knowledge_test"], words["knowledge_test_note"]):
            with ui.element("div").classes("tb-asking"):
                self._question = one_line(
                    words["knowledge_question"],
                    limit=MAX_QUESTION_CHARS,
                    hint=words["knowledge_question"],
                )
                on_enter(self._question, self._ask)
                button(words["knowledge_find"], self._ask)
            self._said.build()
            with ui.element("div").props('aria-live="polite"'):
                self._passages()
        with section(words["knowledge_documents"]):
            self._documents()
        if self._person.may("admin"):
            zone.follow()

    async def _read(self) -> None:
        def look() -> list[tuple[DocumentRow, int]]:
            counts = self._base.n_chunks()
            return [(row, counts.get(row.name, 0)) for row in self._base.documents()]

        self._rows = await asyncio.to_thread(look)

    async def _kept(self) -> None:
        await self._read()
        self._documents.refresh()

    def _note(self, action: str, name: str) -> None:
        note_action(self._base.workspace, self._person, action, name[:500])

    def _show_documents(self) -> None:
        words = self._words
        if not self._rows:
            with ui.element("div").classes("tb-card tb-quiet"):
                text(words["knowledge_none"], tag="h2")
                text(words["knowledge_none_text"], "tb-soft", tag="p")
                with ui.element("div"):
                    text(words["knowledge_command"], "tb-command", tag="code")
            return
        names = ("document", "kind", "pieces", "size", "updated")
        headings = [*(words[f"knowledge_{name}"] for name in names), ""]
        with table(headings, label=words["knowledge_documents"]) as rows:
            for row, n_chunks in self._rows:
                with rows.row():
                    with rows.cell():
                        link(row.name, f"{KNOWLEDGE}/document?name={quote(row.name, safe='')}")
                    rows.write(words.get(f"knowledge_kind_{row.kind}", row.kind))
                    rows.write(f"{n_chunks:,}", "tb-figures")
                    rows.write(size(row.n_bytes), "tb-figures")
                    rows.write(moment(row.updated), "tb-figures")
                    with rows.cell("tb-actions"):
                        self._show_remove(row.name)

    def _show_remove(self, name: str) -> None:
        words = self._words
        if not self._person.may("admin"):
            return
        if name != self._doubtful:
            button(words["knowledge_remove"], lambda: self._doubt(name), "tb-small-link")
            return
        with ui.element("span").classes("tb-sure"):
            text(words["knowledge_sure"], "tb-problem-line", tag="span")
            button(words["knowledge_remove_now"], lambda: self._remove(name), "tb-small-link")
            button(words["knowledge_keep"], lambda: self._doubt(""), "tb-small-link")

    def _doubt(self, name: str) -> None:
        self._doubtful = name
        self._documents.refresh()

    async def _remove(self, name: str) -> None:
        self._doubtful = ""
        if await asyncio.to_thread(self._base.remove, name):
            await asyncio.to_thread(self._note, "remove document", name)
        await self._read()
        self._documents.refresh()
        if self._asked:
            await self._search()

    async def _ask(self) -> None:
        self._asked = (self._question.value or "").strip()
        if self._asked:
            self._said.say(self._words["knowledge_searching"])
            await self._search()

    async def _search(self) -> None:
        try:
            self._found = await asyncio.to_thread(self._base.search, self._asked, k=N_FOUND)
        except TailorbirdError as error:
            self._found = []
            self._said.complain(error)
        else:
            self._said.say("" if self._found else self._words["knowledge_found_none"])
        self._passages.refresh()

    def _show_passages(self) -> None:
        if self._found:
            with ui.element("ol").classes("tb-passages"):
                for one in self._found:
                    show_passage(one, self._words, has_support=self._base.support is not None)
            if self._base.reranker:
                text(self._words["knowledge_reranked"], "tb-hint tb-below", tag="p")
            if self._base.support is None:
                text(self._words["knowledge_no_support"], "tb-hint tb-below", tag="p")


def show_passage(passage: Passage, words: dict[str, str], *, has_support: bool) -> None:
    """One passage that was found, with how well it fits."""
    with ui.element("li").classes("tb-card tb-passage").props('data-testid="passage"'):
        _show_piece(passage.question, passage.text)
        if has_support:
            bar(words["knowledge_support"], passage.support, "tb-bar-small")
        with ui.element("div").classes("tb-passage-foot"):
            where = f"{KNOWLEDGE}/document?name={quote(passage.document, safe='')}"
            link(passage.document, where)
            if passage.heading:
                text(passage.heading, tag="span")
            text(f"{words['knowledge_score']} {passage.score:.3f}", tag="span")


def size(n_bytes: int) -> str:
    """A number of bytes for people.

    >>> size(812), size(20_480), size(3_400_000)
    ('812 B', '20 kB', '3.4 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    if n_bytes < 1_000_000:
        return f"{n_bytes / 1000:.0f} kB"
    return f"{n_bytes / 1_000_000:.1f} MB"


async def _show_document(base: KnowledgeBase, name: str, words: dict[str, str]) -> None:
    def look() -> tuple[DocumentRow | None, Sequence[ChunkRow]]:
        pieces = select(ChunkRow).where(ChunkRow.document == name).order_by(ChunkRow.number)
        with base.workspace.sessions() as session:
            found = session.scalars(pieces.limit(N_PIECES + 1)).all()
            return session.get(DocumentRow, name), found

    row, pieces = await asyncio.to_thread(look)
    if row is None:
        empty_state(words["not_found"], words["not_found_text"])
        return
    link(f"← {words['knowledge_heading']}", KNOWLEDGE, "tb-back")
    text(row.name, "tb-run-name", tag="h1")
    with ui.element("div").classes("tb-facts"):
        if row.title:
            text(row.title, tag="span")
        text(words.get(f"knowledge_kind_{row.kind}", row.kind), tag="span")
        text(size(row.n_bytes), tag="span")
        text(f"{moment(row.updated)} UTC", tag="span")
    if len(pieces) > N_PIECES:
        text(words["knowledge_first"].format(n=N_PIECES), "tb-note", tag="p")
    with ui.element("ol").classes("tb-passages"):
        for piece in pieces[:N_PIECES]:
            with ui.element("li").classes("tb-card tb-passage").props('data-testid="piece"'):
                _show_piece(piece.question, piece.text)
                with ui.element("div").classes("tb-passage-foot"):
                    text(f"{piece.number + 1}", tag="span")
                    if piece.heading:
                        text(piece.heading, tag="span")


def _show_piece(question: str, content: str) -> None:
    if question:
        text(question, tag="strong")
    text(content, "tb-passage-text")
