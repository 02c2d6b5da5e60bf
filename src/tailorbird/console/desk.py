"""The agent desk: who waits, whom I answer, and one conversation at a time; always up to date."""

from __future__ import annotations

from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.assistants.service_desk.conversing.desk import Card
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.console.acting import on_enter, one_line
from tailorbird.console.conversation import ConversationPane
from tailorbird.console.desk_list import show_group
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.serving.access import LOCAL, Person

HEARTBEAT_S = 10.0
"""An agent who looks at the page is heard so often; see `presence.AWAY_AFTER_S`."""
ALWAYS = ("waiting", "ticket", "taken", "given_back", "closed", "presence", "missed")
"""Events that change the lists, whatever they are about."""
NAME_CHARS = 60


def add_desk_page(console: Console, service_desk: ServiceDesk | None) -> None:
    """Add ``/console/desk``; without a service desk it says so."""
    console.offer("desk", f"{PATH}/desk", place=20)

    @ui.page("/desk", response_timeout=RESPONSE_TIMEOUT_S)
    async def desk(request: Request, conversation: str = "") -> None:
        with frame(console, request, here="desk", is_wide=True) as words:
            if words is None:
                return
            if service_desk is None:
                empty_state(words["no_desk_title"], words["no_desk_text"])
                return
            page = DeskPage(service_desk, person_of(request), words)
            await page.build(conversation)
            await page.follow()


class DeskPage:
    """The page of one agent in one tab."""

    def __init__(self, service_desk: ServiceDesk, person: Person, words: dict[str, str]) -> None:
        self._person = person
        self._desk = service_desk.desk
        self._events = service_desk.books.events
        self._words = words
        self._waiting: list[Card] = []
        self._mine: list[Card] = []
        self._seen: set[str] | None = None
        """Who has been seen waiting; None before the first look, which is no news."""
        self._new: set[str] = set()
        self._pane = ConversationPane(service_desk, words, self._name, person)

    async def build(self, chosen: str) -> None:
        """Put everything on the page, with the conversation *chosen*."""
        words = self._words
        self._lists = ui.refreshable(self._show_lists)
        self._others = ui.refreshable(self._show_others)
        with ui.element("div").classes("tb-page-head"):
            text(words["desk_heading"], tag="h1")
            with ui.element("div").classes("tb-present"):
                self._show_name()
                self._others()
        await self._read()
        with ui.element("div").classes("tb-panes") as self._panes:
            with (
                ui.element("nav")
                .classes("tb-pane-list")
                .props(f'aria-label="{words["desk_conversations"]}"')
            ):
                self._lists()
            with ui.element("section").classes("tb-card tb-pane"):
                self._pane.build(self._leave)
        if chosen:
            await self._choose(chosen)

    async def follow(self) -> None:
        """Be at the desk, and show what happens, for as long as the page is open."""
        client = ui.context.client
        await client.connected()
        ui.timer(HEARTBEAT_S, self._beat)
        with self._events.subscribe() as news:
            client.on_delete(news.close)
            while not news.is_closed:
                happened = [await news.get()]
                while (more := await news.get(0)) is not None:  # one look for all that came at once
                    happened.append(more)
                if not news.is_closed and any(map(self._concerns, happened)):
                    await self._refresh()

    def _concerns(self, event: DeskEvent | None) -> bool:
        if event is None or event.kind == "draft":
            return False
        is_chosen = event.conversation == self._pane.chosen
        return is_chosen or event.kind in ALWAYS or event.status in ("waiting", "ticket", "agent")

    async def _beat(self) -> None:
        await self._desk.heartbeat(self._name())
        self._lists.refresh()  # for the minutes that people have waited

    async def _refresh(self) -> None:
        await self._read()
        self._lists.refresh()
        self._others.refresh()
        await self._pane.load(self._pane.chosen)

    async def _read(self) -> None:
        self._waiting = await self._desk.waiting()
        self._mine = await self._desk.mine(self._name())
        ids = {card.conversation.id for card in self._waiting}
        self._new = ids - self._seen if self._seen is not None else set()
        self._seen = ids | (self._seen or set())
        count = f"({len(ids)}) " if ids else ""
        ui.page_title(f"{count}{self._words['desk']} · {self._words['name']}")

    async def _choose(self, conversation_id: str) -> None:
        self._panes.props('data-open="yes"')
        ui.navigate.history.replace(f"{PATH}/desk?conversation={conversation_id}")
        await self._pane.load(conversation_id)
        self._lists.refresh()

    async def _leave(self) -> None:
        """Back to the lists, which a telephone shows alone."""
        self._panes.props(remove="data-open")
        ui.navigate.history.replace(f"{PATH}/desk")
        await self._pane.load("")
        self._lists.refresh()

    def _show_lists(self) -> None:
        """Waiting, mine and tickets, each with its number."""
        groups = {
            "waiting": [card for card in self._waiting if card.conversation.status == "waiting"],
            "mine": self._mine,
            "tickets": [card for card in self._waiting if card.conversation.status == "ticket"],
        }
        for name, cards in groups.items():
            show_group(
                name,
                cards,
                self._words,
                chosen=self._pane.chosen,
                new=self._new,
                choose=self._choose,
            )
        self._new = set()  # once is enough

    def _show_name(self) -> None:
        """Who I am here: where nobody has a key, each gives a name."""
        words = self._words
        text(words["desk_as"], "tb-soft", tag="span")
        if self._person != LOCAL:
            text(self._name(), tag="strong")
            return
        field = one_line(words["desk_name"], self._name(), limit=NAME_CHARS)
        field.classes("tb-name-field").props(f'title="{words["desk_name"]}"')

        async def rename() -> None:
            name = " ".join((field.value or "").split())[:NAME_CHARS]
            if name == self._name():
                return
            self._desk.leave(self._name())
            nicegui_app.storage.user["desk_name"] = name
            field.value = self._name()
            await self._desk.heartbeat(self._name())
            await self._refresh()

        field.on("blur", rename)
        on_enter(field, rename)

    def _show_others(self) -> None:
        others = [name for name in self._desk.presence.agents if name != self._name()]
        if others:
            text(self._words["desk_others"].format(names=", ".join(others)), "tb-soft", tag="span")

    def _name(self) -> str:
        """The name of the person; where nobody has a key, the one they gave themselves."""
        given = nicegui_app.storage.user.get("desk_name") if self._person == LOCAL else ""
        return str(given or self._person.name)
