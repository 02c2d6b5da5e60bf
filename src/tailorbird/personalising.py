"""From rows with users to what each user gets: one shared assistant, then what wins for each.

    run = personalising.start_from("ratings.csv", workspace, settings)
    done = personalising.go_on(run, workspace, settings)
    done.outcome.losses                       # {"gated": 0.70, "none": 0.75, "adapter": 0.71, …}
    personalising.keep(done, workspace)       # a bundle where it is one, and its users' adapters

The stages are those of a fit with another split: of each user's rows the earlier train, later ones
validate, the latest are the test. The shared assistant is tuned on the training rows of all. One
that answers with classes is measured and bundled as any assistant is, and its users' adapters lie
where the service of that bundle looks for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tailorbird import api, data, measuring, plugins
from tailorbird.bundle import AdapterStore, registry
from tailorbird.config import Settings
from tailorbird.errors import ConfigError
from tailorbird.evaluation import open_test_once
from tailorbird.hardware import processor
from tailorbird.modeling import load_model
from tailorbird.modeling.adapters.weights import trunk_hash
from tailorbird.personalise import (
    UserRows,
    divide_by_user,
    forgetting,
    giving,
    proving,
    report,
    tuned,
    view,
)
from tailorbird.records import SPLITS, Example
from tailorbird.runs import begin, done, load_examples, run_settings, start_run
from tailorbird.store import Run, Workspace


@dataclass(frozen=True)
class Personalised:
    """What came out, with what it was worked out from."""

    run: Run
    outcome: proving.Outcome
    users: list[UserRows]
    candidates: proving.Candidates
    shared: giving.Shared

    @property
    def view(self) -> view.View:
        """All rows, as the shared assistant sees them."""
        return self.candidates.view

    def give(self, store: giving.Keeps) -> int:
        """Keep in *store* what each user won, fitted to all of their rows; how many won."""
        return giving.give(store, self.shared, self.candidates, self.users, self.outcome)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the adapters of users are now, and what they belong to."""

    folder: Path
    """Of an `AdapterStore`."""
    n_users: int
    """Who have something of their own in it."""
    bundle: str = ""
    """The id of the assistant that answers with them; empty: it is none that could be served."""


def start_from(
    source: str,
    workspace: Workspace,
    settings: Settings,
    *,
    run: Run | None = None,
    say: api.Say = lambda _: None,
) -> Run:
    """A run with the rows of *source*, divided by user and time; personal data masked.

    Raises ConfigError for a task that cannot be made personal, DataError where no row has a user.
    """
    if settings.task.name not in view.TASKS:
        raise ConfigError(
            f"the task {settings.task.name} cannot be made personal",
            cure=f"--task {' or '.join(view.TASKS)}",
        )
    plugins.load_wanted(settings.task.plugin)
    run = run or start_run(source, workspace, settings)
    begin(run, "read")
    with (run.path / "rejects.jsonl").open("w", encoding="utf-8") as rejects:
        found = data.tasks.load_rows(
            source,
            settings.task.name,
            settings.reading,
            split=None,
            on_reject=lambda reject: _print_reject(rejects, reject),
        )
    for decision in found.decisions:
        say(decision)
    examples: Sequence[Example] = found.examples
    if settings.cleaning.mask_pii:
        examples = [data.tasks.mask_example(example) for example in examples]
    _write(run, examples, settings, found.n_rows, found.n_rejected, say)
    return run


def start(
    examples: Sequence[Example],
    name: str,
    workspace: Workspace,
    settings: Settings,
    *,
    say: api.Say = lambda _: None,
) -> Run:
    """A run with *examples* that are there already, under a *name*."""
    run = start_run(name, workspace, settings)
    _write(run, examples, settings, len(examples), 0, say)
    return run


def _print_reject(file: Any, reject: Any) -> None:
    file.write(json.dumps(reject.to_json(), ensure_ascii=False) + "\n")


def _write(
    run: Run,
    examples: Sequence[Example],
    settings: Settings,
    n_rows: int,
    n_rejected: int,
    say: api.Say,
) -> None:
    """``examples.jsonl`` by split, and the files by which later stages know what was done."""
    decisions: list[str] = []
    users = divide_by_user(examples, settings.personalise, say=decisions.append)
    place = {row: "validation" for user in users for row in user.validation}
    place |= {row: "test" for user in users for row in user.test}
    sizes = dict.fromkeys(SPLITS, 0)
    with (run.path / "examples.jsonl").open("w", encoding="utf-8") as file:
        for split in SPLITS:
            for row, example in enumerate(examples):
                if place.get(row, "train") == split:
                    line = {"split": split, **example.to_json()}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    sizes[split] += 1
    for decision in decisions:
        say(decision)
    n_read = n_rows - n_rejected
    run.write_json("read.json", {"n_rows": n_rows, "n_read": n_read, "n_rejected": n_rejected})
    run.write_json("clean.json", {})
    run.write_json("split.json", {"n_rows": sizes, "by": "user", "decisions": decisions})


def go_on(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    listener: api.Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
    again: bool = False,
) -> Personalised | None:
    """Tune what is not tuned yet, decide for every user, and test, once.

    Leaves ``personalise.json`` and ``personalise.html``, and, of an assistant that can be served,
    its own report. None where *stop* ended the tuning.
    """
    listener = listener or api.Silence()
    with _noting_failure(run):
        run.set_status("running")
        if not done(run, "tune"):
            listener.stage("tune")
            reports = api.tune(run, workspace, settings, say=listener.say, stop=stop, resume=True)
            for step in reports:
                listener.step(step)
        if not done(run, "tune"):
            run.set_status("interrupted", "stopped while tuning")
            return None
        listener.stage("personalise")
        with open_test_once(run.path, "personalise", again=again) as openings:
            if why := _why_no_bundle(run):
                listener.say(f"no bundle: {why}")
            else:
                measuring.measure(run, settings, openings, say=listener.say)
            found = _personalise(run, settings, listener.say, stop)
            facts = {
                "run": run.read_json("run.json"),
                "test_openings": openings,
                "processor": processor(),
            }
            report.write(run.path, found.outcome, facts)
        run.set_status("done")
    return found


def keep(
    found: Personalised,
    workspace: Workspace,
    *,
    say: api.Say = lambda _: None,
    templates: Path | None = None,
    go_live: bool = True,
) -> Kept:
    """Bundle the shared assistant, give its users what they won, and only then let it go live.

    Where the run makes no bundle, what users won is kept under the name of the run. *templates* is
    a file of answers, as for `api.bundle`.
    """
    run = found.run
    with _noting_failure(run):
        made = None
        if done(run, "evaluate"):
            made = api.bundle(
                run, workspace, run_settings(run), say=say, templates=templates, go_live=False
            )
        folder = workspace.adapters_path / (made.id if made else run.name)
        with AdapterStore(folder) as store:
            n_users = found.give(store)
        say(f"kept: what {n_users:,} users won, fitted to all of their rows")
        if made and go_live:
            registry.publish(workspace, made, f"personalised by run {run.name}")
            say(f"bundle: {made.id} is live")
    return Kept(folder, n_users, made.id if made else "")


@contextmanager
def _noting_failure(run: Run) -> Iterator[None]:
    """Let the run remember what ended the block before its end."""
    try:
        yield
    except BaseException as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        run.set_status("interrupted" if is_interrupt else "failed", str(error))
        raise


def _why_no_bundle(run: Run) -> str:
    """Why the run's model cannot be served as an assistant; empty where it can."""
    task = run_settings(run).task.name
    if task != "single_label":
        return f"an assistant learns one label a text, and the task is {task}"
    splits = load_examples(run)
    missing = [name for name in ("validation", "test") if not splits[name]]
    if missing:
        return f"there are no {' and no '.join(missing)} rows to measure it on"
    if any(example.second for examples in splits.values() for example in examples):
        return "an assistant reads one text, and there are pairs"
    return ""


def _personalise(
    run: Run, settings: Settings, say: api.Say, stop: Callable[[], bool]
) -> Personalised:
    """Look at all rows with the tuned model, make candidates, and let the gate decide."""
    model = load_model(run.path / "model")
    examples = [example for rows in load_examples(run).values() for example in rows]
    users = divide_by_user(examples, settings.personalise)
    # Users are compared with the assistant as it is served: with its temperature.
    measured = run.read_json("evaluate.json") if done(run, "evaluate") else {}
    temperature = float(measured.get("temperature", 1.0))
    seen = view.view_rows(model, examples, temperature=temperature)
    adapters = None
    if settings.personalise.adapter == "lora":
        adapters = tuned.tune_adapters(
            seen,
            model,
            examples,
            users,
            settings,
            base=run.path / "model",
            folder=run.path / "jobs",
            say=say,
            stop=stop,
        )
    candidates = proving.make_candidates(seen, users, adapters=adapters, say=say)
    outcome = proving.prove(candidates, users, settings.personalise, say=say)
    shared = giving.Shared(model, trunk_hash(model.backbone), temperature)
    return Personalised(run, outcome, users, candidates, shared)


def as_json(found: forgetting.Forgotten) -> dict[str, Any]:
    """What was removed, JSON-ready."""
    return asdict(found) | {"left": [str(path) for path in found.left]}
