"""The study: which trials there were, and which one is next; it survives being killed.

Optuna keeps it as a journal, one line a fact, each on disk before the search goes on. A trial that
was begun when the process died is found again with its values, under its number.

A trial's values are drawn with a seed of its own number, so that they depend on the trials that
are finished and on nothing that lives in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tailorbird.errors import ConfigError, missing_extra
from tailorbird.search.space import Dimension, Value, n_combinations

try:
    import optuna
except ImportError as error:  # pragma: no cover
    raise missing_extra("optuna", extra="search") from error

from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

NAME = "search"
RESULT = "result"
"""Under this key a trial keeps what its job gave."""
N_STARTUP = 8
"""So many trials are drawn at random before a sampler goes by what was found."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What samplers and pruners are built from."""

    space: tuple[Dimension, ...]
    seed: int
    n_validations: int
    """Of one trial that is not stopped."""


def _tpe(drawing: Drawing, number: int) -> BaseSampler:
    return optuna.samplers.TPESampler(n_startup_trials=N_STARTUP, seed=_seed(drawing.seed, number))


def _gp(drawing: Drawing, number: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        n_startup_trials=N_STARTUP,
        seed=_seed(drawing.seed, number),
        warn_independent_sampling=False,
    )


def _random(drawing: Drawing, number: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=_seed(drawing.seed, number))


def _grid(drawing: Drawing, number: int) -> BaseSampler:
    grids = {dimension.key: dimension.grid() for dimension in drawing.space}
    return optuna.samplers.GridSampler(grids, seed=drawing.seed)  # its order is one for all


SAMPLERS: dict[str, Callable[[Drawing, int], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _grid,
    "gp": _gp,
}
"""How values are chosen: TPE and GP go by the trials before, random and grid do not."""

LEARNING = {"tpe", "gp"}
"""Samplers that look at the trials before."""

PRUNERS: dict[str, Callable[[Drawing], BasePruner]] = {
    "none": lambda drawing: optuna.pruners.NopPruner(),
    "median": lambda drawing: optuna.pruners.MedianPruner(n_startup_trials=4),
    "asha": lambda drawing: optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=3
    ),
    "hyperband": lambda drawing: optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=max(1, drawing.n_validations), reduction_factor=3
    ),
}
"""When a trial is given up: below the median of the others at the same validation (median), or
among the worse two thirds of those that came so far (asha; hyperband with several first looks)."""


class TrialStudy:
    """Trials over a space, on disk: ask for values, report validations, tell results."""

    def __init__(
        self, path: Path, drawing: Drawing, *, sampler: str, pruner: str, maximize: bool = True
    ) -> None:
        """Open the study at *path*, or begin one; nobody else may have it open."""
        check_names(sampler, pruner)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.drawing, self.sampler = drawing, sampler
        self.maximize = maximize
        self._optuna = optuna.create_study(
            storage=_open_journal(path),
            study_name=NAME,
            direction="maximize" if maximize else "minimize",
            pruner=PRUNERS[pruner](drawing),
            load_if_exists=True,
        )
        self._open: dict[int, optuna.Trial] = {}

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, finished or not, by number."""
        return self._optuna.get_trials(deepcopy=False)

    @property
    def best(self) -> FrozenTrial | None:
        """The finished trial with the best value, of equals the one with the lowest loss."""
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        sign = 1 if self.maximize else -1

        def order(trial: FrozenTrial) -> tuple[float, float, int]:
            loss = trial.user_attrs.get(RESULT, {}).get("loss", 0.0)
            return sign * cast(float, trial.value), -loss, -trial.number

        return max(done, key=order, default=None)

    @property
    def n_most(self) -> int | None:
        """How many trials there can be at most; None: any number."""
        return n_combinations(self.drawing.space) if self.sampler == "grid" else None

    def propose(self, values: dict[str, Any]) -> None:
        """Let the first trial have these *values*; what is missing is drawn."""
        if not self.trials and values and self.sampler != "grid":
            self._optuna.enqueue_trial(values)

    def unfinished(self) -> list[int]:
        """Trials that were begun and are not finished: to be done again, with their values."""
        return [trial.number for trial in self.trials if trial.state == TrialState.RUNNING]

    def ask(self) -> int:
        """Begin a trial; its number."""
        n_drawn = sum(trial.state != TrialState.WAITING for trial in self.trials)
        self._optuna.sampler = SAMPLERS[self.sampler](self.drawing, n_drawn)
        trial = self._optuna.ask()
        for dimension in self.drawing.space:
            _suggest(trial, dimension)
        self._open[trial.number] = trial
        return trial.number

    def values(self, number: int) -> dict[str, Value]:
        """The values of a trial, numbers rounded as they are used."""
        self._trial(number)
        return self.values_of(self.trials[number])

    def values_of(self, trial: FrozenTrial) -> dict[str, Value]:
        """The same of a trial as it is kept."""
        return {d.key: d.rounded(trial.params[d.key]) for d in self.drawing.space}

    def report(self, number: int, score: float, validation: int) -> bool:
        """Note the *score* of the k-th *validation* (from 1); True where the trial is given up."""
        trial = self._trial(number)
        if validation not in self.trials[number].intermediate_values:
            trial.report(score, validation)
        return trial.should_prune()

    def tell(self, number: int, result: dict[str, Any], value: float | None, state: str) -> None:
        """Finish a trial as ``done`` with its *value*, ``pruned`` or ``failed``; keep *result*."""
        trial = self._trial(number)
        trial.set_user_attr(RESULT, result)
        states = {
            "done": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
        }
        # a grid would stop the loop of a study that has one, after its last trial
        self._optuna.sampler = optuna.samplers.RandomSampler()
        self._optuna.tell(number, value if state == "done" else None, states[state])
        self._open.pop(number, None)

    def importances(self) -> dict[str, float]:
        """Share of each setting in the differences between trials; empty where too few can tell.

        Source: Watanabe, Bansal and Hutter 2023 (PED-ANOVA), section 3, as Optuna computes it.
        """
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        differs = {trial.value for trial in done}
        if len(done) < 4 or len(differs) < 2 or len(self.drawing.space) < 2:
            return {}
        with suppress(RuntimeError, ValueError):
            return dict(optuna.importance.get_param_importances(self._optuna))
        return {}

    def _trial(self, number: int) -> optuna.Trial:
        """The open trial of this *number*, with all its values; perhaps of an earlier process."""
        if number not in self._open:
            before = self.trials[number]
            given = before.system_attrs.get("fixed_params", {})
            self._optuna.sampler = SAMPLERS[self.sampler](self.drawing, number)
            trial = optuna.Trial(self._optuna, before._trial_id)
            for dimension in self.drawing.space:
                key = dimension.key
                if key in before.params and key not in {*given, *trial.relative_params}:
                    # killed between two values: what follows must be drawn as it would have been
                    self._optuna.sampler.sample_independent(
                        self._optuna, before, key, before.distributions[key]
                    )
                _suggest(trial, dimension)
            self._open[number] = trial
        return self._open[number]


def check_names(sampler: str, pruner: str) -> None:
    """Raise ConfigError where there is no such sampler or pruner."""
    for name, kind, known in (
        (sampler, "sampler", list(SAMPLERS)),
        (pruner, "pruner", list(PRUNERS)),
    ):
        if name not in known:
            raise ConfigError(f"{name!r} is no {kind}", cure=f"use one of {', '.join(known)}")


def _seed(seed: int, number: int) -> int:
    """A seed for one trial; NumPy's sequence keeps those of neighbours apart."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _suggest(trial: optuna.Trial, dimension: Dimension) -> None:
    key, low, high, step = dimension.key, dimension.low, dimension.high, dimension.step
    if dimension.choices:
        trial.suggest_categorical(key, dimension.choices)
    elif dimension.is_whole:
        trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=dimension.is_log)
    else:
        trial.suggest_float(key, low, high, step=step, log=dimension.is_log)


def _open_journal(path: Path) -> optuna.storages.JournalStorage:
    """The journal without what a killed process left: half a line, and its lock."""
    if path.exists():
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            with path.open("r+b") as file:
                file.truncate(whole)
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)
    backend = JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)
