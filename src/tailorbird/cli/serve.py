"""``tailorbird serve``: answer over HTTP with the live bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tailorbird.apart import Process, open_process
from tailorbird.cli import options
from tailorbird.cli.display import SCREEN
from tailorbird.config import ComputingSettings, ServingSettings, Settings

NEEDED_THERE = ("tailorbird.bundle.passes", "tailorbird.modeling", "tailorbird.knowledge.encoding")
"""What the process for models imports while this one imports what it needs itself."""


def serve(
    *,
    workspace: options.Workspace = None,
    host: Annotated[str, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = "",
    port: options.Port = None,
    api_key: options.ApiKey = "",
    bundle: Annotated[
        str, typer.Option(help="Bundle id.", show_default="the live one, followed as it changes")
    ] = "",
    config: options.Config = None,
    set_: options.Overrides = None,
) -> None:
    """Serve the assistant on http://127.0.0.1:8420 until Ctrl-C.

    POST /v1/predict answers programs, /console people, /docs says how. What was asked and
    answered is kept in the workspace, personal data masked, for the next round of learning.
    """
    from tailorbird.config import load_settings

    given: dict[str, Any] = {"host": host, "port": port, "api_key": api_key}
    chosen_here = {key: value for key, value in given.items() if value not in ("", None)}
    loaded = load_settings(config, overrides=set_ or ())
    settings = replace(loaded.serving, **chosen_here)
    with models_apart(loaded.computing) as process:
        answer(workspace, bundle, loaded, settings, process)
    SCREEN.print("stopped", markup=False)


@contextmanager
def models_apart(computing: ComputingSettings) -> Iterator[Process | None]:
    """The process for models, importing already while this one does; None where none is wanted."""
    process = open_process(computing.process, n_threads=computing.threads, modules=NEEDED_THERE)
    if process is None:
        yield None
        return
    with closing(process):
        process.start()
        yield process


def answer(
    workspace: Path | None,
    bundle: str,
    loaded: Settings,
    settings: ServingSettings,
    process: Process | None,
) -> None:
    """Serve *bundle*, or the live one, until it is asked to stop."""
    from tailorbird import api
    from tailorbird.app import Wanted, create_app, for_users, live_in, run_server
    from tailorbird.bundle import registry

    def announce(address: str) -> None:
        SCREEN.print(f"[bold green]●[/] [bold]serve[/]   bundle {served}")
        SCREEN.print(f"  console  {address}/console/", markup=False)
        SCREEN.print(f"  predict  {address}/v1/predict", markup=False)
        SCREEN.print(f"  widget   {address}/widget", markup=False)
        SCREEN.print(f"  docs     {address}/docs", markup=False)
        SCREEN.print("  Ctrl-C stops it; what is in flight is finished first", markup=False)

    with api.open_workspace(workspace) as space:
        is_any = bundle or registry.live_bundle(space) is not None
        chosen = api.current_bundle(space, bundle) if is_any else None
        served = chosen.id if chosen else "none yet; build one with: tailorbird build LOGS"
        predictor = for_users(space, chosen, settings) if chosen else None
        follow = None if bundle else live_in(space, settings)
        app = create_app(
            space,
            predictor,
            settings,
            access=loaded.access,
            process=process,
            wanted=Wanted(loaded.desk, loaded.opinion, loaded.recommend),
            follow=follow,
        )
        run_server(app, settings, on_start=announce)
