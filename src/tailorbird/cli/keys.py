"""``tailorbird keys``: who may use the service, and as what."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.options import AsJson, Workspace

app = typer.Typer(help="API keys: who may use the service, and as what.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Whose key it is.", metavar="NAME")]


@app.command()
def create(
    name: Name,
    *,
    role: Annotated[
        str, typer.Option(help="visitor (asks), agent (helps), admin (changes everything).")
    ] = "agent",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for NAME and print it; it is shown this once.

    Example: tailorbird keys create ada --role agent
    """
    from tailorbird import api
    from tailorbird.serving import access

    with api.open_workspace(workspace) as space:
        key = access.Keys(space).create(name, access.role_of(role))
        access.note_action(space, access.LOCAL, "create key", name.strip(), role=role)
    if as_json:
        print_json({"name": name.strip(), "role": role, "key": key})
        return
    SCREEN.print(
        f"[bold green]✓[/] the key of {escape(name.strip())}, {role}; it is shown this once:"
    )
    print(key)


@app.command("list")
def list_keys(*, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """List all keys without their secrets, oldest first."""
    from tailorbird import api
    from tailorbird.serving import access

    with api.open_workspace(workspace) as space:
        rows: list[dict[str, Any]] = [
            {"name": row.name, "role": row.role, "created": row.created, "revoked": row.revoked}
            for row in access.Keys(space).list()
        ]
    if as_json:
        print_json({"keys": rows})
        return
    if not rows:
        SCREEN.print("no keys yet; make one with: tailorbird keys create NAME", markup=False)
        return
    table = Table("name", "role", "created", "revoked", box=None, header_style="bold")
    for row in rows:
        moments = [
            f"{row[key]:%Y-%m-%d %H:%M}" if row[key] else "" for key in ("created", "revoked")
        ]
        table.add_row(escape(row["name"]), row["role"], *moments)
    Console().print(table)


@app.command()
def revoke(name: Name, *, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Let the key of NAME be worth nothing; services that run notice within two seconds."""
    from tailorbird import api
    from tailorbird.serving import access

    with api.open_workspace(workspace) as space:
        access.Keys(space).revoke(name)
        access.note_action(space, access.LOCAL, "revoke key", name)
    if as_json:
        print_json({"name": name, "revoked": True})
        return
    SCREEN.print(f"[bold green]✓[/] the key of {escape(name)} is worth nothing any more")
