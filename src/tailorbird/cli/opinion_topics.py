"""``tailorbird opinion topics``: topics that nobody has named yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, print_json

if TYPE_CHECKING:
    from tailorbird.assistants.opinion.reading.reader import Reader
    from tailorbird.store import Workspace

topics = typer.Typer(help="Topics that nobody has named yet.", no_args_is_help=True)


@topics.command()
def propose(
    min_posts: Annotated[int, typer.Option(help="Posts of a proposal.", min=2)] = 5,
    *,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Look for topics among the posts that are far from all known ones.

    Example: tailorbird opinion topics propose
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.reading import Proposer

    with api.open_workspace(workspace) as space:
        rows = Proposer(min_posts=min_posts).propose(space, reader_of(space))
    _show(rows, as_json=as_json)


@topics.command("list")
def list_(workspace: options.Workspace = None, as_json: options.AsJson = False) -> None:
    """Show the known topics, and the proposals that wait for a name.

    Example: tailorbird opinion topics list
    """
    from sqlalchemy import select

    from tailorbird import api
    from tailorbird.assistants.opinion.reading import open_reader
    from tailorbird.store.tables.opinion import TopicProposalRow

    wanted = select(TopicProposalRow).where(TopicProposalRow.status == "new")
    with api.open_workspace(workspace) as space:
        reader = open_reader(space)
        known = list(reader.topics) if reader else []
        with space.sessions() as session:
            rows = list(session.scalars(wanted.order_by(TopicProposalRow.n_posts.desc())))
    _show(rows, known=known, as_json=as_json)


@topics.command()
def name(
    proposal: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    topic: Annotated[str, typer.Argument(help="What to call it; a known topic is possible.")],
    *,
    author: Annotated[str, typer.Option(help="Who says so.")] = "",
    workspace: options.Workspace = None,
) -> None:
    """Name a proposal: its posts have the topic from now on, and the next tuning learns it.

    Example: tailorbird opinion topics name 4f1c recall
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.reading import Proposer

    with api.open_workspace(workspace) as space:
        row = Proposer().name(space, _proposal(space, proposal), topic, author=author)
    SCREEN.print(f"[bold green]✓[/] {row.n_posts:,} posts are {escape(row.topic)}")


@topics.command()
def dismiss(
    proposal: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    *,
    workspace: options.Workspace = None,
) -> None:
    """Say that a proposal is no topic; its posts are not proposed again.

    Example: tailorbird opinion topics dismiss 4f1c
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.reading import Proposer

    with api.open_workspace(workspace) as space:
        Proposer().dismiss(space, _proposal(space, proposal))
    SCREEN.print("[bold green]✓[/] dismissed")


def _proposal(space: Workspace, beginning: str) -> str:
    """The id that begins so, where it is the only one; else what was given."""
    from sqlalchemy import select

    from tailorbird.store.tables.opinion import TopicProposalRow

    with space.sessions() as session:
        known = session.scalars(select(TopicProposalRow.id)).all()
    ids = [one for one in known if one.startswith(beginning)]
    return ids[0] if len(ids) == 1 else beginning


def _show(rows: Sequence[Any], *, known: Sequence[str] = (), as_json: bool) -> None:
    """Proposals for people, or as JSON."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        found = [
            {"id": row.id, "n_posts": row.n_posts, "words": row.words, "posts": row.posts}
            for row in rows
        ]
        print_json({"topics": list(known), "proposals": found})
        return
    if known:
        SCREEN.print(f"known: {escape(', '.join(known))}")
    table = Table("proposal", "posts", "words")
    for row in rows:
        table.add_row(row.id[:8], f"{row.n_posts:,}", escape(", ".join(row.words)))
    Console().print(table if rows else "no proposal waits for a name")


def reader_of(space: Workspace) -> Reader:
    """The reader in use; StoreError where there is none."""
    from tailorbird.assistants.opinion.reading import open_reader
    from tailorbird.errors import StoreError

    reader = open_reader(space)
    if reader is None:
        raise StoreError(
            "there is no reader yet", where=str(space.path), cure="tailorbird opinion tune ROWS"
        )
    return reader
