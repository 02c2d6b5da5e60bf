"""The verbs of ``tailorbird opinion`` that tune and use what reads posts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt
from tailorbird.cli.opinion_entities import Tagger
from tailorbird.cli.opinion_topics import reader_of, topics

if TYPE_CHECKING:
    from tailorbird.config import Settings
    from tailorbird.records import Example
    from tailorbird.store import Run, Workspace

app = typer.Typer(
    help="What reads posts: tune it, let it judge, name new topics.", no_args_is_help=True
)
app.add_typer(topics, name="topics")

Texts = Annotated[
    str,
    typer.Argument(help="File, folder or database URL; empty: the posts alone.", metavar="[TEXTS]"),
]


@app.command()
def tune(
    rows: Annotated[
        str,
        typer.Argument(help="Rows with topics, sentiment or both; empty: corrections alone."),
    ] = "",
    *,
    backbone: options.Backbone = "",
    method: options.Method = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    track: options.Track = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune topics and sentiment on ROWS and on what people corrected, and put the model into use.

    A row has a text, and topics, a sentiment or both; with an entity the sentiment is towards that.

    Example: tailorbird opinion tune news.jsonl
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.reading import training_rows, write_reader
    from tailorbird.assistants.opinion.reading.correcting import with_names_marked
    from tailorbird.config import load_settings
    from tailorbird.errors import DataError
    from tailorbird.runs import load_examples

    display = Display(quiet=as_json)
    given = options.overrides(set_, model_backbone=backbone, method_name=method)
    settings = load_settings(config, overrides=["task.name=joint", *given])
    with api.open_workspace(workspace) as space:
        placed = _rows_of(rows, "joint", settings, display) if rows else []
        placed = [(place, with_names_marked([one])[0]) for place, one in placed]
        corrections = training_rows(space)
        if not placed and not corrections:
            raise DataError(
                "there is nothing to tune on", cure="name a file of ROWS, or correct some posts"
            )
        display.say(f"{len(placed):,} rows, and {len(corrections):,} that people corrected")
        is_given = any(place for place, _ in placed)
        placed += [("train" if is_given else "", one) for one in corrections]
        source = _written(space, "rows.jsonl", placed)
        run, scores = _fit(source, space, settings, display, track)
        splits = load_examples(run)
        asked_in = settings.model.dtype
        reader = write_reader(
            space,
            run.path / "model",
            splits["train"],
            splits["validation"],
            computes_in=settings.tuning.dtype if asked_in == "auto" else asked_in,
            say=display.say,
        )
        if as_json:
            print_json(scores | {"reader": reader.id})
            return
        SCREEN.print(f"[bold green]✓[/] reader {reader.id} is in use")
        again = options.command("opinion judge", workspace=workspace)
        SCREEN.print(f"  read posts with it: {again}", markup=False)


@app.command()
def judge(
    limit: Annotated[int, typer.Option(help="At most so many posts; 0: all.", min=0)] = 0,
    *,
    tagger: Tagger = "",
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Read the posts that the reader in use has not read yet.

    Example: tailorbird opinion judge
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.gathering import EntityTable
    from tailorbird.assistants.opinion.gathering.tagging import TunedTags
    from tailorbird.assistants.opinion.reading.judging import Judge

    with api.open_workspace(workspace) as space:
        reader = reader_of(space)
        tags = TunedTags.open(tagger, space) if tagger else None
        judge = Judge(space, reader, EntityTable(space, tagger=tags))
        n_posts = 0
        while not limit or n_posts < limit:
            n_new = judge.judge_waiting(min(1024, limit - n_posts) if limit else 1024)
            n_posts += n_new
            if not n_new:
                break
    if as_json:
        print_json({"reader": reader.id, "posts": n_posts})
    else:
        SCREEN.print(f"{n_posts:,} posts read by {reader.id}")


@app.command()
def pretrain(
    texts: Texts = "",
    *,
    backbone: options.Backbone = "",
    passes: Annotated[
        int, typer.Option(help="How often each text is seen, other words hidden.", min=1)
    ] = 1,
    posts: Annotated[
        bool, typer.Option("--posts", help="The posts of the workspace, too.")
    ] = False,
    config: options.Config = None,
    set_: options.Overrides = None,
    track: options.Track = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Let a backbone learn the language of TEXTS, which need no labels, before it is tuned.

    What comes out is a folder for --backbone. Whether it pays is to be measured: tune with it and
    without it.

    Example: tailorbird opinion pretrain headlines.csv
    """
    from tailorbird import api
    from tailorbird.assistants.opinion.reading.texts import pieces_of, texts_of_posts
    from tailorbird.config import load_settings
    from tailorbird.errors import DataError
    from tailorbird.records import Example

    display = Display(quiet=as_json)
    given = options.overrides(set_, model_backbone=backbone)
    # One pass over rows that are there --passes times: other words are hidden each time.
    fixed = ["task.name=masked", "tuning.n_epochs=1"]
    settings = load_settings(config, overrides=[*fixed, *given])
    with api.open_workspace(workspace) as space:
        found = (
            [one.text for _, one in _rows_of(texts, "masked", settings, display)] if texts else []
        )
        found += texts_of_posts(space) if posts or not texts else []
        pieces = pieces_of(found)
        if not pieces:
            raise DataError("there are no texts", cure="name a file of TEXTS, or gather posts")
        held = max(1, min(1000, len(pieces) // 20))
        display.say(f"{len(pieces):,} pieces of {len(found):,} texts; {held:,} are held out")
        step = max(1, len(pieces) // held)
        away = set(range(0, len(pieces), step))
        examples = [Example(piece, lacks=("labels",)) for piece in pieces]
        placed = [("validation" if k in away else "train", e) for k, e in enumerate(examples)]
        placed += [(place, one) for place, one in placed if place == "train"] * (passes - 1)
        source = _written(space, "texts.jsonl", placed)
        run, scores = _fit(source, space, settings, display, track)
        folder = run.path / "model"
    if as_json:
        print_json(scores | {"backbone": str(folder)})
        return
    SCREEN.print(f"[bold green]✓[/] backbone: {escape(str(folder))}")
    use = options.command("opinion tune ROWS --backbone", str(folder), workspace=workspace)
    SCREEN.print(f"  tune from it with: {use}", markup=False)


def _rows_of(
    source: str, task: str, settings: Settings, display: Display
) -> list[tuple[str, Example]]:
    """Rows with the split that they name; empty where they name none."""
    from tailorbird.data.tasks import load_rows
    from tailorbird.records import SPLITS

    found = load_rows(source, task, settings.reading, split=None)
    for decision in found.decisions:
        display.say(decision)
    if found.n_rejected:
        display.say(f"{found.n_rejected:,} rows cannot be used and were left out")
    return [
        (split if found.is_given else "", one) for split in SPLITS for one in found.splits[split]
    ]


def _written(space: Workspace, name: str, placed: Iterable[tuple[str, Example]]) -> str:
    """*placed* rows as a file of the workspace, as `fitting.fit` reads them; its path."""
    path = space.path / "opinion" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for place, example in placed:
            row: dict[str, Any] = {"text": example.text}
            if example.interaction_id:
                row["id"] = example.interaction_id
            if "labels" not in example.lacks:
                row["topics"] = list(example.labels)
            if example.label:
                row["sentiment"] = example.label
            if place:
                row["split"] = place
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(path)


def _fit(
    source: str, space: Workspace, settings: Settings, display: Display, track: list[str] | None
) -> tuple[Run, dict[str, Any]]:
    """A run of its own over *source*; ends the program where it was stopped."""
    from tailorbird import fitting, planning

    run = planning.new_run(source, space, settings)
    display.say(f"run {run.name} in {space.path}")
    with stop_on_interrupt(display) as stop, closing(Audience(display)) as audience:
        audience.track(track, run)
        _, scores = fitting.fit(source, space, settings, run=run, listener=audience, stop=stop)
    if scores is None:
        SCREEN.print("stopped")
        raise typer.Exit(130)
    return run, scores
