"""``tailorbird build``: from logs to a live bundle."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt


def build(
    logs: options.Logs,
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    text: options.TextColumn = "",
    label: options.LabelColumn = "",
    user: options.UserColumn = "",
    time: options.TimeColumn = "",
    reply: options.ReplyColumn = "",
    roles: options.Roles = "",
    table: options.Table = "",
    labels: options.LabelsFile = "",
    rules: options.RulesFile = "",
    split: options.SplitBy = "",
    backbone: options.Backbone = "",
    method: options.Method = "",
    freeze: options.Freeze = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the latest run (or --run NAME).")
    ] = False,
    track: options.Track = None,
    as_json: options.AsJson = False,
) -> None:
    """Read, clean, split, tune, evaluate and bundle LOGS; the new bundle goes live.

    Example: tailorbird build examples/logs/shop.jsonl
    """
    from tailorbird import api, planning, runs
    from tailorbird.config import load_settings

    display = Display(quiet=as_json)
    settings = load_settings(
        config,
        overrides=options.overrides(
            set_,
            reading_text=text,
            reading_label=label,
            reading_user=user,
            reading_time=time,
            reading_reply=reply,
            reading_roles=roles,
            reading_table=table,
            labelling_labels=labels,
            labelling_rules=rules,
            split_by=split,
            model_backbone=backbone,
            method_name=method,
            model_freeze_layers=freeze,
        ),
    )
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        if resume:
            current = space.run(run)
            runs.check_source(current, logs)
            settings = runs.run_settings(current)
            display.say(f"resuming run {current.name} with its own settings")
        else:
            current = planning.new_run(logs, space, settings, run)
            display.say(f"run {current.name} in {space.path}")
        with closing(Audience(display)) as audience:
            audience.track(track, current)
            bundle = api.build(logs, space, settings, run=current, listener=audience, stop=stop)
        if bundle is None:
            again = options.command("build --resume", logs, workspace=workspace)
            SCREEN.print(f"stopped; go on with: {again}", markup=False)
            raise typer.Exit(130)
        accuracy = bundle.report["test"]["accuracy"]["value"]
        if as_json:
            print_json(
                {
                    "bundle": bundle.id,
                    "run": current.name,
                    "accuracy": accuracy,
                    "macro_f1": bundle.report["test"]["macro_f1"]["value"],
                    "report": str(current.path / "report.html"),
                }
            )
        else:
            SCREEN.print(f"[bold green]✓[/] report: {escape(str(current.path / 'report.html'))}")
            serving = options.command("serve", workspace=workspace)
            SCREEN.print(f"  serve it with: {serving}", markup=False)
