"""``tailorbird predict``: ask the live bundle from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tailorbird.cli import options
from tailorbird.cli.display import print_json

N_WORDS = 5
FAINT, STRONG = 0.1, 0.5
"""Of the largest weight: below the first a word is not coloured, from the second on it is bold."""


def predict(
    texts: Annotated[list[str], typer.Argument(help="Texts to answer.", metavar="TEXT...")],
    *,
    workspace: options.Workspace = None,
    bundle: Annotated[str, typer.Option(help="Bundle id.", show_default="the live one")] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which words speak for the intent, and how much.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Intent, confidence and answer for each TEXT.

    Example: tailorbird predict "我的包裹怎么还没到？" "I want my money back"
    """
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        asked = api.current_bundle(space, bundle)
        predictions = asked.predict(texts)
        why = [api.explain(asked, text) for text in texts] if explain else []
    if as_json:
        found = {"predictions": [asdict(p) for p in predictions], "bundle": asked.id}
        print_json(found | ({"explanations": why} if explain else {}))
        return
    for number, (text, prediction) in enumerate(zip(texts, predictions, strict=True)):
        doubt = "" if prediction.in_scope else "  (out of scope)"
        print(f"{text}\n  {prediction.intent}  {prediction.confidence:.0%}{doubt}")
        if prediction.answer:
            print(f"  {prediction.answer}")
        if explain:
            _show(why[number])


def _show(why: dict[str, Any]) -> None:
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
    console.print(Text("  why: ") + text)
    console.print(f"  {numbers}", markup=False)
