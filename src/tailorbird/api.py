"""The few functions a notebook needs: every stage of a build, and the build itself.

    from tailorbird import api
    with api.open_workspace() as workspace:
        bundle = api.build("logs.jsonl", workspace)
        bundle.predict(["where is my parcel?"])

Each stage reads what the one before left in the run's folder and leaves its own files there, so
a stage can be repeated, and a killed build goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tailorbird import data, measuring, scope
from tailorbird.bundle import Bundle, BundleContents, load_bundle, registry, write_bundle
from tailorbird.bundle import templates as answers
from tailorbird.config import Settings
from tailorbird.data import load_interactions, write_interactions
from tailorbird.errors import StoreError, TooManyRejectsError
from tailorbird.records import SPLITS, StepReport
from tailorbird.runs import (
    CHECKPOINT,
    CURVE,
    OUTSIDE,
    begin,
    cut_curve,
    done,
    fingerprint,
    load_examples,
    write_examples,
)
from tailorbird.store import Run, Workspace

if TYPE_CHECKING:
    from tailorbird.search import SearchPlan
    from tailorbird.serving.explainer import Reasons

Say = Callable[[str], None]


class Listener(Protocol):
    """Whoever watches a build: a progress display, a notebook, nobody."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def say(self, sentence: str) -> None:
        """A decision was taken, with its reason."""

    def step(self, report: StepReport) -> None:
        """The tuning run moved on."""


class Silence:
    """The listener that hears nothing."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""


def open_workspace(path: str | Path | None = None) -> Workspace:
    """The workspace folder: *path*, else ``$TAILORBIRD_WORKSPACE``, else ``~/.tailorbird``."""
    return Workspace.open(path)


def build(
    source: str,
    workspace: Workspace,
    settings: Settings | None = None,
    *,
    run: Run | None = None,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Bundle | None:
    """From logs to the live bundle; with a *run*, only what it has not done yet.

    Returns None where *stop* asked to interrupt the tuning; the run can then be resumed.
    """
    settings, listener = settings or Settings(), listener or Silence()
    measuring.check_task(settings.task.name, where="build")
    from tailorbird import planning

    run = run or planning.new_run(source, workspace, settings)
    say = listener.say
    run.set_status("running")
    try:
        if not done(run, "read"):
            listener.stage("read")
            read(source, run, settings, say=say)
        if not done(run, "clean"):
            listener.stage("clean")
            clean(run, settings, say=say)
        if not done(run, "split"):
            listener.stage("split")
            split(run, settings, say=say)
        if not done(run, "tune"):
            listener.stage("tune")
            for report in tune(run, workspace, settings, say=say, stop=stop, resume=True):
                listener.step(report)
        if not done(run, "tune"):
            run.set_status("interrupted", "stopped while tuning")
            return None
        if not done(run, "evaluate"):
            listener.stage("evaluate")
            evaluate(run, settings, say=say)
        listener.stage("bundle")
        made = bundle(run, workspace, settings, say=say)
    except BaseException as error:
        run.set_status(
            "interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error)
        )
        raise
    run.set_status("done")
    return made


def read(source: str, run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """Logs → ``interactions.jsonl``, ``rejects.jsonl`` and ``read.json`` of the run."""
    begin(run, "read")
    with (run.path / "rejects.jsonl").open("w", encoding="utf-8") as rejects:

        def keep(reject: Any) -> None:
            rejects.write(json.dumps(reject.to_json(), ensure_ascii=False) + "\n")

        reading = data.read(source, settings.reading, on_reject=keep)
        try:
            n_written = write_interactions(run.path / "interactions.jsonl", reading)
        except TooManyRejectsError as error:
            kept = f"each is in {rejects.name} with cause and cure"
            raise TooManyRejectsError(
                error.what, where=error.where, cure="; ".join(filter(None, (error.cure, kept)))
            ) from error
        finally:
            for decision in reading.decisions:
                say(decision)
    summary = {
        "n_rows": reading.n_rows,
        "n_read": reading.n_read,
        "n_rejected": reading.n_rejected,
        "n_interactions": n_written,
        "decisions": list(reading.decisions),
    }
    rejected = f", {reading.n_rejected:,} rejected (see {run.path / 'rejects.jsonl'})"
    say(
        f"read: {reading.n_rows:,} rows → {n_written:,} interactions"
        + (rejected if reading.n_rejected else "")
    )
    run.write_json("read.json", summary)
    return summary


def clean(run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """``interactions.jsonl`` → ``clean.jsonl`` and ``clean.json``."""
    begin(run, "clean")
    cleaned = data.clean(load_interactions(run.path / "interactions.jsonl"), settings.cleaning)
    write_interactions(run.path / "clean.jsonl", cleaned.interactions)
    for decision in cleaned.report.decisions:
        say(decision)
    summary: dict[str, Any] = cleaned.report.to_json()
    run.write_json("clean.json", summary)
    return summary


def split(run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """``clean.jsonl`` → ``examples.jsonl`` (labelled and divided) and ``split.json``.

    Rows that are labelled as out of scope go to ``out_of_scope.jsonl``.
    """
    begin(run, "split")
    interactions, labelling = data.label(
        list(load_interactions(run.path / "clean.jsonl")), settings.labelling
    )
    splits = data.split(interactions, settings.split)
    write_examples(run, {name: splits[name] for name in SPLITS})
    write_examples(run, splits.outside, OUTSIDE)
    decisions = [*labelling, *splits.report.decisions]
    for decision in decisions:
        say(decision)
    summary = splits.report.to_json() | {"labels": list(splits.labels), "decisions": decisions}
    run.write_json("split.json", summary)
    return summary


def tune(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    checkpoint_every_s: float = 60.0,
) -> Iterator[StepReport]:
    """Tune on the run's examples; leaves ``model/``, ``metrics.jsonl`` and ``tune.json``.

    A checkpoint is kept at every validation and every *checkpoint_every_s* seconds; with
    *resume* the run goes on from it, bitwise as if it had never stopped (on the CPU). When
    *stop* says so, the state is kept and the generator ends early, without ``tune.json``.

    With an ``optimizer.soup`` that is not 1 so many models are tuned instead, as jobs, which *say*
    tells of; see `folding.fold` and its errors.
    """
    from tailorbird import folding, planning, tuning

    if settings.optimizer.soup != 1:
        seeds = folding.Folds(0, settings.optimizer.soup)
        folding.fold(run, workspace, settings, seeds, say=say, stop=stop)
        return
    kept, curve = run.path / CHECKPOINT, run.path / CURVE
    begin(run, "tune", keep_checkpoint=resume)
    saved = tuning.checkpoint.load_checkpoint(kept) if kept.is_file() else None
    splits = load_examples(run)
    start = planning.start_tuning(run, workspace, splits, settings, saved=saved, say=say, stop=stop)
    if start is None:
        return
    state = start.state
    if saved:
        cut_curve(run, state.step, state.validated_step)
    else:
        curve.unlink(missing_ok=True)
    saved_s = time.monotonic()
    with curve.open("a", encoding="utf-8") as log:
        for report in tuning.tune(state, start.train, start.validation):
            log.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
            log.flush()
            yield report
            is_due = time.monotonic() - saved_s >= checkpoint_every_s
            is_over = stop()  # asked once: a signal may come between two questions
            if report.event == "validation" or is_due or is_over:
                tuning.checkpoint.save_checkpoint(kept, state.tensors(), state.facts())
                saved_s = time.monotonic()
            if is_over:
                return
    start.say(state.task.finish(state.model, splits["validation"]))
    _keep_tuned(run, start, settings)
    kept.unlink(missing_ok=True)


def _keep_tuned(run: Run, start: Any, settings: Settings) -> None:
    """Write ``model/`` and ``tune.json``, what a run of any task is known by afterwards."""
    from tailorbird.modeling import save_model

    state, backbone = start.state, start.backbone
    model, plan = state.model, state.plan
    save_model(model, run.path / "model", backbone=backbone.path)
    parameters = list(model.parameters())
    run.write_json(
        "tune.json",
        {
            "settings": plan.settings_of(model, settings.model),
            "train_s": state.elapsed_s,
            "tokens_per_s": state.n_tokens / max(state.elapsed_s, 1e-9),
            "n_parameters": sum(p.numel() for p in parameters),
            "n_trainable": sum(p.numel() for p in parameters if p.requires_grad),
            "best_step": state.best_step,
            "backbone": backbone.name,
            "licence": backbone.licence,
            "decisions": start.decisions,
        },
    )


def find_rate(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    say: Say = lambda _: None,
    n_steps: int = 100,
) -> dict[str, Any]:
    """Try *n_steps* growing learning rates on the run's examples; the advice, with its reason.

    Leaves ``rates.json`` and the plot ``rates.html``; the run is otherwise as before.
    """
    from tailorbird import planning, tuning
    from tailorbird.evaluation.rate_page import write_rate_page

    if not done(run, "split"):
        raise StoreError("split has not been done", where=f"run {run.name}", cure="split first")
    start = planning.start_tuning(run, workspace, load_examples(run), settings, say=say)
    assert start is not None  # nothing asks to stop
    state, train, plan = start.state, start.train, start.state.plan
    points = list(tuning.rate_finder.find_rate(state, train, n_steps=n_steps))
    advice = asdict(tuning.rate_finder.advise(points))
    rows = [asdict(point) for point in points]
    run.write_json("rates.json", {"advice": advice, "points": rows})
    write_rate_page(run.path / "rates.html", rows, advice)
    say(f"learning rate: {advice['rate']:g} ({advice['reason']}); set now: {plan.learning_rate:g}")
    return advice


def search(
    run: Run,
    workspace: Workspace,
    plan: SearchPlan | None = None,
    *,
    n_trials: int = 0,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Try settings on the run's training rows, judge them on its validation rows.

    With a *plan* (`tailorbird.search.SearchPlan`) it begins, without one it goes on where it was
    stopped or killed; *n_trials* in all, 0: as planned. Leaves ``search.json``, ``search.html``
    and ``best.toml``, the settings that won so far.
    """
    from tailorbird.search import open_search, run_search

    with open_search(run, workspace, plan, say=say) as opened:
        return run_search(opened, workspace, n_trials=n_trials, say=say, stop=stop)


def evaluate(
    run: Run, settings: Settings, *, say: Say = lambda _: None, again: bool = False
) -> dict[str, Any]:
    """Measure the tuned model; leaves ``evaluate.json``, ``report.json`` and ``report.html``.

    Temperature and threshold are fitted on validation. The test split is opened once; a second
    look needs *again*, and the report says so.
    """
    from tailorbird.evaluation import open_test_once

    with open_test_once(run.path, "evaluate", again=again) as openings:
        return measuring.measure(run, settings, openings, say=say)


def bundle(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    say: Say = lambda _: None,
    templates: Path | None = None,
    go_live: bool = True,
) -> Bundle:
    """Pack model, templates and report into a bundle named by its content, and publish it.

    The templates are the logs' best replies unless a file of one's own is given; they are left
    in the run as ``templates.toml`` for editing.
    """
    report = run.read_json("report.json")
    labels = report["test"]["labels"]
    if templates is None:
        logs = run.path / "clean.jsonl"  # a personalised run has none: its rows are no exchanges
        chosen = answers.best_templates(load_interactions(logs) if logs.is_file() else (), labels)
        answers.save_templates(run.path / "templates.toml", chosen)
    else:
        chosen = answers.load_templates(templates, labels)
    facts = run.read_json("evaluate.json")
    made = write_bundle(
        workspace.bundles_path,
        BundleContents(
            model_folder=run.path / "model",
            labels=tuple(labels),
            templates=chosen,
            settings=settings.to_json(),
            report=report,
            report_html=run.path / "report.html",
            temperature=facts["temperature"],
            threshold=facts["threshold"],
            scope=scope.read_files(run.path),
        ),
    )
    n_answered = sum(any(answers.values()) for answers in chosen.values())
    say(f"templates: {n_answered} of {len(labels)} intents have an answer from the logs")
    run.write_json("bundle.json", {"id": made.id, "path": str(made.path)})
    if go_live:
        registry.publish(workspace, made, f"built by run {run.name}")
        say(f"bundle: {made.id} is live")
    return made


def current_bundle(workspace: Workspace, bundle_id: str = "") -> Bundle:
    """The bundle *bundle_id*, or the live one; checked against its manifest.

    Raises StoreError where nothing is live yet.
    """
    if not bundle_id:
        record = registry.live_bundle(workspace)
        if record is None:
            raise StoreError(
                "no bundle is live yet", where=str(workspace.path), cure="tailorbird build LOGS"
            )
        bundle_id = record.id
    folder = workspace.bundles_path / bundle_id
    if not folder.is_dir():
        raise StoreError(f"there is no bundle {bundle_id}", where=str(workspace.bundles_path))
    return load_bundle(folder)


def explain(bundle: Bundle, text: str, intent: str = "") -> dict[str, Any]:
    """Which words of a text speak for its *intent* (else the likeliest), as the page shows it.

    JSON-ready: see `tailorbird.evaluation.explaining.Explanation`. Raises ConfigError where the
    model is of a kind that cannot be explained, or does not know the intent.
    """
    from tailorbird.evaluation.explaining import explain as attribute

    model: Any = bundle.classifier
    return attribute(model, text, label=intent, temperature=bundle.temperature).to_json()


def reasons(bundle: Bundle, text: str, intent: str = "") -> Reasons:
    """The words of `explain`, and the training examples that are nearest to *text*.

    Where a package is missing, or the model is of a kind that cannot be explained, it is said in
    the reasons. Raises ConfigError for an intent that the bundle does not know.
    """
    from tailorbird.serving.explainer import reasons_of

    return reasons_of(bundle, text, intent=intent)


def go_live(workspace: Workspace, bundle_id: str, reason: str) -> None:
    """Make an existing bundle the live one."""
    registry.publish(workspace, current_bundle(workspace, bundle_id), reason)


def roll_back(workspace: Workspace, reason: str) -> str:
    """Put the bundle that was live before back; returns its id."""
    return registry.roll_back(workspace, reason).id


def list_deployments(workspace: Workspace) -> list[dict[str, str]]:
    """Which bundle was live since when, newest first."""
    return [
        {
            "bundle": record.id,
            "since": f"{record.since:%Y-%m-%d %H:%M}",
            "until": "live" if record.until is None else f"{record.until:%Y-%m-%d %H:%M}",
            "reason": record.reason,
        }
        for record in registry.history(workspace)
    ]


def is_live(workspace: Workspace, source: str, settings: Settings) -> str:
    """The id of the live bundle if it was built from these very logs and settings, else empty."""
    record = registry.live_bundle(workspace)
    if record is None or not (workspace.bundles_path / record.id).is_dir():
        return ""
    report = json.loads((workspace.bundles_path / record.id / "report.json").read_text("utf-8"))
    wanted = fingerprint(source, settings)
    return record.id if wanted and report["run"].get("fingerprint") == wanted else ""
