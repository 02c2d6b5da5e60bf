"""Doing a search: trials run, and after each of them its files say how things stand.

``best.toml`` holds the settings that won so far, ``search.json`` every trial, ``search.html`` the
page; a search that is killed leaves those of its last trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tailorbird import planning
from tailorbird.config import Settings
from tailorbird.errors import StoreError, TuningError
from tailorbird.evaluation.search_page import write_search_page
from tailorbird.jobs import Job, JobResult, run_jobs
from tailorbird.records import Example
from tailorbird.runs import change_settings, load_examples
from tailorbird.search.best import to_toml, write_best
from tailorbird.search.searching import FOLDER, Search
from tailorbird.search.space import value_of, with_values
from tailorbird.search.trials import Bench, Launch, OnReport, Trial, run_trials
from tailorbird.store import Run, Workspace

Say = Callable[[str], None]
BEST = "best.toml"
RESULT = "search.json"
PAGE = "search.html"


def run_search(
    search: Search,
    workspace: Workspace,
    *,
    n_trials: int = 0,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    launch: Launch | None = None,
) -> dict[str, Any]:
    """Do the trials that are left; what was found, JSON-ready.

    Args:
        search: as `open_search` gives it.
        workspace: where weights, and states of frozen layers, are kept.
        n_trials: in all, those of before counted; 0: as planned.
        say: hears how each trial went.
        stop: asked after every step; the search can then be gone on with.
        launch: what does the jobs; None: `run_jobs`.

    Raises TuningError where every trial failed.
    """
    splits = load_examples(search.run)
    pool = [*splits["train"], *splits["validation"]]
    bench = Bench(
        settings=search.shared,
        n_train=len(splits["train"]),
        n_validation=len(splits["validation"]),
        by_loss=search.plan.by_loss,
        launch=launch or _launch(search, workspace, pool, len(splits["train"]), say, stop),
        n_workers=search.plan.n_workers,
    )
    wanted = n_trials or search.plan.n_trials
    most = search.study.n_most
    if most is not None and most < wanted:
        say(f"trials: {most} (the grid has no more)")
    say(_begins(search, wanted))
    for trial in run_trials(search.study, bench, n_trials=wanted, stop=stop):
        say(line(trial, search))
        _keep(search, is_end=False)
    trials = search.trials
    if trials and not any(trial.state == "done" for trial in trials):
        raise TuningError(
            f"none of {len(trials)} trials came to its end; the first: "
            f"{trials[0].result.get('error') or trials[0].state}",
            where=f"run {search.run.name}",
            cure=f"see {search.run.path / PAGE}; another --over, or --pruner none",
        )
    return _keep(search, is_end=True)


def take_best(run: Run) -> Settings:
    """The run's settings with those that won; the run goes on with them.

    Raises StoreError where the run has no search.
    """
    best = run.read_json(RESULT)["best"]
    if best is None:
        raise StoreError("no trial has come to its end", where=f"run {run.name}", cure="search on")
    return change_settings(run, [f"{k}={to_toml(v)}" for k, v in best["settings"].items()])


def line(trial: Trial, search: Search) -> str:
    """How a trial went, for a person who watches."""
    values = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in trial.values.items())
    result, best = trial.result, search.best
    if trial.state == "failed":
        return f"trial {trial.number}: failed ({result.get('error', '')}); {values}"
    score = "" if trial.value is None else f" {trial.value:.4f}"
    how = f"same as {result['same_as']}" if "same_as" in result else f"{result['train_s']:.1f} s"
    note = ", given up early" if trial.state == "pruned" else ""
    is_best = best is not None and best.number == trial.number
    so_far = "" if best is None else f"; best so far {best.value:.4f} (trial {best.number})"
    tail = "; the best so far" if is_best else so_far
    name = metric_name(search, trial)
    return f"trial {trial.number}: {name}{score} ({how}{note}), {values}{tail}"


def _begins(search: Search, n_trials: int) -> str:
    plan, n_over = search.plan, len(search.trials)
    n_open = len(search.study.unfinished())
    before = f"; {n_over} done before" + (f", {n_open} begun" if n_open else "") if n_over else ""
    processes = "one process" if plan.n_workers == 1 else f"{plan.n_workers} processes"
    return (
        f"searching: {n_trials} trials, sampler {plan.sampler}, pruner {plan.pruner}, "
        f"seed {plan.seed}, {processes}{before}"
    )


def metric_name(search: Search, trial: Trial | None) -> str:
    """What is searched for, as a trial's scores name it."""
    names = list(trial.result.get("scores") or ()) if trial else []
    return "loss" if search.plan.by_loss else (names or ["score"])[0]


def _keep(search: Search, *, is_end: bool) -> dict[str, Any]:
    """Write what is known so far; JSON-ready."""
    trials, best, run = search.trials, search.best, search.run
    found: dict[str, Any] = {
        "run": run.name,
        "metric": metric_name(search, best),
        "best": None,
        "n_trials": len(trials),
        **{f"n_{state}": sum(t.state == state for t in trials) for state in _STATES},
        "plan": {
            "over": [str(dimension) for dimension in search.space],
            "sampler": search.plan.sampler,
            "pruner": search.plan.pruner,
            "seed": search.plan.seed,
            "n_workers": search.plan.n_workers,
        },
        "page": str(run.path / PAGE),
    }
    if best is not None:
        won = with_values(search.settings, best.values)
        write_best(run.path / BEST, won, _comment(search, best))
        found["best"] = {
            "trial": best.number,
            "value": best.value,
            **{key: best.result[key] for key in ("scores", "loss", "best_step", "weights")},
            "settings": best.values,
        }
        found["config"] = str(run.path / BEST)
        _drop_weights(trials, best)
    # read by what is slow to load, so at the end alone
    found["importances"] = search.study.importances() if is_end else {}
    found["trials"] = [
        {"trial": t.number, "state": t.state, "value": t.value, "settings": t.values}
        | {key: fact for key, fact in t.result.items() if key != "weights"}
        for t in trials
    ]
    run.write_json(RESULT, found)
    write_search_page(run.path / PAGE, found, dimensions=_dimensions(search), said=search.said)
    return found


_STATES = ("done", "pruned", "failed")


def _comment(search: Search, best: Trial) -> str:
    scores = ", ".join(f"{name} {value:.4f}" for name, value in best.result["scores"].items())
    return (
        f"Trial {best.number} of {len(search.trials)} of the search in run {search.run.name}.\n"
        f"On validation: {scores}, loss {best.result['loss']:.4f}; test rows were not looked at."
    )


def _dimensions(search: Search) -> list[dict[str, Any]]:
    """What a plot of each setting needs."""
    return [
        {
            "key": d.key,
            "is_log": d.is_log,
            "is_whole": d.is_whole,
            "choices": [str(choice) for choice in d.choices],
        }
        for d in search.space
    ]


def _drop_weights(trials: Sequence[Trial], best: Trial) -> None:
    """Of trials that did not win nobody needs the weights: tuning everything, they are many."""
    for trial in trials:
        weights = trial.result.get("weights")
        if weights and weights != best.result.get("weights"):
            Path(weights).unlink(missing_ok=True)


def _launch(
    search: Search,
    workspace: Workspace,
    pool: list[Example],
    n_train: int,
    say: Say,
    stop: Callable[[], bool],
) -> Launch:
    """Jobs in the run's folder, those of one backbone together, over states of the workspace."""
    bases: dict[str, Any] = {}
    folder = search.run.path / FOLDER
    names = [str(c) for d in search.space if d.key == "model.backbone" for c in d.choices]

    def base_of(settings: Settings) -> Any:
        name = settings.model.backbone
        if name not in bases:
            bases[name] = planning.backbone_of(pool[:n_train], workspace, settings, lambda _: None)
        return bases[name]

    def tell(sentence: str) -> None:
        if not sentence.endswith("were there already"):  # which is so in every trial but the first
            say(sentence)

    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        def backbone(job: Job) -> str:
            return str(value_of(job.settings, "model.backbone"))

        for name, group in groupby(sorted(jobs, key=backbone), key=backbone):
            some = list(group)
            yield from run_jobs(
                base_of(some[0].settings),
                pool,
                some,
                folder / (f"jobs-{names.index(name)}" if name in names else "jobs"),
                n_workers=search.plan.n_workers,
                on_report=on_report,
                say=tell,
                stop=stop,
                trunk_folder=workspace.cache_path / "trunk",
            )

    return launch
