"""``tailorbird search``: which settings are best on validation, by trying."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Audience, Display, print_json, stop_on_interrupt

Logs = Annotated[
    str,
    typer.Argument(
        help="Logs as build reads them, or with --task rows as fit does; left out: a run's rows.",
        metavar="LOGS",
        show_default=False,
    ),
]
Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        help="A setting and its values: tuning.learning_rate=1e-4..1e-2:log, method.rank=4,8,16, "
        "model.freeze_layers=2..5, loss.label_smoothing=0..0.2:0.05; repeat for more.",
        show_default="by method and model",
    ),
]
Trials = Annotated[
    int, typer.Option("--trials", help="Trials in all.", show_default="20, or as begun", min=0)
]
Sampler = Annotated[str, typer.Option(help="How values are chosen: tpe, random, grid or gp.")]
Pruner = Annotated[
    str, typer.Option(help="How poor trials are given up: none, median, asha or hyperband.")
]
ByLoss = Annotated[
    bool, typer.Option("--by-loss", help="The lowest validation loss wins, not the best score.")
]
Workers = Annotated[
    int, typer.Option("--workers", help="Processes; with 1 a search repeats exactly.", min=1)
]
Task = Annotated[str, typer.Option("--task", help="The task of ROWS; see fit --help.")]
Plugin = Annotated[str, typer.Option("--plugin", help="Python file with a task of your own.")]


def search(
    logs: Logs = "",
    *,
    over: Over = None,
    trials: Trials = 0,
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    by_loss: ByLoss = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the values that are drawn.")] = 0,
    workers: Workers = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search of the latest run, or --run.")
    ] = False,
    then_build: Annotated[
        bool, typer.Option("--then-build", help="Build (or fit) with the settings that won.")
    ] = False,
    task: Task = "",
    plugin: Plugin = "",
    workspace: options.Workspace = None,
    run: options.RunName = "",
    config: options.Config = None,
    set_: options.Overrides = None,
    text: options.TextColumn = "",
    label: options.LabelColumn = "",
    backbone: options.Backbone = "",
    method: options.Method = "",
    as_json: options.AsJson = False,
) -> None:
    """Try settings, judge them on validation rows, and keep the best as best.toml.

    Example: tailorbird search examples/logs/shop.jsonl --method lora --over method.rank=4,8,16
    """
    from tailorbird import api, runs
    from tailorbird.config import load_settings
    from tailorbird.search import SearchPlan

    given = options.overrides(
        set_,
        task_name=task,
        task_plugin=plugin,
        reading_text=text,
        reading_label=label,
        model_backbone=backbone,
        method_name=method,
    )
    plan = SearchPlan(tuple(over or ()), trials or 20, sampler, pruner, by_loss, seed, workers)
    display = Display(quiet=as_json)
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        if logs and not resume:
            settings = load_settings(config, overrides=given)
            plan.check(settings)
            current = runs.start_run(logs, space, settings, run)
            display.say(f"run {current.name} in {space.path}")
            _read(logs, current, settings, display, is_task=bool(task))
        else:
            current = _existing(logs, space.run(run), config, [] if resume else given)
        display.is_tuning = True  # an interrupt ends a step, not the program
        begun = None if resume else plan
        found = api.search(current, space, begun, n_trials=trials, say=display.say, stop=stop)
        if stop():
            current.set_status("interrupted", "stopped while searching")
            _stopped("search --resume --run", current.name, workspace=workspace)
        current.set_status("done", "searched")
        if then_build:
            found |= _build(current, space, display, stop)
        _tell(found, current, workspace, is_built=then_build, as_json=as_json)


def _stopped(verb: str, *words: str, workspace: Path | None) -> NoReturn:
    again = options.command(verb, *words, workspace=workspace)
    SCREEN.print(f"stopped; go on with: {again}", markup=False)
    raise typer.Exit(130)


def _read(logs: str, run: Any, settings: Any, display: Display, *, is_task: bool) -> None:
    """The rows of *logs*, divided: as build does it, or as fit does."""
    from tailorbird import api, fitting

    if is_task or settings.task.name != "single_label":
        fitting.rows(logs, run, settings, say=display.say)
    else:
        api.read(logs, run, settings, say=display.say)
        api.clean(run, settings, say=display.say)
        api.split(run, settings, say=display.say)


def _existing(logs: str, run: Any, config: Path | None, changes: list[str]) -> Any:
    """A run that has its rows; it remembers the *changes* of its settings."""
    from tailorbird import runs
    from tailorbird.errors import ConfigError

    if logs:
        runs.check_source(run, logs)
    if config is not None:
        raise ConfigError(
            "a run has its settings", where=str(config), cure="change them one by one with --set"
        )
    runs.change_settings(run, changes)
    return run


def _is_of_a_task(run: Any) -> bool:
    """Whether the rows were read as fit reads them, which cleans nothing."""
    return not run.read_json("clean.json")


def _build(run: Any, space: Any, display: Display, stop: Any) -> dict[str, Any]:
    """Go on in the same run with the settings that won."""
    from tailorbird import api, fitting, runs
    from tailorbird.search import take_best

    settings = take_best(run)
    runs.begin(run, "tune")  # one that was tuned before is tuned anew
    with closing(Audience(display)) as audience:
        if _is_of_a_task(run):
            _, scores = fitting.fit(
                run.source, space, settings, run=run, listener=audience, stop=stop
            )
            made: Any = scores
        else:
            made = api.build(run.source, space, settings, run=run, listener=audience, stop=stop)
    if made is None:
        verb = "fit" if _is_of_a_task(run) else "build"
        _stopped(f"{verb} --resume", run.source, workspace=space.path)
    return {"fit": made} if _is_of_a_task(run) else {"bundle": made.id}


def _tell(
    found: dict[str, Any], run: Any, workspace: Path | None, *, is_built: bool, as_json: bool
) -> None:
    verb = "fit" if _is_of_a_task(run) else "build"
    following = options.command(
        f"{verb}", run.source, "--config", found["config"], workspace=workspace
    )
    if as_json:
        print_json(found | {"next": following})
        return
    best = found["best"]
    values = ", ".join(f"{key}={value}" for key, value in best["settings"].items())
    SCREEN.print(
        f"best: trial {best['trial']}, {found['metric']} {best['value']:.4f}", markup=False
    )
    SCREEN.print(f"  {values}", markup=False)
    SCREEN.print(f"page: {found['page']}", markup=False)
    if not is_built:
        SCREEN.print(f"use it: {following}", markup=False)
