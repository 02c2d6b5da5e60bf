"""``tailorbird recommend fit`` and ``compare``: a recommender from items and events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tailorbird.cli.display import SCREEN, Display, print_json
from tailorbird.cli.options import AsJson, Workspace

if TYPE_CHECKING:
    from tailorbird.assistants.recommend.catalogue.records import Event, Item
    from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
    from tailorbird.store import Workspace as Space

app = typer.Typer(
    help="Recommendation: fit a model to items and events, compare ways of ranking.",
    no_args_is_help=True,
)

Items = Annotated[
    str, typer.Argument(help="File, folder or database URL with the items.", metavar="ITEMS")
]
Events = Annotated[str, typer.Argument(help="The same with what people did.", metavar="EVENTS")]
ItemsTable = Annotated[str, typer.Option("--items-table", help="Where ITEMS is a database URL.")]
EventsTable = Annotated[str, typer.Option("--events-table", help="Where EVENTS is a database URL.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="Where a column is not guessed: items.title=name, events.item=movieId; may repeat.",
    ),
]
Backbone = Annotated[
    str, typer.Option("--backbone", help="What reads items: auto, minilm, e5, a folder.")
]
Epochs = Annotated[int, typer.Option("--epochs", help="Passes of the interest match.", min=1)]
Matches = Annotated[
    int, typer.Option("--matches", help="Interest matches; what counts is their mean.", min=1)
]


@app.command()
def fit(
    items: Annotated[
        str,
        typer.Argument(
            help="File, folder or database URL with the items.",
            metavar="[ITEMS",
            show_default="what the workspace has",
        ),
    ] = "",
    events: Annotated[
        str, typer.Argument(help="The same with what people did.", metavar="EVENTS]")
    ] = "",
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the model.", file_okay=False)
    ] = None,
    backbone: Backbone = "auto",
    epochs: Epochs = 8,
    matches: Matches = 4,
    items_table: ItemsTable = "",
    events_table: EventsTable = "",
    column: Columns = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Learn from EVENTS what to recommend of ITEMS; the model goes into the workspace.

    Without them it learns from the items and events that the workspace has. A service that runs
    goes over to the new model within seconds.

    Example: tailorbird recommend fit items.csv events.csv
    """
    from tailorbird import api
    from tailorbird.assistants.recommend.ranking.fitting import fit_recommender

    display = Display(quiet=as_json)
    with api.open_workspace(workspace) as space:
        if items or events:
            sources, tables = (items, events), (items_table, events_table)
            catalogue, log = _read(sources, tables, column, display=display)
        else:
            catalogue, log = _kept(space, display)
        settings = _settings(backbone, epochs, matches)
        model = fit_recommender(catalogue, log, settings, cache=space.cache_path, say=display.say)
        folder = out or space.path / "recommend" / "model"
        model.save(folder)
    if as_json:
        print_json({"id": model.id, "folder": str(folder), "decisions": list(model.decisions)})
    else:
        SCREEN.print(f"[bold green]✓[/] recommender {model.id}: {escape(str(folder))}")


@app.command()
def compare(
    items: Items,
    events: Events,
    *,
    backbone: Backbone = "auto",
    epochs: Epochs = 8,
    matches: Matches = 4,
    items_table: ItemsTable = "",
    events_table: EventsTable = "",
    column: Columns = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """NDCG@10 of popularity, ALS, neighbours, match and all together, on the latest fifth.

    Models are fitted to the first four fifths of EVENTS, by time.

    Example: tailorbird recommend compare items.csv events.csv
    """
    from tailorbird import api
    from tailorbird.assistants.recommend.ranking import comparing
    from tailorbird.assistants.recommend.ranking.fitting import fit_recommender

    display = Display(quiet=as_json)
    catalogue, log = _read((items, events), (items_table, events_table), column, display=display)
    window = comparing.window_of([item.id for item in catalogue], log)
    with api.open_workspace(workspace) as space:
        model = fit_recommender(
            catalogue,
            window.fitted,
            _settings(backbone, epochs, matches),
            cache=space.cache_path,
            say=display.say,
        )
    moments = comparing.known(window.moments) or window.moments
    ways = {**comparing.ways_of(model), "all together": comparing.ranked_by(model)}
    found = {name: comparing.mean(comparing.by_user(way, moments)) for name, way in ways.items()}
    n_users = len({moment.user for moment in moments})
    if as_json:
        print_json({"ndcg_at_10": found, "n_users": n_users, "n_moments": len(moments)})
        return
    SCREEN.print(f"NDCG@10 of {n_users:,} users at {len(moments):,} moments of the latest fifth:")
    for name, value in sorted(found.items(), key=lambda pair: -pair[1]):
        SCREEN.print(f"  {name:<14} {value:.4f}")


def _kept(space: Space, display: Display) -> tuple[list[Item], list[Event]]:
    """What the workspace has; DataError where that is nothing."""
    from tailorbird.assistants.recommend.kept import kept_events, kept_items
    from tailorbird.errors import DataError

    catalogue, log = kept_items(space), list(kept_events(space))
    if not catalogue or not log:
        raise DataError(
            f"has {len(catalogue):,} items and {len(log):,} events",
            where=str(space.path),
            cure="add them with tailorbird recommend items FILE and events FILE, or name two files",
        )
    display.say(f"of the workspace: {len(catalogue):,} items, {len(log):,} events")
    return catalogue, log


def _settings(backbone: str, epochs: int, matches: int) -> RecommendSettings:
    from tailorbird.assistants.recommend.ranking.settings import RecommendSettings

    return RecommendSettings(backbone=backbone, n_epochs=epochs, n_matches=matches)


def _read(
    sources: tuple[str, str],
    tables: tuple[str, str],
    columns: list[str] | None,
    *,
    display: Display,
) -> tuple[list[Item], list[Event]]:
    """Items and events; what was decided on the way is said, bad rows are counted."""
    from tailorbird.assistants.recommend.catalogue.reading import read_events, read_items
    from tailorbird.config import ReadingSettings

    named = _named(columns or [])
    of_items, of_events = (ReadingSettings(table=table) for table in tables)
    items = read_items(sources[0], of_items, columns=named["items"])
    events = read_events(sources[1], of_events, columns=named["events"])
    catalogue, log = list(items), list(events)
    for sentence in (*items.decisions, *events.decisions):
        display.say(sentence)
    for name, reading in (("items", items), ("events", events)):
        bad = f", {reading.n_rejected:,} bad ones left out" if reading.n_rejected else ""
        display.say(f"{name}: {reading.n_rows:,} rows read{bad}")
    return catalogue, log


def _named(columns: list[str]) -> Mapping[str, Mapping[str, str]]:
    """``["items.title=name"]`` → ``{"items": {"title": "name"}, "events": {}}``."""
    from tailorbird.errors import ConfigError

    found: dict[str, dict[str, str]] = {"items": {}, "events": {}}
    for one in columns:
        key, _, column = one.partition("=")
        table, _, field = key.partition(".")
        if table not in found or not field or not column:
            raise ConfigError(
                f"--column {one!r} names no column",
                cure="write it as --column items.title=name or --column events.item=movieId",
            )
        found[table][field] = column
    return found
