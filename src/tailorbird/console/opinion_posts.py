"""Texts that were published, one by one, and what a person says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from nicegui import ui

from tailorbird.assistants.opinion.figures import SENTIMENTS
from tailorbird.assistants.opinion.finding import Found, read_post
from tailorbird.assistants.opinion.reading import correct
from tailorbird.console.acting import Said, button, one_line
from tailorbird.console.drawing import text
from tailorbird.console.markup import link_out, moment
from tailorbird.serving.access import Person
from tailorbird.store import Workspace

MAX_TEXT_CHARS = 700
N_SHOWN_SOURCES = 6


class PostList:
    """Posts with a way to correct each; one form is open at a time."""

    def __init__(self, workspace: Workspace, person: Person, words: dict[str, str]) -> None:
        self._workspace = workspace
        self._person = person
        self._words = words
        self._said = Said(words)
        self._posts: list[Found] = []
        self._topics: Sequence[str] = ()
        self._open = ""
        self._chosen: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether somebody is amid a correction, so that nothing should move."""
        return bool(self._open)

    def build(self, posts: Sequence[Found], topics: Sequence[str] = ()) -> None:
        """Put the list on the page; *topics* are offered where topics are corrected."""
        self._posts, self._topics = list(posts), topics
        self._list = ui.refreshable(self._show)
        self._said.build()
        with ui.element("datalist").props('id="tb-topics"'):
            for name in topics:
                text(name, tag="option")
        with ui.element("div"):
            self._list()

    def show(self, posts: Sequence[Found]) -> None:
        """Show other posts."""
        self._posts, self._open = list(posts), ""
        self._said.say("")
        self._list.refresh()

    def _show(self) -> None:
        if not self._posts:
            text(self._words["opinion_no_texts"], "tb-soft tb-quiet-line", tag="p")
            return
        with ui.element("ol").classes("tb-passages"):
            for found in self._posts:
                self._show_post(found)

    def _show_post(self, found: Found) -> None:
        words, post = self._words, found.post
        with ui.element("li").classes("tb-card tb-passage").props('data-testid="post"'):
            with ui.element("div").classes("tb-post-head"):
                sentiment(post.sentiment, words)
                text(f"{moment(post.time)} UTC", "tb-hint", tag="span")
                text(post.source, "tb-hint", tag="span")
                if is_address(post.url):
                    link_out(words["opinion_open_source"], post.url, "tb-small-link")
            if post.title:
                text(post.title, tag="strong")
            text(_cut(post.text), "tb-passage-text")
            with ui.element("div").classes("tb-tags"):
                for topic in sorted(post.topics, key=lambda one: -post.topics[one]):
                    text(topic, "tb-tag", tag="span")
                for mention in found.mentions:
                    with ui.element("span").classes("tb-tag tb-named-one"):
                        dot(mention.sentiment, words)
                        text(mention.entity, tag="span")
                self._show_foot(found)
            if self._open == post.id:
                self._show_form(found)

    def _show_foot(self, found: Found) -> None:
        words = self._words
        with ui.element("div").classes("tb-passage-foot tb-post-foot"):
            if found.copies:
                sources = ", ".join(dict.fromkeys(one.source for one in found.copies))
                text(words["opinion_told_by"].format(n=len(found.copies)), tag="span").props(
                    f'title="{_quoted(sources)}"'
                )
            if found.labels:
                who = ", ".join(dict.fromkeys(one.author for one in found.labels))
                text(words["opinion_by_person"].format(who=who), tag="span")
            if self._open != found.post.id:
                button(
                    words["opinion_correct"], partial(self._begin, found.post.id), "tb-small-link"
                )

    def _show_form(self, found: Found) -> None:
        words = self._words
        with ui.element("div").classes("tb-correction"):
            self._choice("", words["opinion_whole"], found.post.sentiment)
            for mention in found.mentions:
                self._choice(mention.entity, mention.entity, mention.sentiment)
            text(words["opinion_topics"], "tb-label")
            self._field = one_line(
                words["opinion_topics"],
                ", ".join(found.post.topics),
                limit=500,
                hint=words["opinion_topics_hint"],
            ).props('list="tb-topics" autocomplete="off"')
            with ui.element("div").classes("tb-form-foot"):
                button(words["opinion_save"], partial(self._save, found))
                button(words["opinion_cancel"], partial(self._begin, ""), "tb-second")

    def _choice(self, entity: str, name: str, now: str) -> None:
        """Three buttons for how the post speaks of *entity*; empty: on the whole."""
        words = self._words

        def choose(kind: str) -> None:
            self._chosen[entity] = kind
            row.refresh()

        @ui.refreshable
        def row() -> None:
            for kind in SENTIMENTS:
                is_it = self._chosen.get(entity, now) == kind
                one = button(words[f"opinion_{kind}"], partial(choose, kind), "tb-segment")
                one.props(f'aria-pressed="{str(is_it).lower()}"')

        with ui.element("div").classes("tb-correction-row"):
            text(name, "tb-bar-name", tag="span")
            group = ui.element("div").classes("tb-segments")
            with group.props(f'role="group" aria-label="{_quoted(name)}"'):
                row()

    def _begin(self, post_id: str) -> None:
        self._open, self._chosen = post_id, {}
        self._said.say("")
        self._list.refresh()

    async def _save(self, found: Found) -> None:
        topics = [one.strip()[:200] for one in self._field.value.replace("，", ",").split(",")]
        topics = [one for one in dict.fromkeys(topics) if one]
        was = (found.post.sentiment, list(found.post.topics))

        def keep() -> Found:
            tell = partial(correct, self._workspace, found.post.id, author=self._person.name)
            for entity, kind in self._chosen.items():
                tell(entity=entity, sentiment=kind)
            if topics != was[1]:
                tell(topics=topics)
            return read_post(self._workspace, found.post.id)

        new = await self._said.attempt(asyncio.to_thread(keep))
        if new is None:
            return
        self._posts = [new if one.post.id == found.post.id else one for one in self._posts]
        self._open = ""
        self._said.say(self._words["opinion_kept"])
        self._list.refresh()


def sentiment(kind: str, words: dict[str, str]) -> None:
    """How a text speaks, as a word on a colour."""
    name = kind if kind in SENTIMENTS else "unjudged"
    text(words[f"opinion_{name}"], "tb-said-kind", tag="span").props(f'data-kind="{name}"')


def dot(kind: str, words: dict[str, str]) -> None:
    """The same in small; its name is for those who cannot see it."""
    name = kind if kind in SENTIMENTS else "unjudged"
    one = ui.element("span").classes("tb-dot").props(f'data-kind="{name}" role="img"')
    one.props(f'aria-label="{words[f"opinion_{name}"]}"')


def is_address(url: str) -> bool:
    """Whether *url* is one that a link may lead to.

    >>> is_address("https://news.example/1"), is_address("javascript:alert(1)")
    (True, False)
    """
    try:
        return urlsplit(url).scheme in ("http", "https") and not set(url) & set('"\\')
    except ValueError:
        return False


def _cut(content: str) -> str:
    return content if len(content) <= MAX_TEXT_CHARS else content[: MAX_TEXT_CHARS - 1] + "…"


def _quoted(value: str) -> str:
    """*value* as part of a property in quotes."""
    return value.replace("\\", "").replace('"', "”")
