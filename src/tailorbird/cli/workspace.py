"""``tailorbird runs``, ``bundles``, ``publish`` and ``rollback``: what the workspace remembers."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, print_json


def runs(*, workspace: options.Workspace = None, as_json: options.AsJson = False) -> None:
    """List the runs, newest first."""
    from tailorbird import api
    from tailorbird.runs import list_runs

    with api.open_workspace(workspace) as space:
        rows = list_runs(space)
    if as_json:
        print_json({"runs": rows})
        return
    _show(rows, "no runs yet; begin with: tailorbird build LOGS")


def bundles(*, workspace: options.Workspace = None, as_json: options.AsJson = False) -> None:
    """List which bundle was live since when, newest first."""
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        rows = api.list_deployments(space)
    if as_json:
        print_json({"deployments": rows})
        return
    _show(rows, "no bundle has been live yet; begin with: tailorbird build LOGS")


def publish(
    bundle: Annotated[str, typer.Argument(help="Id of a bundle of this workspace.")],
    *,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "by hand",
    workspace: options.Workspace = None,
) -> None:
    """Make BUNDLE the live one."""
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        api.go_live(space, bundle, reason)
    SCREEN.print(f"[bold green]✓[/] {bundle} is live")


def rollback(
    *,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "by hand",
    workspace: options.Workspace = None,
) -> None:
    """Put the bundle that was live before back, in one step."""
    from tailorbird import api

    with api.open_workspace(workspace) as space:
        live = api.roll_back(space, reason)
    SCREEN.print(f"[bold green]✓[/] {live} is live again")


def _show(rows: list[dict[str, str]], nothing: str) -> None:
    if not rows:
        SCREEN.print(nothing, markup=False)
        return
    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
