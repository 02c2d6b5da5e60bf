"""The folds and seeds of a run, tuned: what both verbs begin with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tailorbird import data, planning, tuning
from tailorbird.config import Settings
from tailorbird.errors import ConfigError, DataError, StoreError
from tailorbird.hardware import quick_dtype
from tailorbird.jobs import Job, JobResult, run_jobs
from tailorbird.jobs.folds import FoldPlan
from tailorbird.modeling import TextModel
from tailorbird.records import Example, StepReport
from tailorbird.runs import done, load_examples
from tailorbird.store import Run, Workspace
from tailorbird.weights import BackboneFolder

Say = Callable[[str], None]
TASKS = ("single_label", "pairs")
"""One label a row, and one output a label: what out-of-fold probabilities are of."""
FOLDS = "folds"
"""The folder of the jobs in a run."""


@dataclass(frozen=True, slots=True)
class Folds:
    """How many models there are to be."""

    n_folds: int = 5
    """Parts of the training rows, each left out once; two or more, or 0: none is left out."""
    n_seeds: int = 1
    """Models of each part, and of all of them."""


@dataclass(frozen=True)
class Members:
    """A run that is about to be tuned in folds."""

    run: Run
    workspace: Workspace
    settings: Settings
    """With what was decided for all jobs: the longest input, the frozen layers."""
    plan: FoldPlan
    pool: tuple[Example, ...]
    """Training rows, then those of validation."""
    backbone: BackboneFolder
    model: TextModel
    """Untuned."""
    tuning_plan: tuning.TuningPlan
    """Of a job that leaves no fold out."""
    decisions: list[str]
    folder: Path
    """Where the jobs leave their files."""

    @property
    def given(self) -> list[int]:
        """The index of each row's label, over the pool."""
        index_of = {label: index for index, label in enumerate(self.plan.labels)}
        return [index_of[row.label] for row in self.pool]

    def tune(
        self, jobs: Sequence[Job], *, say: Say, stop: Callable[[], bool]
    ) -> list[JobResult] | None:
        """The results of *jobs*; None where *stop* ended them: another call goes on."""
        curves = self.folder / "curves"
        curves.mkdir(parents=True, exist_ok=True)

        def keep(name: str, report: StepReport) -> bool:
            with (curves / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
            score, value = next(iter(report.metrics.items()))
            say(f"{name}, epoch {report.epoch:.1f}: loss {report.loss:.3f}, {score} {value:.3f}")
            return False

        def tell(sentence: str) -> None:
            if not sentence.endswith("were there already"):  # each job would say it again
                say(sentence)

        results = []
        trunk = self.workspace.cache_path / "trunk"
        for result in run_jobs(
            self.backbone,
            self.pool,
            jobs,
            self.folder,
            on_report=keep,
            say=tell,
            stop=stop,
            trunk_folder=trunk,
        ):
            results.append(result)
            say(f"{len(results)} of {len(jobs)}: {_in_words(result)}")
        return results if len(results) == len(jobs) else None

    def curve(self, name: str) -> list[str]:
        """The validations of the job *name*, a line each; where it began anew, its last ones."""
        path = self.folder / "curves" / f"{name}.jsonl"
        lines: list[str] = []
        last = 0
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            step = json.loads(line)["step"]
            lines = [*lines, line] if step > last else [line]
            last = step
        return lines


def prepare(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    folds: Folds,
    *,
    folder: str = FOLDS,
    say: Say,
    stop: Callable[[], bool] = lambda: False,
) -> Members | None:
    """Divide the run's training rows into folds, and decide what holds for all of them.

    None where *stop* ended the search for layers to freeze. Raises ConfigError for a task or
    numbers that folds are not made of, StoreError where the run has not been split.
    """
    splits = _splits(run, settings, folds)
    decisions: list[str] = []

    def decide(sentence: str) -> None:
        decisions.append(sentence)
        say(sentence)

    task = tuning.tasks.find_task(settings.task.name)
    fold_of = [-1] * len(splits["train"])
    if folds.n_folds:
        fold_of = data.tasks.assign_folds(
            splits["train"],
            folds.n_folds,
            "pairs" if task.name == "pairs" else "single_label",
            settings=settings.split,
            note=decide,
        )
    backbone, model = planning.untuned(splits, workspace, settings, decide)
    model_settings = replace(settings.model, max_tokens=model.tokenizer.max_tokens)
    if settings.model.freeze_layers == "auto":
        found = planning.freeze_by_trial(run, model, splits, settings, say=say, stop=stop)
        if found is None:
            return None
        model_settings = replace(model_settings, freeze_layers=found[0])
        decide(f"frozen layers: {found[0]} ({found[1]})")
    settings = replace(settings, model=model_settings)
    plan, reasons = tuning.plan_tuning(model, len(splits["train"]), settings)
    for reason in reasons:
        decide(reason)
    model.asked_in, _ = tuning.answers_in(model, plan.dtype)
    model.backbone.compute_dtype = quick_dtype(model.asked_in)  # what is chosen is what is served
    parts = FoldPlan(tuple(fold_of), len(splits["validation"]), tuple(model.labels), folds.n_seeds)
    pool = (*splits["train"], *splits["validation"])
    return Members(
        run,
        workspace,
        settings,
        parts,
        pool,
        backbone,
        model,
        plan,
        decisions,
        Path(run.path) / folder,
    )


def _splits(run: Run, settings: Settings, folds: Folds) -> dict[str, list[Example]]:
    """The examples of the run, after a check that folds can be made of them."""
    if settings.task.name not in TASKS:
        raise ConfigError(
            f"folds and soups are made for {' and '.join(TASKS)}, and the task is "
            f"{settings.task.name}",
            where=f"run {run.name}",
            cure="tune without folds, with optimizer.soup=1",
        )
    if folds.n_seeds < 1:
        raise ConfigError(
            f"{folds.n_seeds} seeds tune nothing",
            where=f"run {run.name}",
            cure="use one or more (--seeds, or optimizer.soup)",
        )
    if not done(run, "split"):
        raise StoreError("split has not been done", where=f"run {run.name}", cure="split first")
    splits = load_examples(run)
    if not splits["validation"]:
        raise DataError("there is no validation split", where=f"run {run.name}", cure="split again")
    return splits


def _in_words(result: JobResult) -> str:
    if result.status == "failed":
        return f"{result.name} failed: {result.error}"
    name, score = next(iter(result.scores.items()))
    return f"{result.name}: {name} {score:.4f} on validation, {result.core_s:.0f} s"
