"""The words behind an intent, coloured by what they add to it, and what it was taught like them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nicegui import ui

from tailorbird.console.drawing import text
from tailorbird.text import shorten

if TYPE_CHECKING:
    from tailorbird.evaluation.explaining import Explanation, WordWeight
    from tailorbird.evaluation.neighbours import Neighbour
    from tailorbird.serving.explainer import Reasons

FAINT = 0.03
"""Of the largest weight: below it a word is not coloured."""
N_NUMBERS = 6
NEAR_CHARS = 160
COMMANDS = {"extra": "pip install 'tailorbird[explain]'"}


def show_reasons(reasons: Reasons, words: dict[str, str]) -> None:
    """Coloured words with their legend, or why there are none; then the nearest examples."""
    with ui.element("div").classes("tb-reasons").props('data-testid="reasons"'):
        if reasons.words is not None:
            _show_words(reasons.words, words)
        elif reasons.problem:
            text(words["reasons_title"], "tb-label")
            text(words[f"reasons_no_{reasons.problem}"], "tb-soft", tag="p")
            if reasons.problem in COMMANDS:
                text(COMMANDS[reasons.problem], "tb-command", tag="code")
        if reasons.nearest:
            _show_nearest(reasons.nearest, words)


def show_waiting(words: dict[str, str]) -> None:
    """While it is being computed."""
    with ui.element("div").classes("tb-reasons").props('data-testid="reasons" aria-busy="true"'):
        text(words["reasons_title"], "tb-label")
        text(words["reasons_waiting"], "tb-soft", tag="p")


def _show_words(found: Explanation, words: dict[str, str]) -> None:
    text(words["reasons_for"].format(intent=found.label), "tb-label")
    if not found.words:
        text(words["reasons_no_words"], "tb-soft", tag="p")
        return
    largest = max(abs(word.weight) for word in found.words)
    with ui.element("p").classes("tb-weighed").props('data-testid="weighed"'):
        for piece, word in pieces(found):
            if word is None:
                ui.html(piece, sanitize=_escape, tag="span")
            else:
                _show_word(word, largest, words)
    _show_legend(largest, words)
    by_weight = sorted(found.words, key=lambda word: -abs(word.weight))[:N_NUMBERS]
    with ui.element("ul").classes("tb-weights").props(f'aria-label="{words["reasons_numbers"]}"'):
        for word in by_weight:
            kind = "tb-for" if word.weight > 0 else "tb-against"
            with ui.element("li").classes(kind):
                text(shorten(word.text, 40), tag="span")
                text(signed(word.weight), "tb-number", tag="span")
    text(words["reasons_note"], "tb-hint", tag="p")


def _show_word(word: WordWeight, largest: float, words: dict[str, str]) -> None:
    share = abs(word.weight) / largest if largest else 0.0
    number = words["reasons_number"].format(weight=signed(word.weight))
    made = ui.html(word.text, sanitize=_escape, tag="span").classes("tb-word")
    made.props(f'title="{number}" tabindex="-1"')
    if share >= FAINT:
        made.classes("tb-for" if word.weight > 0 else "tb-against").style(f"--share: {share:.3f}")


def _show_legend(largest: float, words: dict[str, str]) -> None:
    """The scale of colours, from the strongest against to the strongest for."""
    with ui.element("div").classes("tb-legend").props('data-testid="legend"'):
        text(f"{words['reasons_against']} {signed(-largest)}", tag="span")
        ui.element("span").classes("tb-scale").props('aria-hidden="true"')
        text(f"{signed(largest)} {words['reasons_speaks']}", tag="span")


def _show_nearest(rows: tuple[Neighbour, ...], words: dict[str, str]) -> None:
    text(words["reasons_nearest"], "tb-label")
    with ui.element("ul").classes("tb-nearest").props('data-testid="nearest"'):
        for row in rows:
            with ui.element("li"):
                text(shorten(row.text, NEAR_CHARS), "tb-near-text", tag="span")
                text(row.label, "tb-tag", tag="span")
                text(f"{row.similarity:.2f}", "tb-number", tag="span")


def pieces(found: Explanation) -> Iterator[tuple[str, WordWeight | None]]:
    """The text from its begin to its end: each word with its weight, and what is between them."""
    at = 0
    for word in found.words:
        if word.start > at:
            yield found.text[at : word.start], None
        yield word.text, word
        at = word.end
    if at < len(found.text):
        yield found.text[at:], None


def signed(weight: float) -> str:
    """A weight with its sign, as people write it.

    >>> signed(3.214), signed(-0.08)
    ('+3.21', '−0.08')
    """
    return f"{weight:+.2f}".replace("-", "−")


def _escape(content: str) -> str:
    return content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
