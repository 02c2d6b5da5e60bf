"""``tailorbird personalise`` and ``forget``: what each user gets, and taking it back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt

Rows = Annotated[
    str,
    typer.Argument(help="File, folder or database URL; rows with users and times.", metavar="ROWS"),
]


SETTLE_S = 1.5
"""A service that runs meanwhile writes down every second what it has answered."""


def personalise(
    rows: Rows,
    *,
    task: Annotated[
        str, typer.Option("--task", help="regression or single_label.")
    ] = "single_label",
    workspace: options.Workspace = None,
    run: options.RunName = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    text: options.TextColumn = "",
    label: options.LabelColumn = "",
    user: options.UserColumn = "",
    time: options.TimeColumn = "",
    backbone: options.Backbone = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the latest run (or --run NAME).")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Look at the test rows of the run once more.")
    ] = False,
    templates: Annotated[
        Path | None, typer.Option(help="Answers by intent, for the bundle.", exists=True)
    ] = None,
    publish: Annotated[bool, typer.Option(help="Make the bundle the live one.")] = True,
    track: options.Track = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune one shared assistant, then give each user what helps that user; serve them with it.

    Example: tailorbird personalise ratings.jsonl --task regression --user reader --time rated_at
    """
    from tailorbird import api, personalising, runs
    from tailorbird.config import load_settings

    display = Display(quiet=as_json)
    given = options.overrides(
        set_,
        task_name=task,
        model_backbone=backbone,
        reading_text=text,
        reading_label=label,
        reading_user=user,
        reading_time=time,
    )
    settings = load_settings(config, overrides=given)
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        if resume or again:
            current = space.run(run)
            runs.check_source(current, rows)
            settings = runs.run_settings(current)
        else:
            current = runs.start_run(rows, space, settings, run)
        display.say(f"run {current.name} in {space.path}")
        if not runs.done(current, "split"):
            display.stage("rows")
            personalising.start_from(rows, space, settings, run=current, say=display.say)
        with closing(Audience(display)) as audience:
            audience.track(track, current)
            done = personalising.go_on(
                current, space, settings, listener=audience, stop=stop, again=again
            )
        if done is None:
            resumed = options.command("personalise --resume", rows, workspace=workspace)
            SCREEN.print(f"stopped; go on with: {resumed}", markup=False)
            raise typer.Exit(130)
        kept = personalising.keep(
            done, space, say=display.say, templates=templates, go_live=publish
        )
    outcome, page = done.outcome, current.path / "personalise.html"
    if as_json:
        print_json(
            {
                "run": current.name,
                "loss": outcome.loss_name,
                "losses": outcome.losses,
                "accuracies": outcome.accuracies,
                "chosen": outcome.chosen,
                "worse_users_fraction": outcome.worse_fraction,
                "bundle": kept.bundle or None,
                "n_users_with_own": kept.n_users,
                "report": str(page),
            }
        )
        return
    table = Table("", outcome.loss_name, "users", title="on each user's latest rows")
    for name, loss in outcome.losses.items():
        table.add_row(name, f"{loss:.4f}", f"{outcome.chosen.get(name, len(outcome.users)):,}")
    SCREEN.print(table)
    following = "; next: tailorbird serve" if kept.bundle and publish else ""
    SCREEN.print(f"[bold green]✓[/] report: {escape(str(page))}{following}")


def forget(
    users: Annotated[list[str], typer.Argument(help="Ids of users.", metavar="USER...")],
    *,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove users: rows, adapters, cached states, and their words in reports.

    Example: tailorbird forget ada
    """
    from tailorbird import api, personalising
    from tailorbird.personalise import forgetting

    display = Display(quiet=as_json)
    found = []
    with api.open_workspace(workspace) as space:
        for user in users:
            one = forgetting.forget(space, user, settle_s=SETTLE_S, say=display.say)
            found.append({"user": user, **personalising.as_json(one)})
    if as_json:
        print_json({"users": found})
    if any(one["left"] for one in found):
        raise typer.Exit(1)
    if not as_json:
        SCREEN.print("[bold green]✓[/] nothing of theirs was found in the workspace")
        SCREEN.print(
            "  the shared assistant was tuned on their rows, too: without them it is another, "
            "from a new build",
            markup=False,
        )
