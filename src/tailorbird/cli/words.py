"""Words in colours: which speak for an intent, and how much; and what is like them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

N_WORDS = 5
FAINT, STRONG = 0.1, 0.5
"""Of the largest weight: below the first a word is not coloured, from the second on it is bold."""
WIDTH = 80


def show_weights(why: Mapping[str, Any], *, about: str = "why") -> None:
    """The text with its words in green (for the intent) and red (against it), and the numbers."""
    from rich.console import Console
    from rich.text import Text

    text, largest = Text(why["text"]), max((abs(w["weight"]) for w in why["words"]), default=0)
    for word in why["words"]:
        share = word["weight"] / largest if largest else 0
        if abs(share) >= FAINT:
            colour = "green" if share > 0 else "red"
            strength = "bold " if abs(share) >= STRONG else ""
            text.stylize(f"{strength}{colour}", word["start"], word["end"])
    by_weight = sorted(why["words"], key=lambda word: -abs(word["weight"]))[:N_WORDS]
    numbers = "   ".join(f"{word['text']} {word['weight']:+.2f}" for word in by_weight)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"  {about}: ") + text)
    console.print(f"  {numbers}", markup=False)


def show_nearest(rows: Sequence[Any]) -> None:
    """Training examples, a line each: how near, the intent, the text."""
    from rich.console import Console

    from tailorbird.text import shorten

    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        shown = shorten(row.text, WIDTH)
        console.print(f"  {row.similarity:.2f}  {row.label}  {shown}", markup=False)
