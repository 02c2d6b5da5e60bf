"""Verbs of ``tailorbird opinion``: watch, alerts, acknowledge, silence, replay and report."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.options import AsJson, Config, Overrides, Workspace, overrides

if TYPE_CHECKING:
    from tailorbird.assistants.opinion.watching import WatchSettings

app = typer.Typer(name="watch", help="Find surges of negative news.", no_args_is_help=True)

WindowS = Annotated[
    int | None,
    typer.Option("--window", help="Seconds of a window.", min=60, max=86_400, show_default="3600"),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms",
        help="Allowed without a cause, of each topic in 30 days.",
        show_default="1.0",
    ),
]
MinPosts = Annotated[
    int | None,
    typer.Option(help="Negative posts of a rise, at least.", min=1, show_default="3"),
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        help="NAME=URL as apprise knows it, such as mail=mailto://…; may repeat.",
        envvar="TAILORBIRD_CHANNELS",
    ),
]


@app.command()
def watch(
    *,
    window_s: WindowS = None,
    false_alarms: FalseAlarms = None,
    min_posts: MinPosts = None,
    channel: Channels = None,
    once: Annotated[bool, typer.Option(help="Look once, then end.")] = False,
    config: Config = None,
    set_: Overrides = None,
    workspace: Workspace = None,
) -> None:
    """Look at each window once it has passed; send alerts to the channels.

    What no option says is that of the section [opinion] of the settings.

    Example: tailorbird opinion watch --channel team=slack://…
    """
    from tailorbird import store
    from tailorbird.assistants.opinion.watching import Deliverer, Watcher
    from tailorbird.assistants.opinion.watching.delivering import check_channels
    from tailorbird.assistants.opinion.watching.wording import headline, language_of_alert

    settings = _settings(config, set_, window_s, false_alarms, min_posts)
    channels = _channels(channel) or dict(settings.channels)
    if channels:
        check_channels(channels)
    with store.Workspace.open(workspace) as opened:
        watcher, deliverer = Watcher(opened, settings), Deliverer(opened, channels)
        while True:
            for row in watcher.look():
                line = f"{row.id[:8]} {row.status}: {headline(row, language_of_alert(row))}"
                SCREEN.print(line, markup=False)
            if n_sent := deliverer.deliver_due():
                SCREEN.print(f"{n_sent} sent")
            if once:
                return
            time.sleep(60)


@app.command()
def alerts(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    n: Annotated[int, typer.Option("-n", help="The newest so many.", min=1)] = 50,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, the newest first."""
    from rich.console import Console
    from rich.table import Table

    from tailorbird import store
    from tailorbird.assistants.opinion.alert_list import OPEN, list_alerts

    with store.Workspace.open(workspace) as opened:
        found = list_alerts(opened, statuses=() if every else OPEN, limit=n)
    rows = [_shown(told.alert) for told in found]
    if as_json:
        print_json({"alerts": rows})
        return
    if not rows:
        SCREEN.print("no alert is open" if not every else "there are no alerts")
        return
    table = Table("id", "level", "status", "what", "since (UTC)", "times the usual")
    for row in rows:
        what = " · ".join(filter(None, (row["topic"], row["entity"])))
        since = str(row["since"])[:16].replace("T", " ")
        facts = (str(row["level"]), str(row["status"]), escape(what), since)
        table.add_row(str(row["id"])[:8], *facts, f"{row['story']['ratio']:g}")
    Console().print(table)


@app.command()
def acknowledge(
    alert: Annotated[str, typer.Argument(help="Its id, or how that begins.")],
    *,
    by: Annotated[str, typer.Option(help="Who has seen it.", envvar="USER")] = "",
    workspace: Workspace = None,
) -> None:
    """Say that somebody has seen an alert; it is not sent any more.

    Example: tailorbird opinion acknowledge 3f9a21c0
    """
    from tailorbird import store
    from tailorbird.assistants.opinion import watching

    with store.Workspace.open(workspace) as opened:
        row = watching.acknowledge(opened, alert, by=by or "command line")
    SCREEN.print(f"[green]✓[/] {row.id[:8]}: seen by {escape(row.acknowledged_by)}")


@app.command()
def silence(
    *,
    topic: Annotated[str, typer.Option(help="Nothing of this topic.")] = "",
    entity: Annotated[str, typer.Option(help="Nothing of this name.")] = "",
    hours: Annotated[float, typer.Option(help="For so long.", min=0.01)] = 24.0,
    by: Annotated[str, typer.Option(help="Who asks for it.", envvar="USER")] = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    workspace: Workspace = None,
) -> None:
    """Send nothing of a topic or a name for a while; alerts are kept all the same.

    Example: tailorbird opinion silence --topic earnings --hours 48
    """
    from tailorbird import store
    from tailorbird.assistants.opinion import watching

    until = datetime.now(UTC) + timedelta(hours=hours)
    who = by or "command line"
    with store.Workspace.open(workspace) as opened:
        row = watching.silence(
            opened, topic=topic, entity=entity, until=until, author=who, note=note
        )
    what = escape(" · ".join(filter(None, (topic, entity))))
    SCREEN.print(f"[green]✓[/] silence on {what} until {row.until:%Y-%m-%d %H:%M} UTC")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="JSONL or CSV of posts that were read.")],
    *,
    window_s: WindowS = None,
    false_alarms: FalseAlarms = None,
    min_posts: MinPosts = None,
    config: Config = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show which alerts a history would have brought.

    Each row has time, title or text, sentiment (negative, neutral or positive) and topics; and
    entities, where they are known. In CSV several are parted by |.

    Example: tailorbird opinion replay 2025.jsonl --false-alarms 0.5
    """
    from tailorbird.assistants.opinion import watching
    from tailorbird.assistants.opinion.watching.reading_posts import read_posts
    from tailorbird.assistants.opinion.watching.wording import headline, language_of_alert

    settings = _settings(config, set_, window_s, false_alarms, min_posts)
    posts, rejects = read_posts(file)
    begun_s = time.perf_counter()
    found = watching.replay(posts, settings)
    took_s = time.perf_counter() - begun_s
    if as_json:
        print_json(
            {"posts": len(posts), "rejects": rejects, "alerts": [_shown(one) for one in found]}
        )
        return
    for line in rejects[:5]:
        SCREEN.print(f"[yellow]left out[/] {escape(line)}")
    if len(rejects) > 5:
        SCREEN.print(f"and {len(rejects) - 5} more rows")
    for one in found:
        ended = "" if one.is_over else " (still up at the end)"
        line = f"{one.created:%Y-%m-%d %H:%M} {headline(one, language_of_alert(one))}{ended}"
        SCREEN.print(line, markup=False)
        for text in one.story["texts"][:2]:
            SCREEN.print(f"    {text['title']}", markup=False, style="dim")
    SCREEN.print(f"[bold]{len(found)}[/] alerts from {len(posts):,} posts in {took_s:.1f} s")


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="HTML file to write.", dir_okay=False)],
    *,
    day: Annotated[str, typer.Option(help="As 2026-03-14.", show_default="yesterday")] = "",
    language: Annotated[str, typer.Option(help="Shown first: zh or en.")] = "zh",
    workspace: Workspace = None,
) -> None:
    """Write the report of a day as one page, in Chinese and English.

    Example: tailorbird opinion report today.html --day 2026-03-14
    """
    from tailorbird import store
    from tailorbird.assistants.opinion.watching import daily_report

    chosen = datetime.now(UTC) - timedelta(days=1)
    try:
        chosen = datetime.strptime(day, "%Y-%m-%d") if day else chosen
    except ValueError:
        raise typer.BadParameter(f"{day!r} is no day; write it as 2026-03-14") from None
    if language not in ("zh", "en"):
        raise typer.BadParameter(f"{language!r} is neither zh nor en")
    with store.Workspace.open(workspace) as opened:
        page = daily_report(opened, chosen.date(), "zh" if language == "zh" else "en")
    out.write_text(page, encoding="utf-8", errors="replace")
    SCREEN.print(f"[green]✓[/] {escape(str(out))}")


def _settings(
    config: Path | None,
    set_: list[str] | None,
    window_s: int | None,
    false_alarms: float | None,
    min_posts: int | None,
) -> WatchSettings:
    """What the options say, else the section [opinion] of the settings."""
    from tailorbird.assistants.opinion.watching import WatchSettings
    from tailorbird.config import load_settings

    given = overrides(
        set_,
        opinion_window_s=_written(window_s),
        opinion_false_alarms_per_topic_month=_written(false_alarms),
        opinion_min_posts=_written(min_posts),
    )
    return WatchSettings.of(load_settings(config, overrides=given).opinion)


def _written(number: float | None) -> str:
    return "" if number is None else str(number)


def _channels(given: list[str] | None) -> dict[str, str]:
    """NAME=URL by name; ConfigError for one without either, which is not shown: it has secrets."""
    from tailorbird.errors import ConfigError

    found = {}
    for k, one in enumerate(given or [], start=1):
        name, equals, url = one.partition("=")
        if not (name and equals and "://" in url) or "://" in name:
            raise ConfigError(f"channel {k} is not NAME=URL", cure="as team=slack://…")
        found[name] = url
    return found


def _shown(alert: Any) -> dict[str, Any]:
    """An alert, kept or replayed, as JSON."""
    names = ("id", "topic", "entity", "level", "group", "story")
    times = {name: getattr(alert, name).isoformat() for name in ("created", "since", "until")}
    status = getattr(alert, "status", "") or ("closed" if alert.is_over else "new")
    return {name: getattr(alert, name) for name in names} | times | {"status": status}
