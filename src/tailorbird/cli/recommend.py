"""``tailorbird recommend``: lists for people, from what they and others did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailorbird.cli import options, recommend_fit
from tailorbird.cli.display import SCREEN, print_json
from tailorbird.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from tailorbird.assistant_settings import ListSettings
    from tailorbird.assistants.recommend.live import Listing, Recommender

app = typer.Typer(
    help="Recommendation: items and events in, a model of them, lists out.", no_args_is_help=True
)

app.command()(recommend_fit.fit)
app.command()(recommend_fit.compare)

N_TOGETHER = 1_000
"""Events that are kept in one commit."""
File = Annotated[str, typer.Argument(help="File, folder or database URL to read.", metavar="FILE")]
Table = Annotated[str, typer.Option("--table", help="Table, where FILE is a database URL.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Where a column is not guessed: title=name; may repeat."),
]
Length = Annotated[int, typer.Option("-n", help="Items of a list.", min=1, max=100)]


@app.command("list")
def list_(
    user: Annotated[str, typer.Argument(help="Who is to see it.", metavar="USER")],
    *,
    n: Length = 10,
    diversity: Annotated[
        float | None, typer.Option(help="0: the best alone; 1: as unlike as can be.", min=0, max=1)
    ] = None,
    language: Annotated[str, typer.Option(help="Of the reasons: en or zh.")] = "en",
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Print what USER would be shown now, each with its reason; nothing is kept.

    One whom nobody knows gets what many like.

    Example: tailorbird recommend list u017 --language zh
    """
    from tailorbird.assistants.recommend.http.routes import told
    from tailorbird.assistants.recommend.live import Wish
    from tailorbird.assistants.recommend.names import kept_name

    if language not in ("en", "zh"):
        raise ConfigError(f"--language {language!r} is not en or zh")
    with _opened(workspace, _settings(config, set_), needs_model=False) as recommender:
        listing = recommender.preview(Wish(user=kept_name(user), n=n, diversity=diversity))
        response = told(listing, recommender, "zh" if language == "zh" else "en", user)
        n_events = len(recommender.histories.of(kept_name(user)).events)
    if as_json:
        print_json(response.model_dump(mode="json"))
        return
    SCREEN.print(_whose(user, n_events, listing), markup=False)
    for place, one in enumerate(response.items, 1):
        print(f"{place:>3}  {one.title}  ({one.reason.text})")


@app.command()
def items(
    file: File,
    *,
    withdraw_others: Annotated[
        bool, typer.Option("--withdraw-others", help="Recommend no more what FILE does not have.")
    ] = False,
    table: Table = "",
    column: Columns = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Add or change the items of FILE; a service that runs takes them over within a minute.

    Example: tailorbird recommend items examples/recommend/items.jsonl
    """
    from tailorbird.assistants.recommend.catalogue.reading import read_items
    from tailorbird.config import ReadingSettings

    reading = read_items(file, ReadingSettings(table=table), columns=_named(column))
    with _opened(workspace, needs_model=False, loads=False) as recommender:
        wanted = list(reading)
        change = recommender.put_items(wanted)
        gone: list[str] = []
        if withdraw_others:
            kept = {item.id for item in wanted}
            gone = recommender.withdraw(set(recommender.shelf.items) - kept)
    facts = {"n_new": change.n_new, "n_changed": change.n_changed}
    facts |= {"n_unchanged": change.n_unchanged, "n_without_text": change.n_without_text}
    facts |= {"n_withdrawn": len(gone), "n_rejected": reading.n_rejected}
    if as_json:
        print_json(facts)
        return
    _say(reading.decisions)
    told = f"{change.n_new:,} new, {change.n_changed:,} changed, {change.n_unchanged:,} unchanged"
    SCREEN.print(f"[bold green]✓[/] items: {told}, {len(gone):,} withdrawn")
    if change.n_without_text:
        SCREEN.print(f"  {change.n_without_text:,} have no words: only what people do helps them")
    _say_rejected(reading.n_rejected)


@app.command()
def events(
    file: File,
    *,
    table: Table = "",
    column: Columns = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Keep the events of FILE, each once however often it is read.

    Example: tailorbird recommend events examples/recommend/events.csv
    """
    from tailorbird.assistants.recommend.catalogue.reading import read_events
    from tailorbird.config import ReadingSettings

    reading = read_events(file, ReadingSettings(table=table), columns=_named(column))
    n_new = n_known = 0
    unknown: set[str] = set()
    with _opened(workspace, needs_model=False, loads=False) as recommender:
        recommender.shelf.read()
        posted = _posted(reading)
        while part := list(islice(posted, N_TOGETHER)):
            taken = recommender.take(part)
            n_new, n_known = n_new + taken.n_new, n_known + taken.n_known
            unknown.update(taken.unknown_items)
    if as_json:
        facts = {"n_new": n_new, "n_known": n_known, "n_rejected": reading.n_rejected}
        print_json(facts | {"unknown_items": sorted(unknown)[:20], "n_unknown": len(unknown)})
        return
    _say(reading.decisions)
    SCREEN.print(f"[bold green]✓[/] events: {n_new:,} new, {n_known:,} known before")
    if unknown:
        first = ", ".join(sorted(unknown)[:3])
        told = f"  of {len(unknown):,} items that are not here yet (first: {first})"
        SCREEN.print(f"{told}; kept all the same", markup=False)
    _say_rejected(reading.n_rejected)


@app.command()
def batch(
    *,
    n: Length = 20,
    fresh_h: Annotated[
        float, typer.Option(help="Lists that the same model made so lately are kept.", min=0)
    ] = 20.0,
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a list for every user; begun again after a stop, it goes on where it was.

    Example: tailorbird recommend batch -n 20
    """
    from tailorbird.assistants.recommend.batch import make_lists

    with _opened(workspace, _settings(config, set_)) as recommender:
        model = recommender.model
        n_old = recommender.drop_old_lists()
        made = make_lists(recommender, n=n, fresh_h=fresh_h)
    if as_json:
        name = model.id if model else ""
        facts = {"n_made": made.n_made, "n_kept": made.n_kept, "model": name}
        print_json(facts | {"n_old_deleted": n_old})
        return
    SCREEN.print(f"[bold green]✓[/] lists: {made.n_made:,} made, {made.n_kept:,} still fresh")
    if n_old:
        SCREEN.print(f"  the log of {n_old:,} lists was older than it is kept, and was deleted")


@app.command()
def judge(
    model: Annotated[
        Path, typer.Argument(help="Folder of the model to judge.", metavar="FOLDER", exists=True)
    ],
    *,
    since: Annotated[
        datetime | None,
        typer.Option(help="Lists from then on (UTC): after all that the model learned from."),
    ] = None,
    max_lists: Annotated[int, typer.Option(help="The latest so many lists.", min=1)] = 5_000,
    config: options.Config = None,
    set_: options.Overrides = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Say from the log alone what another model would have been worth, and whether that is sure.

    Only positions that were drawn are judged; what is drawn is set by recommend.explore_positions.

    Example: tailorbird recommend judge other/model --since 2026-10-01
    """
    from tailorbird import api
    from tailorbird.assistants.recommend import judging
    from tailorbird.assistants.recommend.ranking.model import RecommendModel

    moment = since.replace(tzinfo=since.tzinfo or UTC) if since else None
    n_history = _settings(config, set_).n_history
    with api.open_workspace(workspace) as space:
        other = RecommendModel.load(model, cache=space.cache_path)
        found = judging.judge(
            space, judging.chooser(other), since=moment, n_history=n_history, max_lists=max_lists
        )
    if as_json:
        print_json({"model": other.id} | found.to_json())
        return
    SCREEN.print(f"model {other.id}, judged by {found.n_lists:,} lists:", markup=False)
    for name in ("logged", "ips", "snips", "doubly_robust"):
        one = getattr(found, name)
        print(f"  {name.replace('_', ' '):<14} {one.value:.4f}  ({one.low:.4f} to {one.high:.4f})")
    support = found.support
    print(f"  support        {100 * support.covered:.0f} %, as good as {support.effective_n:.0f} "
          f"of {found.n_decisions:,} decisions")  # fmt: skip
    print(found.sentence)


@contextmanager
def _opened(
    workspace: Path | None,
    settings: ListSettings | None = None,
    *,
    needs_model: bool = True,
    loads: bool = True,
) -> Iterator[Recommender]:
    """The recommender of the workspace with its model, where there is one."""
    from tailorbird import api
    from tailorbird.assistant_settings import ListSettings
    from tailorbird.assistants.recommend.opening import follow_model, open_recommender

    with api.open_workspace(workspace) as space:
        recommender = open_recommender(space, settings or ListSettings())
        try:
            if loads:
                recommender.load()
                follow_model(recommender)
                if needs_model and recommender.model is None:
                    raise UnavailableError(
                        "nothing has learned yet what to recommend",
                        where=str(space.path),
                        cure="tailorbird recommend fit",
                    )
            yield recommender
        finally:
            recommender.close()


def _settings(config: Path | None, set_: list[str] | None) -> ListSettings:
    """The section ``[recommend]``, as `tailorbird serve` reads it."""
    from tailorbird.config import load_settings

    return load_settings(config, overrides=set_ or ()).recommend


def _posted(reading: Iterable[Any]) -> Iterator[Any]:
    from dataclasses import replace

    from tailorbird.assistants.recommend.intake import Posted
    from tailorbird.assistants.recommend.names import kept_name

    for event in reading:
        yield Posted(replace(event, user=kept_name(event.user)))


def _named(columns: list[str] | None) -> dict[str, str]:
    """``["title=name"]`` as a mapping."""
    found = {}
    for one in columns or ():
        field, equals, column = one.partition("=")
        if not equals or not column:
            raise ConfigError(f"--column {one!r} has no =", cure="write --column title=name")
        found[field] = column
    return found


def _whose(user: str, n_events: int, listing: Listing) -> str:
    night = ", made in the night" if listing.is_nightly else ""
    known = f"{n_events} events" if n_events else "nobody has seen them yet"
    return f"for {user} ({known}), by model {listing.model}{night}"


def _say(decisions: Iterable[str]) -> None:
    for sentence in decisions:
        SCREEN.print(f"  {sentence}", markup=False)


def _say_rejected(n_rejected: int) -> None:
    if n_rejected:
        SCREEN.print(f"[yellow]  {n_rejected:,} bad rows were left out[/]")
