"""``tailorbird knowledge tune-replies``: what chooses among an intent's templates, tuned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Display, print_json


def tune_replies(
    *,
    backbone: Annotated[
        str, typer.Option("--backbone", help="What to tune: e5, minilm, a folder or a hub name.")
    ] = "e5",
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune what chooses among the templates of an intent, on the replies that people accepted.

    Read are thumbs, corrections and drafts of the workspace. A fifth of the questions is held out;
    the model is kept, and used from then on, only where it foretells their votes better than the
    votes alone do, by more than chance. The exit code is 1 where it does not.

    Example: tailorbird knowledge tune-replies --workspace shop
    """
    from tailorbird import api
    from tailorbird.assistants.service_desk.answering.accept_tuning import tune_acceptance
    from tailorbird.assistants.service_desk.answering.acceptance import folder_of
    from tailorbird.assistants.service_desk.answering.judged import judged_replies
    from tailorbird.config import load_settings
    from tailorbird.weights import resolve_backbone

    display = Display(quiet=as_json)
    settings = load_settings(config, overrides=options.overrides(set_))
    with api.open_workspace(workspace) as space:
        rows = judged_replies(space)
        n_votes = sum(bool(row.variant) for row in rows)
        display.say(f"{len(rows):,} judged replies, {n_votes:,} of them votes on templates")
        source = resolve_backbone(backbone, cache=space.cache_path, say=display.say)
        folder = folder_of(space)
        gain = tune_acceptance(rows, source, folder, settings=settings, say=display.say)
    if as_json:
        model = str(folder) if gain.wins else ""
        print_json({**asdict(gain), "is_kept": gain.wins, "model": model})
    elif gain.wins:
        intents = ", ".join(gain.intents)
        SCREEN.print(f"[bold green]✓[/] chooses from now on for: {escape(intents)}")
    if not gain.wins:
        raise typer.Exit(1)
