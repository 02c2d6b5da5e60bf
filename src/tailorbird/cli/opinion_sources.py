"""``tailorbird opinion``: where posts come from, taking them in, and whom they name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli import opinion_entities
from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.options import AsJson, Workspace

if TYPE_CHECKING:
    from tailorbird.assistants.opinion.gathering import Gatherer, Taken

app = typer.Typer(help="Sources of posts, and whom posts name.", no_args_is_help=True)
app.add_typer(opinion_entities.app, name="entities")

N_SHOWN = 10
"""Refused rows that a person is shown; ``--json`` has them all."""
Name = Annotated[str, typer.Argument(help="The source, as `sources` shows it.", metavar="NAME")]
FieldNames = Annotated[
    list[str] | None,
    typer.Option("--field", help="What a part is called there, as text=body; may repeat."),
]
TimeZone = Annotated[
    str, typer.Option("--time-zone", help="What times without a zone mean, as Asia/Shanghai.")
]
Encoding = Annotated[str, typer.Option("--encoding", help="Of a file, as gb18030.")]


@app.command()
def sources(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show the sources: kind, address, the next look, and what went wrong last."""
    from rich.console import Console
    from rich.table import Table

    with _opened(workspace) as gatherer:
        rows = [_facts(row) for row in gatherer.sources()]
    if as_json:
        print_json({"sources": rows})
        return
    if not rows:
        SCREEN.print("there are no sources yet; add one: tailorbird opinion add NAME ADDRESS")
        return
    table = Table("name", "kind", "address", "every", "next look (UTC)", "last post (UTC)", "state")
    table.columns[0].overflow = "fold"
    for row in rows:
        times = [str(row[key] or "")[:16].replace("T", " ") for key in ("next_poll", "last_ok")]
        state = "paused" if row["is_paused"] else row["last_error"] or "ok"
        if row["n_failures"]:
            state = f"{row['n_failures']} times in a row: {state}"
        words = (row["name"], row["kind"], row["address"], f"{row['every_s']} s", *times, state)
        table.add_row(*(escape(str(word)) for word in words))
    Console().print(table)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is called.", metavar="NAME")],
    address: Annotated[
        str, typer.Argument(help="File or web address; nothing for a webhook.", metavar="ADDRESS")
    ] = "",
    *,
    kind: Annotated[
        str, typer.Option("--kind", help="file, feed, json or webhook.", show_default="by ADDRESS")
    ] = "",
    every: Annotated[int, typer.Option("--every", help="Seconds between two looks.")] = 900,
    field: FieldNames = None,
    time_zone: TimeZone = "",
    encoding: Encoding = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", help="As 'X-Key: ${KEY}', filled in from the environment; may repeat."
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="The address may be in a private network.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Of a json source: items=PATH, paging=page|offset|next, parameter=NAME, "
            "start=NUMBER, next=PATH, since=NAME; may repeat.",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Add a source; a running service looks at it at once, `poll` does so now.

    The secret of a webhook is shown this once: those who post send it.

    Example: tailorbird opinion add sina https://news.example/rss.xml --time-zone Asia/Shanghai
    """
    settings: dict[str, Any] = dict(_pairs(set_, "=", "--set"))
    if "start" in settings:
        settings["start"] = _number(settings["start"])
    plain = {
        "fields": dict(_pairs(field, "=", "--field")),
        "headers": dict(_pairs(header, ":", "--header")),
        "time_zone": time_zone,
        "encoding": encoding,
        "allow_private": private,
    }
    settings |= {key: value for key, value in plain.items() if value}
    chosen = kind or _kind_of(address)
    with _opened(workspace) as gatherer:
        added = gatherer.add_source(name, chosen, address, settings=settings, every_s=every)
    if as_json:
        print_json({"source": _facts(added.row), "secret": added.secret})
        return
    SCREEN.print(f"[green]✓[/] {escape(added.row.name)} is added, kind {chosen}")
    if added.secret:
        SCREEN.print("post to /v1/opinion/posts/NAME with Authorization: Bearer and this secret,")
        SCREEN.print("which is shown this once:")
        print(added.secret)


@app.command()
def remove(name: Name, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Forget a source; its posts stay."""
    with _opened(workspace) as gatherer:
        gatherer.remove(name)
    _said({"removed": name}, f"{name} is removed, its posts stay", as_json)


@app.command()
def pause(name: Name, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Look at a source no more until `resume`."""
    with _opened(workspace) as gatherer:
        gatherer.pause(name)
    _said({"paused": name}, f"{name} is paused", as_json)


@app.command()
def resume(name: Name, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Look at a paused source again, or at a failing one at once."""
    with _opened(workspace) as gatherer:
        gatherer.pause(name, is_paused=False)
    _said({"resumed": name}, f"{name} is looked at again", as_json)


@app.command()
def poll(
    name: Annotated[
        str, typer.Argument(help="One source.", metavar="NAME", show_default="all that are due")
    ] = "",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Look at the sources now: what is new is taken. A running service does this by itself.

    The exit code is 1 where one failed; the others are read all the same.
    """
    with _opened(workspace) as gatherer:
        looks = [gatherer.poll(name)] if name else gatherer.poll_due()
    if as_json:
        print_json({"looks": [look.to_json() for look in looks]})
    else:
        for look in looks:
            if look.error:
                again = f"{look.next_poll:%Y-%m-%d %H:%M} UTC" if look.next_poll else "later"
                SCREEN.print(f"[red]✗[/] {escape(look.source)}: {escape(look.error)}")
                SCREEN.print(f"  it is tried again at {again}")
            else:
                SCREEN.print(f"[green]✓[/] {escape(look.source)}: {_counts(look.taken)}")
            _show_rest(look.taken, look.notes)
        if not looks:
            SCREEN.print("no source is due: tailorbird opinion sources")
    if any(look.error for look in looks):
        raise typer.Exit(1)


@app.command()
def take(
    file: Annotated[
        Path, typer.Argument(help="A .jsonl or .csv file of posts.", metavar="FILE", dir_okay=False)
    ],
    *,
    source: Annotated[
        str,
        typer.Option("--source", help="Where they are from.", show_default="the file's name"),
    ] = "",
    field: FieldNames = None,
    time_zone: TimeZone = "",
    encoding: Encoding = "",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Take the posts of a file once, as a year of history; taken again, it changes nothing.

    The exit code is 1 where nothing of it could be used.

    Example: tailorbird opinion take posts.jsonl --field text=body --time-zone Asia/Shanghai
    """
    from tailorbird.assistants.opinion.gathering import FileSource, Taken

    settings = {
        "fields": dict(_pairs(field, "=", "--field")),
        "time_zone": time_zone,
        "encoding": encoding,
    }
    reader = FileSource(file, settings, is_whole=True)
    taken = Taken()
    cursor: dict[str, Any] = {}
    with _opened(workspace) as gatherer, SCREEN.status("") as status:
        while True:
            polled = reader.poll(cursor)
            taken.add(gatherer.intake.take(source or file.stem, polled.items))
            taken.rejects += polled.rejects
            cursor = polled.cursor
            if not as_json:
                status.update(f"{taken.n_new + taken.n_known:,} read")
            if not polled.has_more:
                break
    if as_json:
        print_json(taken.to_json())
    else:
        SCREEN.print(f"[green]✓[/] {_counts(taken)}")
        _show_rest(taken)
    if taken.rejects and not taken.n_new + taken.n_known:
        raise typer.Exit(1)


@contextmanager
def _opened(workspace: Path | None) -> Iterator[Gatherer]:
    from tailorbird import store
    from tailorbird.assistants.opinion.gathering import Gatherer, Intake
    from tailorbird.connectors import Web

    with store.Workspace.open(workspace) as opened:
        yield Gatherer(opened, Intake(opened), Web())


def _kind_of(address: str) -> str:
    """A file by its look, a webhook where there is no address; else a feed, and so it is said."""
    if not address:
        return "webhook"
    if "://" not in address:
        return "file"
    return "json" if address.partition("?")[0].endswith((".json", "/json")) else "feed"


def _pairs(words: list[str] | None, sign: str, option: str) -> Iterator[tuple[str, str]]:
    from tailorbird.errors import ConfigError

    for word in words or ():
        name, found, value = word.partition(sign)
        if not (found and name.strip() and value.strip()):
            raise ConfigError(f"{option} {word!r} says nothing", cure=f"as NAME{sign}VALUE")
        yield name.strip(), value.strip()


def _number(text: str) -> int:
    from tailorbird.errors import ConfigError

    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"start = {text!r} is no number", cure="as start=1") from error


def _facts(row: Any) -> dict[str, Any]:
    settings = {key: value for key, value in row.settings.items() if key != "secret_sha256"}
    facts = {key: getattr(row, key) for key in ("name", "kind", "address", "every_s", "is_paused")}
    for key in ("next_poll", "last_ok"):
        moment = getattr(row, key)
        facts[key] = moment.isoformat(timespec="seconds") if moment else None
    return {**facts, "last_error": row.last_error, "n_failures": row.n_failures, **settings}


def _counts(taken: Taken) -> str:
    copies = f" ({taken.n_copies} tell what another told)" if taken.n_copies else ""
    refused = f", {len(taken.rejects)} refused" if taken.rejects else ""
    return f"{taken.n_new} new{copies}, {taken.n_known} known{refused}"


def _show_rest(taken: Taken, notes: tuple[str, ...] = ()) -> None:
    for note in (*notes, *taken.notes):
        SCREEN.print(f"  {note}", markup=False)
    for reject in taken.rejects[:N_SHOWN]:
        SCREEN.print(f"  {reject}", markup=False)
    if len(taken.rejects) > N_SHOWN:
        SCREEN.print(f"  and {len(taken.rejects) - N_SHOWN} more; --json shows all")


def _said(facts: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        SCREEN.print(f"[green]✓[/] {escape(sentence)}")
