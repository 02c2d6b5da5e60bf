"""What somebody did, and what they would be shown, as the page about recommendation has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from nicegui import ui

from tailorbird.assistants.recommend import Event, Listing, Shelf, sentence_of
from tailorbird.console.acting import button
from tailorbird.console.drawing import text
from tailorbird.console.markup import moment, percent, section
from tailorbird.console.words import Language

N_HISTORY = 30
N_TAGS = 4


def show_history(
    events: Sequence[Event],
    imagined: Sequence[Event],
    *,
    words: dict[str, str],
    title: Callable[[str], str],
    take_back: Callable[[], Awaitable[None]],
) -> None:
    """The latest events, above them those that are only imagined."""
    note = words["recommend_history_note"].format(n=len(events)) if events else ""
    with section(words["recommend_history"], note):
        if not events and not imagined:
            text(words["recommend_no_history"], "tb-soft tb-quiet-line", tag="p")
            return
        with ui.element("ol").classes("tb-did"):
            for event in reversed(imagined):
                _show_event(event, words, title, is_imagined=True)
            for event in reversed(events[-N_HISTORY:]):
                _show_event(event, words, title)
        if imagined:
            button(words["recommend_forget"], take_back, "tb-small-link")


def _show_event(
    event: Event,
    words: dict[str, str],
    title: Callable[[str], str],
    *,
    is_imagined: bool = False,
) -> None:
    with ui.element("li").props('data-testid="did"') as line:
        kind = words.get(f"recommend_kind_{event.kind}", event.kind)
        text(kind, "tb-did-kind", tag="span").props(f'data-kind="{event.kind}"')
        text(title(event.item), "tb-did-item", tag="span")
        stars = f" · {event.value:g} ★" if event.value is not None else ""
        when = words["recommend_imagined"] if is_imagined else moment(event.time)
        text(f"{when}{stars}", "tb-hint", tag="span")
    if is_imagined:
        line.props('data-imagined="yes"')


def show_list(
    listing: Listing,
    shelf: Shelf,
    *,
    words: dict[str, str],
    language: Language,
    take: Callable[[str], Awaitable[None]],
) -> None:
    """The list, each item with its reason."""
    note = words["recommend_model"].format(model=listing.model)
    if listing.is_nightly:
        note = words["recommend_nightly"].format(time=moment(listing.made))
    with section(words["recommend_list"], note):
        if not listing.choices:
            text(words["recommend_nothing"], "tb-soft", tag="p")
        with ui.element("ol").classes("tb-offers"):
            for place, choice in enumerate(listing.choices, 1):
                item = choice.scored.item
                with ui.element("li").classes("tb-card tb-offer").props('data-testid="offer"'):
                    text(str(place), "tb-offer-place", tag="span")
                    text(shelf.title(item), "tb-offer-title", tag="span")
                    if choice.is_explored:
                        share = percent(choice.propensity)
                        drawn = words["recommend_drawn"].format(share=share)
                        badge = text(drawn, "tb-drawn", tag="span")
                        badge.props(f'title="{words["recommend_drawn_hint"]}"')
                    else:
                        ui.element("span")
                    reason = choice.scored.reason
                    why = sentence_of(reason, language, title=shelf.title)
                    text(why, "tb-offer-why", tag="span")
                    _show_facts(item, shelf, words, partial(take, item))


def _show_facts(
    item: str, shelf: Shelf, words: dict[str, str], take: Callable[[], Awaitable[None]]
) -> None:
    known = shelf.items.get(item)
    with ui.element("div").classes("tb-offer-foot"):
        for tag in known.tags[:N_TAGS] if known else ():
            text(tag, "tb-tag", tag="span")
        price = known.features.get("price") if known else None
        if isinstance(price, int | float):
            text(f"{words['recommend_price']} {price:g}", tag="span")
        button(words["recommend_take"], take, "tb-small-link")
