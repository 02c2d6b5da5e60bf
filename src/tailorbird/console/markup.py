"""The pieces that pages with figures are made of, and how they write numbers and moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from nicegui import ui

from tailorbird.console.drawing import text


def bar(name: str, share: float, kind: str) -> None:
    """A *share* in [0, 1] as a bar with its *name* and number; *kind* is a class."""
    with ui.element("div").classes(f"tb-bar {kind}"):
        text(name, "tb-bar-name", tag="span")
        track(share)
        text(percent(share), "tb-number", tag="span")


def track(share: float) -> None:
    """The bar alone."""
    with ui.element("span").classes("tb-track"):
        ui.element("span").style(f"width: {100 * share:.1f}%")


def tile(name: str, figure: str, *notes: str) -> None:
    """One figure with what it is above, and what it means below; empty notes are left out."""
    with ui.element("div").classes("tb-card tb-tile"):
        text(name, "tb-tile-name", tag="h2")
        text(figure, "tb-figure")
        for note in filter(None, notes):
            text(note, "tb-hint")


def link(content: str, target: str, *classes: str) -> ui.element:
    """A link in the text; *target* is an address of this service."""
    return text(content, *(classes or ("tb-in-text",)), tag="a").props(f'href="{target}"')


class Table:
    """A table being filled, cell by cell; on a telephone each row is a block of its own."""

    def __init__(self, headings: Sequence[str]) -> None:
        self._headings = headings
        self._column = 0

    def row(self) -> ui.element:
        """A new row, to be filled from its first cell on."""
        self._column = 0
        return ui.element("tr")

    def cell(self, *classes: str) -> ui.element:
        """The next cell of the row, which knows the heading it stands under."""
        heading = self._headings[self._column]
        self._column += 1
        return ui.element("td").classes(" ".join(classes)).props(f'data-name="{heading}"')

    def write(self, content: str, *classes: str) -> None:
        """The next cell of the row, with a text in it."""
        with self.cell(*classes):
            text(content, tag="span")


@contextmanager
def table(headings: Sequence[str], *, label: str, kind: str = "tb-stacks") -> Iterator[Table]:
    """A table with its *headings*; the rows go inside. *kind* says what it does on a telephone:
    ``tb-stacks``, or ``tb-fits`` where rows must stay comparable."""
    with (
        ui.element("div").classes("tb-card tb-scroll"),
        ui.element("table").classes(f"tb-table {kind}").props(f'aria-label="{label}"'),
    ):
        with ui.element("thead"), ui.element("tr"):
            for heading in headings:
                text(heading, tag="th").props('scope="col"')
        with ui.element("tbody"):
            yield Table(headings)


def link_out(content: str, target: str, *classes: str) -> ui.element:
    """A link to a page that has no way back to the console: it opens in a tab of its own."""
    return link(content, target, *classes).props('target="_blank" rel="noopener"')


@contextmanager
def section(heading: str, note: str = "") -> Iterator[None]:
    """A part of a page under its *heading*."""
    with ui.element("section").classes("tb-section"):
        text(heading, tag="h2")
        if note:
            text(note, "tb-hint", tag="p")
        yield


def percent(share: float) -> str:
    """A share for people; never a 100 % that is not quite one.

    >>> percent(0.5), percent(0.9999), percent(0.0004)
    ('50 %', '99.9 %', '< 0.1 %')
    """
    if share < 0.001:
        return "< 0.1 %"
    if share > 0.99 or share < 0.01:
        return f"{min(100 * share, 99.9):.1f} %"
    return f"{100 * share:.0f} %"


def rate(share: float | None) -> str:
    """A share that was counted, so that all and nothing are possible; a dash for no share.

    >>> rate(1.0), rate(0.0), rate(0.9149), rate(None)
    ('100 %', '0 %', '91.5 %', '–')
    """
    return "–" if share is None else f"{100 * share:.1f}".removesuffix(".0") + " %"


def duration(seconds: float) -> str:
    """A stretch of time in at most two units.

    >>> duration(0.0042), duration(0.25), duration(61.2), duration(7200)
    ('4.2 ms', '250 ms', '1 min 1 s', '2 h 0 min')
    """
    if seconds < 0.01:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 1:
        return f"{minutes} min {rest} s"
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def moment(time: datetime) -> str:
    """A moment to the minute, in UTC.

    >>> moment(datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC))
    '2026-03-14 09:26'
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def between(begun: datetime, ended: datetime | None) -> str:
    """How long something took; a dash where it has no end.

    >>> between(datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 14, 0, 1, tzinfo=UTC))
    '1 min 0 s'
    """
    return "–" if ended is None else duration((ended - begun) / timedelta(seconds=1))
