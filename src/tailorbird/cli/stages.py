"""Each stage of a build as a verb of its own: ``read clean split tune evaluate bundle``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt
from tailorbird.config import Settings, load_settings


def read(
    logs: options.Logs,
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    text: options.TextColumn = "",
    label: options.LabelColumn = "",
    user: options.UserColumn = "",
    time: options.TimeColumn = "",
    reply: options.ReplyColumn = "",
    roles: options.Roles = "",
    table: options.Table = "",
    as_json: options.AsJson = False,
) -> None:
    """Read LOGS into a new run: interactions.jsonl and rejects.jsonl."""
    from tailorbird import api, runs

    settings = load_settings(
        config,
        overrides=options.overrides(
            set_,
            reading_text=text,
            reading_label=label,
            reading_user=user,
            reading_time=time,
            reading_reply=reply,
            reading_roles=roles,
            reading_table=table,
        ),
    )
    display = Display(quiet=as_json)
    with api.open_workspace(workspace) as space:
        started = runs.start_run(logs, space, settings, run)
        summary = api.read(logs, started, settings, say=display.say)
        _finish(started, summary, "clean", as_json)


def clean(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    as_json: options.AsJson = False,
) -> None:
    """Clean the run's interactions: duplicates, markup, width, PII."""
    from tailorbird import api

    with _stage(workspace, run, set_, as_json) as at:
        summary = api.clean(at.run, at.settings, say=at.display.say)
        _finish(at.run, summary, "split", as_json)


def split(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    by: options.SplitBy = "",
    labels: options.LabelsFile = "",
    rules: options.RulesFile = "",
    as_json: options.AsJson = False,
) -> None:
    """Label where asked to, and divide into train, validation and test."""
    from tailorbird import api

    given = options.overrides(set_, split_by=by, labelling_labels=labels, labelling_rules=rules)
    with _stage(workspace, run, given, as_json) as at:
        summary = api.split(at.run, at.settings, say=at.display.say)
        _finish(at.run, summary, "tune", as_json)


def tune(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    backbone: options.Backbone = "",
    method: options.Method = "",
    freeze: options.Freeze = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    checkpoint_every: Annotated[
        float, typer.Option(help="Seconds between checkpoints.", min=0.0)
    ] = 60.0,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Do not tune: try learning rates, advise one.")
    ] = False,
    track: options.Track = None,
    as_json: options.AsJson = False,
) -> None:
    """Tune a pretrained model on the run's training examples."""
    from tailorbird import api, runs

    given = options.overrides(
        set_, model_backbone=backbone, method_name=method, model_freeze_layers=freeze
    )
    with _stage(workspace, run, given, as_json) as at, stop_on_interrupt(at.display) as stop:
        if find_rate:
            _find_rate(at, as_json, workspace)
            return
        with closing(Audience(at.display)) as audience:
            audience.stage("tune")
            audience.track(track, at.run)
            reports = api.tune(
                at.run,
                at.space,
                at.settings,
                say=audience.say,
                stop=stop,
                resume=resume,
                checkpoint_every_s=checkpoint_every,
            )
            for report in reports:
                audience.step(report)
        if not runs.done(at.run, "tune"):
            at.run.set_status("interrupted", "stopped while tuning")
            again = options.command("tune --resume --run", at.run.name, workspace=workspace)
            SCREEN.print(f"stopped; go on with: {again}", markup=False)
            raise typer.Exit(130)
        _finish(at.run, at.run.read_json("tune.json"), "evaluate", as_json)


def _find_rate(at: _At, as_json: bool, workspace: Path | None) -> None:
    """Sweep the learning rate; print the advice, as a command to go on with, and the plot's place.

    The run keeps the rate it has until that command is given.
    """
    from tailorbird import api

    advice = api.find_rate(at.run, at.space, at.settings, say=at.display.say)
    page = at.run.path / "rates.html"
    if as_json:
        print_json({"run": at.run.name, **advice, "plot": str(page)})
        return
    SCREEN.print(f"plot: {page}", markup=False)
    words = (at.run.name, "--set", f"tuning.learning_rate={advice['rate']:g}")
    use = options.command("tune --run", *words, workspace=workspace)
    SCREEN.print(f"use it: {use}", markup=False)


def evaluate(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    again: Annotated[bool, typer.Option(help="Look at the test split once more.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure the tuned model on validation and, once, on test; write the report."""
    from tailorbird import api

    with _stage(workspace, run, set_, as_json) as at:
        summary = api.evaluate(at.run, at.settings, say=at.display.say, again=again)
        _finish(at.run, summary["test"], "bundle", as_json)


def bundle(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    templates: Annotated[
        Path | None, typer.Option(help="Answers to use, in place of the logs' best.", exists=True)
    ] = None,
    publish: Annotated[bool, typer.Option(help="Make the bundle the live one.")] = True,
    as_json: options.AsJson = False,
) -> None:
    """Pack model, answers and report into a checked bundle, and publish it."""
    from tailorbird import api

    with _stage(workspace, run, set_, as_json) as at:
        made = api.bundle(
            at.run,
            at.space,
            at.settings,
            say=at.display.say,
            templates=templates,
            go_live=publish,
        )
        at.run.set_status("done")
        _finish(at.run, {"bundle": made.id, "path": str(made.path)}, "serve", as_json)


@dataclass(frozen=True, slots=True)
class _At:
    space: Any
    run: Any
    settings: Settings
    display: Display


@contextmanager
def _stage(
    workspace: Path | None, run: str, changes: list[str] | None, as_json: bool
) -> Iterator[_At]:
    """The run with its settings as changed; the changes are remembered in the run."""
    from tailorbird import api, runs

    with api.open_workspace(workspace) as space:
        current = space.run(run)
        settings = runs.change_settings(current, changes or ())
        yield _At(space, current, settings, Display(quiet=as_json))


def _finish(run: Any, summary: dict[str, Any], following: str, as_json: bool) -> None:
    if as_json:
        print_json({"run": run.name, **summary})
    else:
        SCREEN.print(f"[bold green]✓[/] run {run.name}; next: tailorbird {following}")


VERBS: tuple[Callable[..., None], ...] = (read, clean, split, tune, evaluate, bundle)
