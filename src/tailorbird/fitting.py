"""From rows of any task to a tuned model and its scores; for tasks that are not an assistant's.

    from tailorbird import api, fitting
    with api.open_workspace() as workspace:
        settings = load_settings(overrides=["task.name=multi_label"])
        run, scores = fitting.fit("reviews.csv", workspace, settings)
        fitting.apply(run, "new_reviews.csv")

The stages are those of a build where they are the same: rows are read and divided, the model is
tuned by `api.tune`, its checkpoints and curves are those of any run. What comes out is a model and
its scores; only one-label models become bundles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tailorbird import api, data, evaluation, plugins, tuning
from tailorbird.config import Settings
from tailorbird.errors import DataError, StoreError
from tailorbird.modeling import load_model
from tailorbird.planning import new_run
from tailorbird.records import SPLITS, Example
from tailorbird.runs import begin, done, load_examples, run_settings
from tailorbird.store import Run, Workspace


def fit(
    source: str,
    workspace: Workspace,
    settings: Settings,
    *,
    run: Run | None = None,
    listener: api.Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Run, dict[str, Any] | None]:
    """From rows to a tuned model and its scores; with a *run*, only what it has not done yet.

    Returns the run, and None for the scores where *stop* asked to interrupt the tuning.
    """
    listener = listener or api.Silence()
    run = run or new_run(source, workspace, settings)
    run.set_status("running")
    try:
        if not done(run, "split"):
            listener.stage("rows")
            rows(source, run, settings, say=listener.say)
        if not done(run, "tune"):
            listener.stage("tune")
            reports = api.tune(run, workspace, settings, say=listener.say, stop=stop, resume=True)
            for report in reports:
                listener.step(report)
        if not done(run, "tune"):
            run.set_status("interrupted", "stopped while tuning")
            return run, None
        listener.stage("score")
        found = score(run, settings, say=listener.say)
    except BaseException as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        run.set_status("interrupted" if is_interrupt else "failed", str(error))
        raise
    run.set_status("done")
    return run, found


def rows(source: str, run: Run, settings: Settings, *, say: api.Say = lambda _: None) -> None:
    """Rows → ``examples.jsonl`` (divided) and ``rejects.jsonl`` of the run."""
    begin(run, "read")
    plugins.load_wanted(settings.task.plugin)
    with (run.path / "rejects.jsonl").open("w", encoding="utf-8") as rejects:

        def keep(reject: Any) -> None:
            rejects.write(json.dumps(reject.to_json(), ensure_ascii=False) + "\n")

        found = _load(source, settings, keep)
    decisions, splits = list(found.decisions), found.splits
    if settings.cleaning.mask_pii:
        splits = {name: tuple(map(data.tasks.mask_example, splits[name])) for name in SPLITS}
        if any(example.spans for example in found.examples):
            decisions.append("rows with spans are not masked: spans count their characters")
    if not splits["train"]:
        raise DataError("there is no row to train on", where=source, cure="look at rejects.jsonl")
    with (run.path / "examples.jsonl").open("w", encoding="utf-8") as file:
        for name in SPLITS:
            for example in splits[name]:
                row = {"split": name, **example.to_json()}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    sizes = {name: len(splits[name]) for name in SPLITS}
    decisions.append("rows: " + ", ".join(f"{n:,} {name}" for name, n in sizes.items()))
    for decision in decisions:
        say(decision)
    counts = {"n_rows": found.n_rows, "n_rejected": found.n_rejected}
    run.write_json("read.json", counts)
    run.write_json("clean.json", {})
    run.write_json("split.json", {"sizes": sizes, "decisions": decisions})


def _load(source: str, settings: Settings, on_reject: Callable[[Any], None]) -> data.tasks.TaskRows:
    """The rows of the task; of a dialogue also the turns of any logs that a build reads."""
    name = settings.task.name
    kind = tuning.tasks.find_task(name).row_kind
    if kind == "dialogue":
        try:
            return data.tasks.load_dialogues(source, settings, on_reject=on_reject)
        except DataError:  # no logs: instructions with their outputs, perhaps
            pass
    return data.tasks.load_rows(
        source, kind, settings.reading, split=settings.split, on_reject=on_reject
    )


def score(
    run: Run, settings: Settings, *, say: api.Say = lambda _: None, again: bool = False
) -> dict[str, Any]:
    """Loss and scores of the tuned model on validation and, once, on test → ``scores.json``."""
    plugins.load_wanted(settings.task.plugin)
    splits = load_examples(run)
    model = load_model(run.path / "model")
    task = tuning.tasks.find_task(model.spec.task)

    def measured(name: str) -> dict[str, float]:
        loss, scores = task.measure(model, task.encode(model, splits[name]), task)
        found = {"loss": loss, **scores}
        shown = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
        say(f"{name}: {shown} ({len(splits[name]):,} rows)")
        return found

    result: dict[str, Any] = {"task": task.name, "run": run.name}
    if splits["validation"]:
        result["validation"] = measured("validation")
    if splits["test"]:
        with evaluation.open_test_once(run.path, "score", again=again) as openings:
            result |= {"test": measured("test"), "test_openings": openings}
    run.write_json("scores.json", result)
    return result


def apply(run: Run, source: str, *, limit: int = 0) -> list[dict[str, Any]]:
    """What the run's model says of each row of *source*, with the row; the first *limit* or all."""
    settings = run_settings(run)
    plugins.load_wanted(settings.task.plugin)
    kind = tuning.tasks.find_task(settings.task.name).row_kind
    found = data.tasks.load_rows(source, kind, settings.reading, split=None, needs_truth=False)
    examples = found.examples[: limit or None]
    said = predict(run, examples)
    return [{**e.to_json(), "predicted": p} for e, p in zip(examples, said, strict=True)]


def predict(run: Run, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """What the run's model says of each example.

    Raises StoreError where the run has not been tuned.
    """
    if not done(run, "tune"):
        raise StoreError("has no tuned model", where=f"run {run.name}", cure="fit it first")
    plugins.load_wanted(run_settings(run).task.plugin)
    model = load_model(Path(run.path) / "model")
    return tuning.tasks.find_task(model.spec.task).predict(model, examples)
