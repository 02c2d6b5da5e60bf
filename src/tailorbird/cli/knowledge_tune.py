"""``tailorbird knowledge tune``: the search, tuned from the questions and answers of logs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Display, print_json

if TYPE_CHECKING:
    from tailorbird.knowledge.tuning import SearchGain


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
    reranker: Annotated[
        bool,
        typer.Option(
            "--reranker/--retriever",
            help="Tune what reads a question together with the passages found, or what finds them.",
        ),
    ] = False,
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune the search on questions of LOGS and the answers that were accepted for them.

    A tenth of the questions is held out; the model is kept only where it finds their answers better
    than what is there, by more than chance. The exit code is 1 where it does not. A reranker that
    wins is used by every search of the workspace from then on, a running service included.

    Example: tailorbird knowledge tune logs.jsonl --reranker
    """
    from tailorbird import api
    from tailorbird.config import load_settings
    from tailorbird.data import read
    from tailorbird.knowledge import kept_reranker, open_encoder
    from tailorbird.knowledge.reranking import tune_reranker
    from tailorbird.knowledge.tuning import accepted, tune_retriever
    from tailorbird.weights import resolve_backbone

    display = Display(quiet=as_json)
    settings = load_settings(config, overrides=options.overrides(set_))
    pairs = accepted(read(logs, settings.reading))
    display.say(f"{len(pairs):,} questions with an answer that was not thought bad")
    with api.open_workspace(workspace) as space:
        folder = out or space.path / "encoders" / ("reranker" if reranker else "tuned")
        source = resolve_backbone(backbone, cache=space.cache_path, say=display.say)
        if reranker:
            found = open_encoder(space, say=display.say).model
            gain = tune_reranker(
                pairs, source, folder, retriever=found, settings=settings, say=display.say
            )
            if gain.wins:
                kept_reranker.use_reranker(space, folder)
        else:
            gain = tune_retriever(
                pairs, source, folder, settings=settings, n_hard=n_hard, say=display.say
            )
    _tell(gain, folder, is_reranker=reranker, as_json=as_json)
    if not gain.wins:
        raise typer.Exit(1)


def _tell(gain: SearchGain, folder: Path, *, is_reranker: bool, as_json: bool) -> None:
    if as_json:
        model = str(folder) if gain.wins else ""
        print_json({**asdict(gain), "is_kept": gain.wins, "model": model})
    elif gain.wins:
        SCREEN.print(f"[bold green]✓[/] model: {escape(str(folder))}")
        use = f"use it with: tailorbird knowledge search … --encoder {folder}"
        off = "every search uses it now; without it again: tailorbird knowledge reranker none"
        SCREEN.print(f"  {off if is_reranker else use}", markup=False)


def reranker(
    folder: Annotated[
        str, typer.Argument(help="Folder of a tuned reranker, or none.", metavar="[FOLDER|none]")
    ] = "",
    *,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Show, choose or put aside what puts the passages found into order.

    Example: tailorbird knowledge reranker none
    """
    from tailorbird import api
    from tailorbird.knowledge import kept_reranker

    with api.open_workspace(workspace) as space:
        if folder:
            kept_reranker.use_reranker(space, None if folder == "none" else Path(folder))
        chosen = kept_reranker.chosen_reranker(space.path)
    if as_json:
        print_json({"reranker": str(chosen or "")})
    elif chosen is None:
        SCREEN.print("passages stay in the order of the search; no reranker is in use")
    else:
        SCREEN.print(f"passages are put into order by {escape(str(chosen))}")
