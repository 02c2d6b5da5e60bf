"""``tailorbird predict``: ask the live bundle from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tailorbird.cli import options
from tailorbird.cli.display import print_json
from tailorbird.cli.words import show_weights


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
            show_weights(why[number])
