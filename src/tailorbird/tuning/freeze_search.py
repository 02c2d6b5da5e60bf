"""How many of the lowest layers may stay as pretrained: the most that cost no score, by trying.

Each trial tunes a copy of the model for a pass or two over a share of the rows. The score is taken
to fall, or stay, with every layer more that is frozen; so the number is found by bisection, in
log2(layers) trials beside the one that tunes everything. What a few rows cannot tell, it cannot.

Source: Lee et al. 2019 (What would Elsa do?), section 4: most of the gain is in the last layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tailorbird.config import MethodSettings
from tailorbird.modeling import TextModel, adapters
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example
from tailorbird.tuning.gradients import RandomState
from tailorbird.tuning.loop import tune
from tailorbird.tuning.plan import TuningPlan
from tailorbird.tuning.run import TuningRun
from tailorbird.tuning.tasks import EncodedExamples

TOLERANCE = 0.005
"""So much less than with everything tuned is still as good: half a point of accuracy."""
MAX_TRAIN_ROWS = 2000
MAX_VALIDATION_ROWS = 1000
N_EPOCHS = 2
MIN_UPDATES = 100
"""Few rows are passed over more often than `N_EPOCHS`, until there were so many updates."""


@dataclass(frozen=True, slots=True)
class FreezeTrial:
    """What tuning above *n_frozen* layers gave on the share of the rows."""

    n_frozen: int
    score: float
    """The best on validation."""
    epoch_s: float
    """Seconds of updates in one pass, states of frozen layers being there already."""
    memory_bytes: int
    """Gradients, the optimizer's memory, and what the largest batch keeps for its backward pass."""


@dataclass(frozen=True, slots=True)
class FreezeSearch:
    """A search among 0 to all but one layers of *model*, which stays as it is."""

    model: TextModel
    train: EncodedExamples
    validation: EncodedExamples
    plan_for: Callable[[int], TuningPlan]
    """The plan for so many frozen layers and the rows of *train*; it is shortened here."""
    starts_head: bool = True
    stop: Callable[[], bool] = lambda: False
    """Asked after every step; the search then ends without the trial it is in."""

    def trials(self, known: Sequence[FreezeTrial] = ()) -> Iterator[FreezeTrial]:
        """Yield each trial as it is done; those *known* from before are not done again."""
        done = list(known)
        random = RandomState(self.model.device)
        try:
            while (n_frozen := next_depth(done, self.model.backbone.n_layers)) is not None:
                trial = self._try(n_frozen)
                if trial is None:
                    return
                done.append(trial)
                yield trial
        finally:
            random.restore()  # the run goes on as if nothing had been tried

    def plan(self, n_frozen: int) -> TuningPlan:
        """The plan of one trial: a few epochs, none of them left out."""
        plan = self.plan_for(n_frozen)
        n_epoch_steps = -(-len(self.train) // plan.batch_size)
        n_epochs = min(plan.n_epochs, max(N_EPOCHS, -(-MIN_UPDATES // n_epoch_steps)))
        return replace(plan, n_epochs=n_epochs, settings=replace(plan.settings, patience=0))

    def _try(self, n_frozen: int) -> FreezeTrial | None:
        plan, tokenizer = self.plan(n_frozen), self.model.tokenizer
        torch.manual_seed(plan.settings.seed)
        model = copy.deepcopy(self.model, {id(tokenizer): tokenizer})
        run, cache = TuningRun(model, plan), TrunkCache()
        train, validation = (
            run.with_trunk(self.train, cache),
            run.with_trunk(self.validation, cache),
        )
        if self.starts_head:
            run.start_head(train)
        kept_bytes = 0
        with _bytes_kept(run) as kept:
            for _ in tune(run, train, validation):
                kept_bytes = max(kept_bytes, sum(kept.values()))
                kept.clear()
                if self.stop():
                    return None
        epoch_s = run.elapsed_s / plan.n_epochs
        return FreezeTrial(n_frozen, run.best_score[0], epoch_s, kept_bytes + _tuned_bytes(run))


def next_depth(done: Sequence[FreezeTrial], n_layers: int) -> int | None:
    """How many of *n_layers* to freeze in the next trial; None where *done* tells all.

    >>> of_all, half = FreezeTrial(0, 0.9, 8.0, 400), FreezeTrial(6, 0.9, 4.0, 100)
    >>> next_depth([], 12), next_depth([of_all], 12), next_depth([of_all, half], 12)
    (0, 6, 9)
    """
    scores = {trial.n_frozen: trial.score for trial in done}
    if 0 not in scores:
        return 0
    good = [n for n in scores if is_good(scores[n], scores[0])]
    low = max(good)
    high = min((n for n in scores if n not in good), default=n_layers) - 1
    return (low + high + 1) // 2 if low < high else None


def is_good(score: float, of_all: float) -> bool:
    """Whether *score* is as good as that of tuning everything.

    >>> is_good(0.895, 0.9), is_good(0.894, 0.9)
    (True, False)
    """
    return score >= of_all - TOLERANCE - 1e-9  # 5 rows of 1,000 are no more than 0.005


def choose(trials: Sequence[FreezeTrial], *, n_train: int, n_validation: int) -> tuple[int, str]:
    """The most frozen layers with a good score, and the reason with what was tried.

    >>> trials = [FreezeTrial(0, 0.9, 8.0, 400), FreezeTrial(2, 0.898, 4.0, 100)]
    >>> choose(trials, n_train=2000, n_validation=1000)[0]
    2
    """
    of_all = next(trial for trial in trials if trial.n_frozen == 0)
    good = [trial for trial in trials if is_good(trial.score, of_all.score)]
    best = max(good, key=lambda trial: trial.n_frozen)
    ordered = sorted(trials, key=lambda trial: trial.n_frozen)
    tried = ", ".join(f"{trial.n_frozen} → {trial.score:.3f}" for trial in ordered)
    share = f"{n_train:,} training and {n_validation:,} validation rows"
    if best.n_frozen == 0:
        return 0, f"each layer frozen cost more than {TOLERANCE:g} on {share}: {tried}"
    time_part, memory_part = (
        mine / max(all_, 1e-9)
        for mine, all_ in (
            (best.epoch_s, of_all.epoch_s),
            (best.memory_bytes, of_all.memory_bytes),
        )
    )
    return best.n_frozen, (
        f"the most within {TOLERANCE:g} of tuning all, for {time_part:.0%} of the time and "
        f"{memory_part:.0%} of the memory; tried on {share}: {tried}"
    )


def why_not(model: TextModel, method: MethodSettings) -> str:
    """Why there is nothing to search; empty where there is."""
    if adapters.METHODS[method.name].freezes_all:
        return f"method {method.name} tunes no layer"
    if not model.backbone.can_freeze:
        return "layers of this architecture cannot be frozen one by one"
    return "there is one layer" if model.backbone.n_layers < 2 else ""


def sample(rows: Sequence[Example], n_rows: int, *, seed: int) -> list[Example]:
    """Up to *n_rows* of *rows*, drawn at random, in their order.

    >>> [row.text for row in sample([Example(t, "") for t in "abcd"], 2, seed=0)]
    ['a', 'b']
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return [rows[index] for index in sorted(order[:n_rows].tolist())]


def table_row(trial: FreezeTrial | None = None) -> str:
    """A line of the table of trials; without a trial its head.

    >>> table_row(FreezeTrial(3, 0.9123, 12.34, 310_000_000))
    '     3  0.912         12.3     310 MB'
    >>> table_row()
    'frozen  score  seconds/epoch   memory'
    """
    if trial is None:
        return "frozen  score  seconds/epoch   memory"
    size = f"{trial.memory_bytes / 1e6:,.0f} MB"
    return f"{trial.n_frozen:6}  {trial.score:.3f}  {trial.epoch_s:11.1f}  {size:>9}"


@contextmanager
def _bytes_kept(run: TuningRun) -> Iterator[dict[int, int]]:
    """Within the block, sizes of what is kept for backward passes, by address; not the weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in run.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself would be a circle that holds the memory

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _tuned_bytes(run: TuningRun) -> int:
    """Of gradients and the optimizers' memory; that of a sparse word table is a few rows."""
    words = "backbone.words.weight" if getattr(run.model.backbone.words, "sparse", False) else ""
    tuned = [tensor for name, tensor in run.tuned().items() if name != words]
    held = [
        value
        for optimizer in run.optimizers
        for values in optimizer.state.values()
        for value in values.values()
        if isinstance(value, Tensor)
    ]
    return sum(tensor.nbytes for tensor in (*tuned, *held))
