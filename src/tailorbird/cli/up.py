"""``tailorbird up``: build where needed, then serve."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tailorbird.cli import knowledge as knowledge_verb
from tailorbird.cli import options
from tailorbird.cli import rules as rules_verb
from tailorbird.cli.display import SCREEN, Display, stop_on_interrupt
from tailorbird.cli.sample import without_anything
from tailorbird.cli.serve import serve


def up(
    logs: options.Logs,
    *,
    workspace: options.Workspace = None,
    config: options.Config = None,
    set_: options.Overrides = None,
    knowledge: Annotated[
        list[Path] | None,
        typer.Option(help="Document or folder of them to answer from; repeat for more."),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option(help="File of rules (.toml) or facts, for a workspace without; repeat."),
    ] = None,
    port: options.Port = None,
    api_key: options.ApiKey = "",
) -> None:
    """Serve an assistant made from LOGS; what is built already is not built again.

    A build that was interrupted goes on where it stopped. Documents are read again only where they
    changed. Rules that somebody has saved since are left alone.
    """
    from tailorbird import api, runs
    from tailorbird.config import load_settings

    display = Display()
    settings = load_settings(config, overrides=set_ or ())
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        fresh = api.is_live(space, logs, settings)
        if fresh:
            display.say(f"bundle {fresh} was built from these logs already")
        else:
            run = runs.unfinished_run(space, logs, settings)
            if run:
                display.say(f"going on with run {run.name}")
            bundle = api.build(logs, space, settings, run=run, listener=display, stop=stop)
            display.close()
            if bundle is None:
                display.say("stopped; the same command goes on from here")
                raise typer.Exit(130)
    take_along(knowledge or [], rules or [], workspace)
    offer_samples(workspace)
    serve(workspace=workspace, port=port, api_key=api_key, config=config, set_=set_)


def take_along(knowledge: list[Path], rules: list[Path], workspace: Path | None) -> None:
    """Add documents, those that can be read, and save the first rules of a workspace."""
    from tailorbird import api
    from tailorbird.knowledge.rules import saved_version

    if knowledge:
        with suppress(typer.Exit):  # what could not be read was said; the rest is served
            knowledge_verb.add(knowledge, workspace=workspace)
    if rules:
        with api.open_workspace(workspace) as space:
            is_new = not saved_version(space).version
        if is_new:
            rules_verb.save(rules, workspace=workspace)


def offer_samples(workspace: Path | None) -> None:
    """Name the command that fills the page of each assistant that has nothing yet.

    They are not taken along: tuning takes minutes, and the first page is to be there at once.
    """
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        for kind in without_anything(space):
            command = options.command("sample", kind, workspace=workspace)
            SCREEN.print(f"/console/{kind} is empty; a sample for it: {command}", markup=False)
