"""One conversation at the desk: its history, what may help to answer, and the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.assistants.service_desk.conversing.attributing import Attributed
from tailorbird.assistants.service_desk.conversing.desk import Card
from tailorbird.console.acting import Said, button, many_lines, on_enter, problem_said
from tailorbird.console.attribution import show_reasons, show_waiting
from tailorbird.console.desk_list import reason_in_words
from tailorbird.console.drawing import svg, text
from tailorbird.console.frame import LEAF
from tailorbird.console.markup import bar, moment
from tailorbird.errors import ConflictError, NotFoundError, TailorbirdError
from tailorbird.serving.access import Person
from tailorbird.store.tables import TurnRow
from tailorbird.text import shorten

SEND = '<path d="M5 12h13M12 5l7 7-7 7"/>'
MAX_ANSWER_CHARS = 8000
CHIP_CHARS = 140
SCROLL = (
    "requestAnimationFrame(() => {const t = document.querySelector('.tb-turns');"
    "if (t) t.scrollTop = t.scrollHeight;})"
)
FOCUS = "setTimeout(() => document.querySelector('.tb-reply textarea')?.focus(), 60)"
NO_CTRL = "!(event.ctrlKey || event.metaKey)"


class ConversationPane:
    """Shows the conversation that is `chosen`, and lets an agent answer in it."""

    def __init__(
        self,
        service_desk: ServiceDesk,
        words: dict[str, str],
        name: Callable[[], str],
        person: Person,
    ) -> None:
        self._desk = service_desk.desk
        self._drafts = service_desk.drafts
        self._attributions = service_desk.attributions
        self._words = words
        self._name = name
        self._person = person
        self._said = Said(words)
        self._card: Card | None = None
        self._drafted: set[str] = set()
        """Turns that a draft was made of in this tab."""
        self._is_busy = False
        self._asked_why = ""
        """The decision whose words are shown, or being computed."""
        self._why: Attributed | None = None
        self.chosen = ""
        """The id of what is shown; empty: nothing."""

    def build(self, leave: Callable[[], Awaitable[None]]) -> None:
        """Put it on the page; *leave* goes back to the lists."""
        self._back = leave
        self._top = ui.refreshable(self._show_top)
        self._turns = ui.refreshable(self._show_turns)
        self._help = ui.refreshable(self._show_help)
        self._top()
        self._turns()
        self._said.build()
        self._help()
        self._reply = ui.element("div").classes("tb-reply")
        with self._reply:
            hint = self._words["desk_answer_hint"]
            self._field = many_lines(
                self._words["desk_answer"], limit=MAX_ANSWER_CHARS, hint=self._words["desk_answer"]
            )
            on_enter(self._field, self._answer, unless=NO_CTRL)
            with ui.element("div").classes("tb-ask-foot"):
                text(hint, "tb-hint", tag="span")
                with (
                    ui.element("button")
                    .classes("tb-primary")
                    .props('type="button"')
                    .on("click", self._answer)
                ):
                    text(self._words["desk_send"], tag="span")
                    svg(SEND)
        self._reply.set_visibility(False)

    async def load(self, conversation_id: str) -> None:
        """Show that conversation as it is now; empty: none."""
        is_other = conversation_id != self.chosen
        self.chosen = conversation_id
        try:
            card = await self._desk.card(conversation_id) if conversation_id else None
        except NotFoundError:
            card = None
        if is_other:
            self._field.value = ""
            self._said.say("")
        elif card is not None and self._card is not None and _is_same(card, self._card):
            return
        self._card = card
        self._redraw()

    def _redraw(self) -> None:
        self._reply.set_visibility(self._is_mine)
        for part in (self._top, self._turns, self._help):
            part.refresh()
        ui.run_javascript(SCROLL)

    @property
    def _is_mine(self) -> bool:
        row = self._card.conversation if self._card else None
        return row is not None and row.status == "agent" and row.agent == self._name()

    def _show_top(self) -> None:
        words, card = self._words, self._card
        if card is None:
            with ui.element("div").classes("tb-nothing tb-pane-nothing"):
                ui.html(LEAF, sanitize=False, tag="span").classes("tb-logo")
                text(words["desk_gone" if self.chosen else "desk_choose"], tag="span")
            return
        row = card.conversation
        with ui.element("header").classes("tb-pane-head"):
            with ui.element("div"):
                button(f"← {words['desk_back']}", self._back, "tb-back tb-only-narrow")
                text(row.user or words["desk_visitor"], tag="h2").props('data-testid="visitor"')
                status = words[f"desk_status_{row.status}"].format(agent=row.agent or "")
                text(f"{row.id[:8]} · {row.channel} · {status}", "tb-hint")
            with ui.element("div").classes("tb-pane-actions"):
                self._show_actions()
        with ui.element("div").classes("tb-pane-facts"):
            if row.reason:
                with ui.element("div"):
                    text(words["desk_why"], "tb-label")
                    reason = reason_in_words(row.reason, words)
                    text(reason, tag="p").props('data-testid="reason"')
            if card.intent:
                with ui.element("div"):
                    text(words["desk_intent"], "tb-label")
                    bar(card.intent, card.confidence, "tb-bar-small")
                    if card.decision and self._asked_why != card.decision:
                        button(words["desk_words"], self._ask_why, "tb-small-link")
        if card.decision and self._asked_why == card.decision:
            self._show_why()

    async def _ask_why(self) -> None:
        """Show which words made the last message its intent."""
        decision = self._card.decision if self._card else ""
        self._asked_why, self._why = decision, None
        self._top.refresh()
        found = await self._said.attempt(self._attributions.of(decision))
        if self._asked_why == decision:
            self._why = found
            self._asked_why = decision if found else ""
            self._top.refresh()

    def _show_why(self) -> None:
        words, found = self._words, self._why
        if found is None:
            show_waiting(words)
            return
        show_reasons(found.reasons, words)
        notes = []
        if found.read.is_with_earlier:
            notes.append("with" if found.read.is_whole else "part")
        if not found.is_same_bundle:
            notes.append("bundle")
        if found.decision.adapter:
            notes.append("adapter")
        for note in notes:
            text(words[f"desk_words_{note}"], "tb-hint", tag="p")

    def _show_actions(self) -> None:
        words, card = self._words, self._card
        assert card is not None
        row = card.conversation
        if self._is_mine:
            button(words["desk_give_back"], self._give_back, "tb-second")
            button(words["desk_close"], self._close, "tb-second")
        elif row.status == "agent" and self._person.may("admin"):
            name = words["desk_take_over"].format(agent=row.agent or "")
            button(name, self._take_by_force, "tb-second")
        elif row.status in ("waiting", "ticket", "assistant"):
            button(words["desk_take"], self.take)
            if row.status != "assistant":
                button(words["desk_close"], self._close, "tb-second")

    def _show_turns(self) -> None:
        if self._card is None:
            return
        turns = self._card.turns
        with (
            ui.element("ol")
            .classes("tb-turns")
            .props(f'tabindex="0" aria-label="{self._words["desk_history"]}"')
        ):
            for k, turn in enumerate(turns):
                is_last_line = k + 1 == len(turns) or turns[k + 1].author != "agent"
                self._show_turn(turn, is_last_line=is_last_line)

    def _show_turn(self, turn: TurnRow, *, is_last_line: bool) -> None:
        words = self._words
        with ui.element("li").classes("tb-turn").props(f'data-author="{turn.author}"'):
            text(f"{words[f'desk_by_{turn.author}']} · {moment(turn.time)[11:]}", "tb-hint")
            text(turn.text, "tb-turn-text")
            if turn.author != "agent" or not is_last_line:
                return
            if turn.id in self._drafted:
                text(f"✓ {words['desk_drafted']}", "tb-hint")
            else:
                button(words["desk_draft"], lambda: self._draft(turn), "tb-small-link")

    def _show_help(self) -> None:
        """Replies to choose from, and what the assistant found."""
        words, card = self._words, self._card
        if card is None:
            return
        if card.sources:
            with ui.element("details").classes("tb-sources"):
                text(f"{words['desk_sources']} ({len(card.sources)})", tag="summary")
                with ui.element("ul"):
                    for found in card.sources:
                        with ui.element("li"):
                            text(found.text, tag="p")
                            text(found.source, "tb-hint")
        if self._is_mine and card.suggestions:
            with ui.element("div").classes("tb-suggested"):
                text(words["desk_suggestions"], "tb-hint", tag="span")
                with ui.element("div").classes("tb-chip-row"):
                    for one in card.suggestions:
                        button(shorten(one, CHIP_CHARS), partial(self._put, one), "tb-chip")

    def _put(self, suggestion: str) -> None:
        self._field.value = suggestion
        ui.run_javascript(FOCUS)

    async def take(self) -> None:
        """Take it; whoever was faster is named."""
        await self._took(force=False)

    async def _take_by_force(self) -> None:
        await self._took(force=True)

    async def _took(self, *, force: bool) -> None:
        try:
            await self._desk.take(self.chosen, self._name(), force=force)
        except ConflictError as error:
            await self.load(self.chosen)
            row = self._card.conversation if self._card else None
            first = row.agent if row is not None and row.status == "agent" else ""
            said = (
                self._words["desk_first"].format(agent=first)
                if first
                else problem_said(error, self._words)
            )
            self._said.say(said, is_problem=True)
        except TailorbirdError as error:
            self._said.complain(error)
        else:
            await self.load(self.chosen)
            ui.run_javascript(FOCUS)

    async def _answer(self) -> None:
        answer = (self._field.value or "").strip()
        if not answer or self._is_busy:
            return
        self._is_busy = True
        try:
            done = self._desk.answer(self.chosen, self._name(), answer)
            if await self._said.attempt(done) is not None:
                self._field.value = ""
                await self.load(self.chosen)
                ui.run_javascript(FOCUS)
        finally:
            self._is_busy = False

    async def _give_back(self) -> None:
        if await self._said.attempt(self._desk.give_back(self.chosen, self._name())):
            await self.load(self.chosen)

    async def _close(self) -> None:
        if await self._said.attempt(self._desk.close(self.chosen, self._name())):
            await self.load(self.chosen)

    async def _draft(self, turn: TurnRow) -> None:
        made = self._drafts.make(turn.conversation_id, self._name(), turn.number)
        if await self._said.attempt(made) is not None:
            self._drafted.add(turn.id)
            self._turns.refresh()
            ui.run_javascript(SCROLL)
            self._said.say(self._words["desk_draft_made"])


def _is_same(one: Card, other: Card) -> bool:
    """Whether nothing has to be drawn anew."""
    rows = one.conversation, other.conversation
    facts = [(row.id, row.status, row.agent, row.reason) for row in rows]
    is_as_before = len(one.turns) == len(other.turns) and one.decision == other.decision
    return facts[0] == facts[1] and is_as_before
