"""``tailorbird sample``: the other assistants with something in them, to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN

if TYPE_CHECKING:
    from tailorbird.store import Workspace as Space


SOURCE = "sample"
"""What its posts are from."""


def sample(
    kind: Annotated[str, typer.Argument(help="Which assistant.", metavar="opinion|recommend")],
    *,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the samples.", file_okay=False, show_default="that of the sources"
        ),
    ] = None,
    workspace: options.Workspace = None,
) -> None:
    """Take the sample of an assistant in, and tune what that needs; it may be given again.

    Not into a workspace with posts or items of your own: invented ones would stand among them.

    A service that runs takes it over by itself: look at /console/opinion or /console/recommend.

    Example: tailorbird sample opinion
    """
    load = _loader_of(kind)
    folder = samples_in(examples) / kind
    _check_is_free(folder, kind, workspace)
    load(folder, workspace)
    SCREEN.print(f"[bold green]✓[/] look at /console/{kind} of: tailorbird serve")


def _loader_of(kind: str) -> Callable[[Path, Path | None], None]:
    """What takes the sample of the assistant *kind* in; ConfigError where there is none."""
    from tailorbird.errors import ConfigError

    if kind not in LOADERS:
        raise ConfigError(
            f"there is no sample of an assistant {kind!r}", cure=f"name one of {', '.join(LOADERS)}"
        )
    return LOADERS[kind]


def samples_in(given: Path | None) -> Path:
    """The folder of all samples; ConfigError where it is not there."""
    from tailorbird.errors import ConfigError

    beside = Path(__file__).parents[3] / "examples"
    for folder in (given,) if given else (Path("examples"), beside):
        if (folder / "opinion").is_dir() and (folder / "recommend").is_dir():
            return folder
    raise ConfigError(
        "holds no samples",
        where=str(given or beside),
        cure="name the folder examples/ of the sources with --examples",
    )


def _check_is_free(folder: Path, kind: str, workspace: Path | None) -> None:
    """Raise ConflictError where there is something that is not of the sample."""
    from sqlalchemy import select

    from tailorbird import api
    from tailorbird.errors import ConflictError
    from tailorbird.store.tables import ItemRow, PostRow

    with api.open_workspace(workspace) as space, space.sessions() as session:
        if kind == "opinion":
            own = session.scalar(select(PostRow.id).where(PostRow.source != SOURCE).limit(1))
        else:
            lines = (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()
            ours = {str(json.loads(line)["id"]) for line in lines}
            own = next(
                (one for one in session.scalars(select(ItemRow.id)) if one not in ours), None
            )
        if own is not None:
            raise ConflictError(
                f"holds {'posts' if kind == 'opinion' else 'items'} of its own",
                where=str(space.path),
                cure="name another with --workspace: invented ones would stand among them",
            )


def without_anything(space: Space) -> list[str]:
    """The assistants whose page is empty in this workspace."""
    from sqlalchemy import select

    from tailorbird.store.tables import EventRow, PostRow

    with space.sessions() as session:
        some = {
            "opinion": session.scalar(select(PostRow.id).limit(1)),
            "recommend": session.scalar(select(EventRow.key).limit(1)),
        }
    return [name for name, found in some.items() if found is None]


def _opinion(folder: Path, workspace: Path | None) -> None:
    """Posts first, so that there is something to see; then what reads them, where nothing does."""
    from tailorbird import api
    from tailorbird.assistants.opinion.opening import LIVE
    from tailorbird.cli import opinion_entities, opinion_models, opinion_sources, opinion_watch

    opinion_sources.take(folder / "posts.jsonl", source=SOURCE, workspace=workspace)
    opinion_entities.import_(folder / "aliases.csv", workspace=workspace)
    with api.open_workspace(workspace) as space:
        has_reader = (space.path / LIVE).is_file()
    if not has_reader:
        opinion_models.tune(str(folder / "labelled.jsonl"), workspace=workspace)
    opinion_models.judge(workspace=workspace)
    opinion_watch.watch(once=True, workspace=workspace)


def _recommend(folder: Path, workspace: Path | None) -> None:
    """Items and events, and what learns from them, where nothing has."""
    from tailorbird import api
    from tailorbird.assistants.recommend.published import live_id
    from tailorbird.cli import recommend, recommend_fit

    recommend.items(str(folder / "items.jsonl"), workspace=workspace)
    recommend.events(str(folder / "events.csv"), workspace=workspace)
    with api.open_workspace(workspace) as space:
        has_model = bool(live_id(space))
    if not has_model:
        recommend_fit.fit(workspace=workspace)


LOADERS = {"opinion": _opinion, "recommend": _recommend}
"""Assistants that have a sample, and what takes it in."""
