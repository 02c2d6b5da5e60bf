"""The plan of a run, and the trials that some of its numbers are found by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from tailorbird.config import Settings
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.runs import FREEZE
from tailorbird.store import Run
from tailorbird.tuning import TuningPlan, plan_tuning, tasks
from tailorbird.tuning.freeze_search import (
    MAX_TRAIN_ROWS,
    MAX_VALIDATION_ROWS,
    FreezeSearch,
    FreezeTrial,
    choose,
    next_depth,
    sample,
    table_row,
    why_not,
)


def plan_run(
    model: TextModel,
    n_rows: int,
    settings: Settings,
    *,
    dtype_before: str = "",
    frozen: tuple[int, str] | None = None,
) -> tuple[TuningPlan, list[str]]:
    """The plan for *n_rows* training rows, with its decisions; see `plan_tuning`."""
    return plan_tuning(
        model,
        n_rows=n_rows,
        settings=settings.tuning,
        model_settings=settings.model,
        optimizer=settings.optimizer,
        loss=settings.loss,
        method=settings.method,
        dtype_before=dtype_before,
        frozen=frozen,
    )


def freeze_by_trial(
    run: Run,
    model: TextModel,
    splits: dict[str, list[Example]],
    settings: Settings,
    *,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> tuple[int, str] | None:
    """How many layers to freeze, and why; None where *stop* ended the search.

    Every trial is remembered in the run's ``freeze.json``, so that one that goes on does not try
    again; with other settings it does.
    """
    why = why_not(model, settings.method)
    if why:
        return plan_run(model, len(splits["train"]), settings)[0].n_frozen, why
    seed = settings.tuning.seed
    train = sample(splits["train"], MAX_TRAIN_ROWS, seed=seed)
    validation = sample(splits["validation"], MAX_VALIDATION_ROWS, seed=seed)

    trials = _remembered(run, settings)
    n_layers, facts = (
        model.backbone.n_layers,
        {"n_train": len(train), "n_validation": len(validation)},
    )
    if next_depth(trials, n_layers) is None:
        say(f"frozen layers: as tried before ({FREEZE} of the run)")
        return choose(trials, **facts)

    def plan_for(n_frozen: int) -> TuningPlan:
        return plan_run(model, len(train), settings, frozen=(n_frozen, "tried"))[0]

    search = FreezeSearch(
        model,
        tasks.encode_examples(model, train),
        tasks.encode_examples(model, validation),
        plan_for,
        starts_head=settings.model.init_head == "features",
        stop=stop,
    )
    say(
        f"trying how many layers may stay frozen, on {len(train):,} training and "
        f"{len(validation):,} validation rows, {search.plan(0).n_epochs} epochs each"
    )
    for line in (table_row(), *map(table_row, trials)):
        say(line)
    for trial in search.trials(trials):
        say(table_row(trial))
        trials.append(trial)
        rows = [asdict(one) for one in trials]
        run.write_json(FREEZE, {"settings": _that_matter(settings), "trials": rows})
    return None if next_depth(trials, n_layers) is not None else choose(trials, **facts)


def _remembered(run: Run, settings: Settings) -> list[FreezeTrial]:
    """The trials of the same settings that the run has done before."""
    if not (run.path / FREEZE).is_file():
        return []
    before = run.read_json(FREEZE)
    is_same = before["settings"] == _that_matter(settings)
    return [FreezeTrial(**trial) for trial in before["trials"]] if is_same else []


def _that_matter(settings: Settings) -> dict[str, object]:
    """The settings that the outcome of a trial depends on, JSON-ready."""
    sections = settings.to_json()
    model = {k: v for k, v in sections["model"].items() if not k.startswith("trunk_")}
    names = ("method", "tuning", "optimizer", "loss")
    return {name: sections[name] for name in names} | {"model": model}
