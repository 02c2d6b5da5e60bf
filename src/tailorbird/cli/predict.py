"""``tailorbird predict``: ask the live bundle from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tailorbird.cli import options
from tailorbird.cli.display import print_json


def predict(
    texts: Annotated[list[str], typer.Argument(help="Texts to answer.", metavar="TEXT...")],
    *,
    workspace: options.Workspace = None,
    bundle: Annotated[str, typer.Option(help="Bundle id.", show_default="the live one")] = "",
    as_json: options.AsJson = False,
) -> None:
    """Intent, confidence and answer for each TEXT.

    Example: tailorbird predict "我的包裹怎么还没到？" "I want my money back"
    """
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        asked = api.current_bundle(space, bundle)
        predictions = asked.predict(texts)
    if as_json:
        print_json({"predictions": [asdict(p) for p in predictions], "bundle": asked.id})
        return
    for text, prediction in zip(texts, predictions, strict=True):
        doubt = "" if prediction.in_scope else "  (out of scope)"
        print(f"{text}\n  {prediction.intent}  {prediction.confidence:.0%}{doubt}")
        if prediction.answer:
            print(f"  {prediction.answer}")
