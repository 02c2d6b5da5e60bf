"""``tailorbird knowledge tune``: the search, tuned from the questions and answers of logs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Display, print_json


def tune(
    logs: options.Logs,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the model.", file_okay=False),
    ] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", help="What to tune: e5, minilm, a folder or a hub name.")
    ] = "e5",
    n_hard: Annotated[
        int, typer.Option("--hard", help="Hard negatives a question, found by BM25.", min=0, max=8)
    ] = 1,
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune the search on questions of LOGS and the answers that were accepted for them.

    A tenth of the questions is held out; the model is kept only where it finds their answers better
    than the untuned one, by more than chance. The exit code is 1 where it does not.

    Example: tailorbird knowledge tune logs.jsonl
    """
    from tailorbird import api
    from tailorbird.config import load_settings
    from tailorbird.data import read
    from tailorbird.knowledge.tuning import accepted, tune_retriever
    from tailorbird.weights import resolve_backbone

    display = Display(quiet=as_json)
    settings = load_settings(config, overrides=options.overrides(set_))
    pairs = accepted(read(logs, settings.reading))
    display.say(f"{len(pairs):,} questions with an answer that was not thought bad")
    with api.open_workspace(workspace) as space:
        folder = out or space.path / "encoders" / "tuned"
        source = resolve_backbone(backbone, cache=space.cache_path, say=display.say)
        gain = tune_retriever(
            pairs, source, folder, settings=settings, n_hard=n_hard, say=display.say
        )
    if as_json:
        print_json(
            {**asdict(gain), "is_kept": gain.wins, "model": str(folder) if gain.wins else ""}
        )
    elif gain.wins:
        SCREEN.print(f"[bold green]✓[/] model: {escape(str(folder))}")
        SCREEN.print(
            f"  use it with: tailorbird knowledge search … --encoder {folder}", markup=False
        )
    if not gain.wins:
        raise typer.Exit(1)
