"""``tailorbird fit`` and ``apply``: tasks other than an assistant's, from rows to scores."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt

Rows = Annotated[
    str, typer.Argument(help="File, folder (train, dev, test) or database URL.", metavar="ROWS")
]
TaskName = Annotated[
    str,
    typer.Option(
        "--task",
        help="single_label, binary, multi_label, regression, token_classification, pairs, "
        "retrieval, ranking, dialogue, joint, masked, or one of your own (see --plugin).",
    ),
]
Plugin = Annotated[str, typer.Option("--plugin", help="Python file with a task of your own.")]


def fit(
    rows: Rows,
    *,
    task: TaskName = "",
    plugin: Plugin = "",
    workspace: options.Workspace = None,
    run: options.RunName = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    backbone: options.Backbone = "",
    method: options.Method = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the latest run (or --run NAME).")
    ] = False,
    track: options.Track = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune a model on ROWS for any task, and score it on rows it has not seen.

    Example: tailorbird fit ner.jsonl --task token_classification
    """
    from tailorbird import api, fitting, planning, runs
    from tailorbird.config import load_settings

    display = Display(quiet=as_json)
    given = options.overrides(
        set_, task_name=task, task_plugin=plugin, model_backbone=backbone, method_name=method
    )
    settings = load_settings(config, overrides=given)
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        if resume:
            current = space.run(run)
            runs.check_source(current, rows)
            settings = runs.run_settings(current)
            display.say(f"resuming run {current.name} with its own settings")
        else:
            current = planning.new_run(rows, space, settings, run)
            display.say(f"run {current.name} in {space.path}")
        with closing(Audience(display)) as audience:
            audience.track(track, current)
            _, scores = fitting.fit(
                rows, space, settings, run=current, listener=audience, stop=stop
            )
        if scores is None:
            again = options.command("fit --resume", rows, workspace=workspace)
            SCREEN.print(f"stopped; go on with: {again}", markup=False)
            raise typer.Exit(130)
        if as_json:
            print_json(scores | {"model": str(current.path / "model")})
            return
        SCREEN.print(f"[bold green]✓[/] model: {escape(str(current.path / 'model'))}")
        use = options.command("apply ROWS --run", current.name, workspace=workspace)
        SCREEN.print(f"  use it with: {use}", markup=False)


def apply(
    rows: Rows,
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write JSONL there.", dir_okay=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="Only the first so many rows; 0: all.", min=0)] = 0,
) -> None:
    """Say what the model of a `fit` makes of each row of ROWS: one JSON object a line.

    Example: tailorbird apply new.jsonl --limit 5
    """
    from tailorbird import api, fitting
    from tailorbird.store import files

    with api.open_workspace(workspace) as space:
        said = fitting.apply(space.run(run), rows, limit=limit)
    lines = [json.dumps(row, ensure_ascii=False) for row in said]
    if out is None:
        for line in lines:
            print(line)
    else:
        files.write_atomically(out, "".join(f"{line}\n" for line in lines).encode("utf-8"))
        SCREEN.print(f"[bold green]✓[/] {len(lines):,} rows in {escape(str(out))}")
