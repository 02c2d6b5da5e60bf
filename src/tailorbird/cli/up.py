"""``tailorbird up``: build where needed, then serve."""

from __future__ import annotations

import typer

from tailorbird.cli import options
from tailorbird.cli.display import Display, stop_on_interrupt
from tailorbird.cli.serve import serve


def up(
    logs: options.Logs,
    *,
    workspace: options.Workspace = None,
    config: options.Config = None,
    set_: options.Overrides = None,
    port: options.Port = None,
    api_key: options.ApiKey = "",
) -> None:
    """Serve an assistant made from LOGS; what is built already is not built again.

    A build that was interrupted goes on where it stopped.
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
    serve(workspace=workspace, port=port, api_key=api_key, config=config, set_=set_)
