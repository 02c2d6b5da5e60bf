"""From rows with users to what each user gets: one shared assistant, then what wins for each.

    run = personalising.start_from("ratings.csv", workspace, settings)
    done = personalising.go_on(run, workspace, settings)
    done.outcome.losses                       # {"gated": 0.70, "none": 0.75, "adapter": 0.71, …}

The stages are those of a fit with another split: of each user's rows the earlier train, later ones
validate, the latest are the test. The shared assistant is tuned on the training rows of all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tailorbird import api, data, plugins
from tailorbird.bundle import AdapterStore
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
from tailorbird.runs import begin, done, load_examples, start_run
from tailorbird.store import Run, Workspace


@dataclass(frozen=True)
class Personalised:
    """What came out, with what it was worked out from."""

    outcome: proving.Outcome
    users: list[UserRows]
    candidates: proving.Candidates
    shared: giving.Shared
    n_given: int = 0
    """Users who have something of their own in the store now."""

    @property
    def view(self) -> view.View:
        """All rows, as the shared assistant sees them."""
        return self.candidates.view


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
    run.write_json("read.json", {"n_rows": n_rows, "n_rejected": n_rejected})
    run.write_json("clean.json", {})
    run.write_json("split.json", {"sizes": sizes, "decisions": decisions})


def go_on(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    listener: api.Listener | None = None,
    store: giving.Keeps | None = None,
    stop: Callable[[], bool] = lambda: False,
    again: bool = False,
) -> Personalised | None:
    """Tune what is not tuned yet, decide for every user, test once, keep what won in *store*.

    Leaves ``personalise.json`` and ``personalise.html``. None where *stop* ended the tuning.
    """
    listener = listener or api.Silence()
    run.set_status("running")
    try:
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
            found = _personalise(run, settings, listener.say, stop)
            facts = {
                "run": run.read_json("run.json"),
                "test_openings": openings,
                "processor": processor(),
            }
            report.write(run.path, found.outcome, facts)
        if store is not None:
            listener.say("kept: what each user won, fitted to all of their rows")
            n_given = giving.give(store, found.shared, found.candidates, found.users, found.outcome)
            found = replace(found, n_given=n_given)
    except BaseException as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        run.set_status("interrupted" if is_interrupt else "failed", str(error))
        raise
    run.set_status("done")
    return found


def _personalise(
    run: Run, settings: Settings, say: api.Say, stop: Callable[[], bool]
) -> Personalised:
    """Look at all rows with the tuned model, make candidates, and let the gate decide."""
    model = load_model(run.path / "model")
    examples = [example for rows in load_examples(run).values() for example in rows]
    users = divide_by_user(examples, settings.personalise)
    seen = view.view_rows(model, examples)
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
    shared = giving.Shared(model, trunk_hash(model.backbone))
    return Personalised(outcome, users, candidates, shared)


def store_of(workspace: Workspace, run: Run) -> AdapterStore:
    """Where what the users of *run* won is kept: the store over the run's model; close it."""
    return AdapterStore(workspace.adapters_path / run.name)


def as_json(found: forgetting.Forgotten) -> dict[str, Any]:
    """What was removed, JSON-ready."""
    return asdict(found) | {"left": [str(path) for path in found.left]}
