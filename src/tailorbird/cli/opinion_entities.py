"""``tailorbird opinion entities``: companies, people, products, and what else they are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape

from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.options import AsJson, Workspace

if TYPE_CHECKING:
    from tailorbird.assistants.opinion.gathering import EntityTable

app = typer.Typer(
    help="Whom posts name: companies, people, products, and their aliases.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="The name that counts are kept under.", metavar="NAME")]
Kind = Annotated[str, typer.Option("--kind", help="company, person, product or place.")]
Tagger = Annotated[
    str,
    typer.Option(
        "--tagger", help="Run of --task token_classification, or its folder: marks other names."
    ),
]


@app.command("list")
def list_(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show the names and their aliases."""
    from rich.console import Console
    from rich.table import Table

    with _opened(workspace) as table:
        rows: list[dict[str, Any]] = [
            {"name": r.name, "kind": r.kind, "aliases": r.aliases, "is_watched": r.is_watched}
            for r in table.all()
        ]
    if as_json:
        print_json({"entities": rows})
        return
    if not rows:
        SCREEN.print("nobody is known yet: tailorbird opinion entities add NAME ALIAS...")
        return
    shown = Table("name", "kind", "aliases")
    for row in rows:
        shown.add_row(escape(row["name"]), row["kind"], escape(", ".join(row["aliases"])))
    Console().print(shown)


@app.command()
def add(
    name: Name,
    aliases: Annotated[
        list[str] | None, typer.Argument(help="What else it is called.", metavar="ALIAS...")
    ] = None,
    *,
    kind: Kind = "company",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Let posts that say NAME or an ALIAS count as naming it; of a known name, add aliases.

    Example: tailorbird opinion entities add Apple 苹果公司 "Apple Inc." AAPL
    """
    with _opened(workspace) as table:
        row = table.add(name, aliases or (), kind=cast(Any, kind))
    if as_json:
        print_json({"name": row.name, "kind": row.kind, "aliases": row.aliases})
    else:
        known = escape(", ".join(row.aliases) or "no aliases")
        SCREEN.print(f"[green]✓[/] {escape(row.name)}: {known}")


@app.command()
def remove(
    name: Name,
    alias: Annotated[
        str, typer.Option("--alias", help="Only this alias.", show_default="the whole name")
    ] = "",
    *,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Forget a name, or one of its aliases."""
    with _opened(workspace) as table:
        table.remove(name, alias)
    if as_json:
        print_json({"removed": alias or name})
    else:
        SCREEN.print(f"[green]✓[/] {escape(alias or name)} is forgotten")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns name, kind, aliases (set off by |).", dir_okay=False
        ),
    ],
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Add many names at once, all or none.

    Example: tailorbird opinion entities import companies.csv
    """
    entities = _entities(file)
    with _opened(workspace) as table:
        rows = table.add_many(entities)
    n_aliases = sum(len(row.aliases) for row in rows)
    if as_json:
        print_json({"n_entities": len(rows), "n_aliases": n_aliases})
    else:
        SCREEN.print(f"[green]✓[/] {len(rows)} names with {n_aliases} aliases")


@app.command()
def find(
    text: Annotated[str, typer.Argument(help="Any text.", metavar="TEXT")],
    tagger: Tagger = "",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Show whom a text names; the exit code is 1 where it names nobody."""
    with _opened(workspace, tagger) as table:
        found = table.find(text)
    if as_json:
        print_json({"mentions": [asdict(one) for one in found]})
    for one in found if not as_json else []:
        print(f"{one.entity}\t{one.kind}\t{text[one.start : one.end]}")
    if not found:
        raise typer.Exit(1)


@contextmanager
def _opened(workspace: Path | None, tagger: str = "") -> Iterator[EntityTable]:
    from tailorbird import store
    from tailorbird.assistants.opinion.gathering import EntityTable
    from tailorbird.assistants.opinion.gathering.tagging import TunedTags

    with store.Workspace.open(workspace) as opened:
        tags = TunedTags.open(tagger, opened) if tagger else None
        yield EntityTable(opened, tagger=tags)


def _entities(file: Path) -> list[Any]:
    import csv

    from tailorbird.errors import DataError

    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            rows = [*csv.DictReader(handle)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("is no CSV in UTF-8", where=str(file), cure="save it as such") from error
    if not rows or "name" not in rows[0]:
        cure = "begin with the line name,kind,aliases"
        raise DataError("has no column 'name'", where=str(file), cure=cure)
    return [
        (
            row["name"] or "",
            [alias for alias in (row.get("aliases") or "").split("|") if alias.strip()],
            (row.get("kind") or "company").strip(),
        )
        for row in rows
    ]
