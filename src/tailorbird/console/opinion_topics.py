"""New topics that the posts propose: look at them, name them, or say that they are none."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.assistants.opinion.finding import Found, read_posts
from tailorbird.assistants.opinion.proposals import list_proposals
from tailorbird.console.acting import Said, button, on_enter, one_line
from tailorbird.console.drawing import text
from tailorbird.console.markup import moment
from tailorbird.console.opinion_posts import sentiment
from tailorbird.serving.access import Person, note_action
from tailorbird.store.tables import TopicProposalRow
from tailorbird.text import shorten

N_EXAMPLES = 4
MAX_NAME_CHARS = 80


class TopicsPage:
    """The proposals that wait for a name."""

    def __init__(self, opened: OpenOpinion, person: Person, words: dict[str, str]) -> None:
        self._opened = opened
        self._workspace = opened.workspace
        self._person = person
        self._words = words
        self._said = Said(words)
        self._shown: list[tuple[TopicProposalRow, list[Found]]] = []

    async def build(self) -> None:
        """Put everything on the page."""
        text(self._words["opinion_proposals_lead"], "tb-lead tb-soft", tag="p")
        self._shown = await asyncio.to_thread(self._read)
        self._list = ui.refreshable(self._show)
        self._said.build()
        with ui.element("div"):
            self._list()

    def _read(self) -> list[tuple[TopicProposalRow, list[Found]]]:
        return [
            (row, read_posts(self._workspace, [str(one) for one in row.posts[:N_EXAMPLES]]))
            for row in list_proposals(self._workspace)
        ]

    def _show(self) -> None:
        words = self._words
        if not self._shown:
            with ui.element("section").classes("tb-card tb-quiet"):
                text(words["opinion_no_proposals"], tag="h2")
                text(words["opinion_no_proposals_text"], "tb-soft", tag="p")
            return
        for row, posts in self._shown:
            self._show_proposal(row, posts)

    def _show_proposal(self, row: TopicProposalRow, posts: list[Found]) -> None:
        words = self._words
        with ui.element("article").classes("tb-card tb-alert").props('data-testid="proposal"'):
            with ui.element("div").classes("tb-post-head"):
                n_posts = words["opinion_proposal_of"].format(n=f"{row.n_posts:,}")
                text(n_posts, "tb-hint", tag="span")
                text(f"{moment(row.created)} UTC", "tb-hint", tag="span")
            with ui.element("div").classes("tb-tags tb-key-words"):
                for word in row.words:
                    text(str(word), "tb-tag", tag="span")
            with ui.element("ul").classes("tb-explaining"):
                for found in posts:
                    with ui.element("li"):
                        sentiment(found.post.sentiment, words)
                        text(shorten(found.post.text, 200), tag="span")
            if self._person.may("admin"):
                with ui.element("div").classes("tb-save"):
                    name = words["opinion_topic_name"]
                    field = one_line(name, limit=MAX_NAME_CHARS, hint=name)
                    do = partial(self._name, row, field)
                    on_enter(field, do)
                    button(words["opinion_make_topic"], do)
                    button(words["opinion_dismiss"], partial(self._dismiss, row), "tb-second")

    async def _name(self, row: TopicProposalRow, field: ui.input) -> None:
        topic = (field.value or "").strip()
        if not topic:
            self._said.say(self._words["opinion_topic_name"], is_problem=True)
            return

        def name() -> TopicProposalRow:
            done = self._opened.proposer.name(
                self._workspace, row.id, topic, author=self._person.name
            )
            note_action(self._workspace, self._person, "name topic", topic, n_posts=row.n_posts)
            return done

        if await self._said.attempt(asyncio.to_thread(name)) is not None:
            await self._go_on(self._words["opinion_named"].format(topic=topic))

    async def _dismiss(self, row: TopicProposalRow) -> None:
        def dismiss() -> TopicProposalRow:
            done = self._opened.proposer.dismiss(self._workspace, row.id)
            what = ", ".join(map(str, row.words[:5]))
            note_action(self._workspace, self._person, "dismiss topic", what)
            return done

        if await self._said.attempt(asyncio.to_thread(dismiss)) is not None:
            await self._go_on(self._words["opinion_dismissed"])

    async def _go_on(self, sentence: str) -> None:
        self._shown = await asyncio.to_thread(self._read)
        self._list.refresh()
        self._said.say(sentence)
