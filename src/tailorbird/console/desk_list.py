"""The lists at the desk: a line for each conversation, whoever waits longest first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from nicegui import ui

from tailorbird.assistants.service_desk.conversing.desk import Card
from tailorbird.console.drawing import text
from tailorbird.store.tables import utc_now
from tailorbird.text import shorten

LINE_CHARS = 90
Choose = Callable[[str], Awaitable[None]]


def show_group(
    name: str,
    cards: Sequence[Card],
    words: dict[str, str],
    *,
    chosen: str,
    new: Collection[str],
    choose: Choose,
) -> None:
    """The conversations of one kind; those in *new* draw the eye once."""
    with ui.element("section").classes("tb-group").props(f'data-testid="{name}"'):
        with ui.element("h2"):
            text(words[f"desk_{name}"], tag="span")
            text(str(len(cards)), "tb-count", tag="span").props(f'data-n="{len(cards)}"')
        if not cards:
            text(words[f"desk_no_{name}"], "tb-hint", tag="p")
        for card in cards:
            _line(card, words, chosen == card.conversation.id, new, choose)


def _line(
    card: Card, words: dict[str, str], is_chosen: bool, new: Collection[str], choose: Choose
) -> None:
    row = card.conversation
    line = ui.element("button").classes("tb-pane-line").props('type="button"')
    if is_chosen:
        line.props('aria-current="true"')
    if row.id in new:
        line.classes("tb-new")
    line.on("click", lambda: choose(row.id))
    with line:
        with ui.element("span").classes("tb-line-head"):
            text(row.user or words["desk_visitor"], "tb-line-name", tag="span")
            text(ago(row.updated, words), "tb-hint", tag="span")
        text(shorten(last_words(card), LINE_CHARS), "tb-line-text", tag="span")
        if row.reason:
            text(reason_in_words(row.reason, words), "tb-hint tb-line-why", tag="span")


def last_words(card: Card) -> str:
    """What the visitor said last, as far as the card goes back."""
    return next((turn.text for turn in reversed(card.turns) if turn.author == "visitor"), "…")


def reason_in_words(reason: str, words: dict[str, str]) -> str:
    """Why it was handed over, in the language of the page where that is known.

    >>> reason_in_words("unsure 2 times in a row", {"desk_why_unsure": "{n} 次没有把握"})
    '2 次没有把握'
    """
    if reason == "asked for":
        return words["desk_why_asked"]
    if reason.startswith("unsure ") and reason.endswith(" times in a row"):
        return words["desk_why_unsure"].format(n=reason.split()[1])
    if reason.startswith("rule "):
        return words["desk_why_rule"].format(rule=reason.removeprefix("rule "))
    return reason


def ago(time: datetime, words: dict[str, str]) -> str:
    """How long ago *time* was, in one unit.

    >>> ago(utc_now() - timedelta(minutes=3, seconds=5), {"ago_min": "{n} min"})
    '3 min'
    """
    minutes = (utc_now() - time) // timedelta(minutes=1)
    if minutes < 1:
        return words["ago_now"]
    for unit, length in (("d", 1440), ("h", 60), ("min", 1)):
        if minutes >= length:
            return words[f"ago_{unit}"].format(n=minutes // length)
    return words["ago_now"]
