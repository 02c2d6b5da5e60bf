"""A search over the rows of a run, from the plan to the settings that won."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from tailorbird import planning, plugins
from tailorbird.config import Settings, settings_from
from tailorbird.errors import ConfigError, StoreError, TuningError
from tailorbird.runs import done, load_examples, run_settings
from tailorbird.search.defaults import Facts, default_space, facts_of, start_values
from tailorbird.search.space import Dimension, parse_space, with_values
from tailorbird.search.study import Drawing, TrialStudy, check_names
from tailorbird.search.trials import Trial, told
from tailorbird.store import Run, Workspace
from tailorbird.tuning import plan_tuning, tasks

Say = Callable[[str], None]
FOLDER = "search"
JOURNAL = "study.jsonl"
PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How to search."""

    over: tuple[str, ...] = ()
    """Settings and their values, as ``method.rank=4,8``; empty: by method and model."""
    n_trials: int = 20
    sampler: str = "tpe"
    """A key of `SAMPLERS`."""
    pruner: str = "median"
    """A key of `PRUNERS`."""
    by_loss: bool = False
    """Whether validation loss decides; else the first score of the task."""
    seed: int = 0
    """Of what is drawn; that of tuning is ``tuning.seed``, the same for all trials."""
    n_workers: int = 1
    """Processes; with one a search can be repeated exactly."""

    def check(self, settings: Settings) -> tuple[Dimension, ...]:
        """The space, empty where none is given; ConfigError where a name or a number cannot be."""
        check_names(self.sampler, self.pruner)
        for name in ("n_trials", "n_workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", cure="use 1 or more")
        return parse_space(self.over, settings)


@dataclass(frozen=True, slots=True)
class Search:
    """A search that can be gone on with: what is to be tried, on what, and what came out."""

    run: Run
    settings: Settings
    plan: SearchPlan
    space: tuple[Dimension, ...]
    study: TrialStudy
    facts: Facts
    said: list[str] = field(default_factory=list)

    @property
    def shared(self) -> Settings:
        """What all trials begin with: texts are cut where a build of these rows cuts them."""
        return with_values(self.settings, {"model.max_tokens": self.facts.max_tokens})

    @property
    def trials(self) -> list[Trial]:
        """Those that are over, by number."""
        return told(self.study)

    @property
    def best(self) -> Trial | None:
        """The winner so far."""
        best = self.study.best
        return None if best is None else next(t for t in self.trials if t.number == best.number)


@contextmanager
def open_search(
    run: Run,
    workspace: Workspace,
    plan: SearchPlan | None,
    *,
    settings: Settings | None = None,
    say: Say = lambda _: None,
) -> Iterator[Search]:
    """The search of a *run*: begun with *plan*, or, without one, gone on with as it was begun.

    Raises StoreError where the run has no rows, no search to go on with, or one already, or
    where another process is at it; ConfigError where the plan or its space is wrong.
    """
    settings = settings or run_settings(run)
    if not done(run, "split"):
        raise StoreError(
            "has no rows yet", where=f"run {run.name}", cure="search LOGS, or split first"
        )
    folder = run.path / FOLDER
    has_one = (folder / PLAN).is_file()
    if plan is None and not has_one:
        raise StoreError("has no search to go on with", where=f"run {run.name}", cure="begin one")
    if plan is not None and has_one:
        raise StoreError(
            "has a search already",
            where=f"run {run.name}",
            cure=f"go on with --resume, or remove {folder}",
        )
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock").acquire(timeout=0):
            kept = (
                _begin(run, workspace, plan, settings, say)
                if plan
                else run.read_json(f"{FOLDER}/{PLAN}")
            )
            yield _opened(run, kept)
    except Timeout as error:
        raise StoreError(
            "another process is searching here", where=str(folder), cure="wait for it, or stop it"
        ) from error


def _begin(
    run: Run, workspace: Workspace, plan: SearchPlan, settings: Settings, say: Say
) -> dict[str, Any]:
    """Choose the space, say why, and write down all that a search is begun with."""
    space = plan.check(settings)  # a wrong name is found before the weights are read
    said: list[str] = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        say(sentence)

    if settings.model.freeze_layers == "auto":
        settings = with_values(settings, {"model.freeze_layers": "default"})
        tell("frozen layers: by model; trying them is a part of the search, or none of it")
    splits = load_examples(run)
    for name in ("train", "validation"):
        if not splits[name]:
            raise TuningError(
                f"there is no row for {name}", where=f"run {run.name}", cure="see split.ratio"
            )
    rows = splits | {"test": []}  # never looked at, its labels neither
    _, model = planning.untuned(rows, workspace, settings, tell)
    task = tasks.find_task(settings.task.name)
    tuning_plan, _ = plan_tuning(model, len(splits["train"]), settings)
    facts = facts_of(
        tuning_plan,
        max_tokens=model.tokenizer.max_tokens,
        n_layers=model.backbone.n_layers if model.backbone.can_freeze else 0,
        has_classes=next(iter(task.losses)) == "cross_entropy" and task.head != "language",
    )
    if not space:
        space, reasons = default_space(facts, settings)
        for reason in reasons:
            tell(reason)
    if not space:
        raise ConfigError(
            "every setting worth searching is set", where="search", cure="name some with --over"
        )
    kept = {
        "plan": asdict(plan) | {"over": [str(dimension) for dimension in space]},
        "settings": settings.to_json(),
        "facts": asdict(facts),
        "said": said,
    }
    run.write_json(f"{FOLDER}/{PLAN}", kept)
    return kept


def _opened(run: Run, kept: dict[str, Any]) -> Search:
    where = str(run.path / FOLDER / PLAN)
    settings = settings_from(kept["settings"], where=where)
    plugins.load_wanted(settings.task.plugin)
    plan = SearchPlan(**kept["plan"] | {"over": tuple(kept["plan"]["over"])})
    facts = Facts(**kept["facts"])
    space = parse_space(plan.over, settings)
    drawing = Drawing(space, plan.seed, _n_validations(facts, space, settings))
    study = TrialStudy(
        run.path / FOLDER / JOURNAL,
        drawing,
        sampler=plan.sampler,
        pruner=plan.pruner,
        maximize=not plan.by_loss,
    )
    study.propose(start_values(space, facts, settings))
    return Search(run, settings, plan, space, study, facts, kept["said"])


def _n_validations(facts: Facts, space: Sequence[Dimension], settings: Settings) -> int:
    """Of the longest trial."""
    n_epochs = facts.n_epochs
    for dimension in space:
        if dimension.key == "tuning.n_epochs":
            n_epochs = int(max(dimension.grid()))
    return n_epochs * settings.tuning.validations_per_epoch
