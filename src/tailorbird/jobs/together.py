"""Several runs in one forward and backward pass: LoRA adapters and heads over one backbone.

Each run goes its own way (its batches, rates, clipping, validation and end, as `course` says);
only gradients are computed together. On a GPU many small steps cost about as much as one.

Shape letters: B texts of all runs, T their tokens, U units of one run, D width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tailorbird.data.batching import micro_batches
from tailorbird.modeling.adapters.grouped import LoraGroup
from tailorbird.modeling.adapters.sharing import sharing_copy
from tailorbird.modeling.adapters.weights import LoraFactors
from tailorbird.modeling.heads import POOLINGS
from tailorbird.modeling.packing import PackedBatch, join
from tailorbird.records import StepReport
from tailorbird.tuning import TuningRun
from tailorbird.tuning.gradients import RandomState
from tailorbird.tuning.loop import Course, Gradients, Rows, course, gradients_of
from tailorbird.tuning.tasks import EncodedExamples, Truth

MAX_TOKENS = 2**16
"""Tokens of all runs that are computed at once; more are computed in parts."""


@dataclass
class Member:
    """One of the runs that are tuned together; their models share one backbone's weights."""

    run: TuningRun
    train: EncodedExamples
    validation: EncodedExamples | None
    course: Course | None = field(init=False)
    random: RandomState = field(init=False)
    """Its own random numbers: what the others draw does not move them."""
    rows: Rows = field(default_factory=list)
    """Those it waits for the gradients of."""
    gradients: Gradients | None = None

    def __post_init__(self) -> None:
        self.course = course(self.run, self.train, self.validation)
        self.random = RandomState(self.run.model.device)

    def leave(self) -> None:
        """Go no further; the weights are as they are."""
        if self.course is not None:
            self.course.close()
        self.course = None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Within the block random numbers are this run's."""
        others = RandomState(self.random.device)
        self.random.restore()
        try:
            yield
        finally:
            self.random = RandomState(self.random.device)
            others.restore()


Event = StepReport | Exception | None


def tune_together(members: Sequence[Member]) -> Iterator[tuple[int, Event]]:
    """Tune all *members*; yields what happens to which of them, by its number.

    A member gives the reports of `tune`, and then None when it is done, or the exception that ended
    it, which ends no other. `Member.leave` ends one between two reports. Its weights are those
    that it would get alone, to rounding, whoever else is there.

    Members that cannot share a step (see `why_alone`) get their gradients one by one.
    """
    bare = _Bare({})
    while any(member.course is not None for member in members):
        for number, member in enumerate(members):
            for event in _until_it_waits(member):
                yield number, event
        waiting = [member for member in members if member.course is not None]
        for group in _groups(waiting):
            _add_gradients(group, bare)


def _until_it_waits(member: Member) -> Iterator[Event]:
    """What happens to *member* until it wants gradients or ends."""
    while member.course is not None:
        ended: Event = None
        try:
            with member.drawing():
                event = member.course.send(member.gradients)
        except StopIteration:
            pass
        except Exception as error:  # one that fails must not take the others with it
            ended = error
        else:
            member.gradients = None
            if not isinstance(event, StepReport):
                member.rows = event
                return
            with member.drawing():
                yield event
            continue
        member.leave()
        yield ended


def why_alone(run: TuningRun) -> str:
    """Why the gradients of *run* must be computed alone; empty where they can be shared."""
    plan, method = run.plan, run.plan.method
    if method.name != "lora" or method.dora:
        return "only plain LoRA adapters can share a step"
    if plan.encoder_dropout or method.dropout:
        return "dropout inside the layers is drawn for a batch as a whole"
    if run.objective.n_passes > 1:
        return "loss.r_drop passes twice"
    if plan.settings.recompute or run.micro_batch_tokens:
        return "its batches are computed in parts"
    return ""


def _groups(waiting: Sequence[Member]) -> list[list[Member]]:
    """Members whose next steps are computed at once."""
    groups: dict[tuple[Any, ...], list[Member]] = {}
    for member in waiting:
        run = member.run
        key = (run.plan.n_frozen, run.plan.dtype, run.model.pooling, _has_states(member))
        groups.setdefault((id(member),) if why_alone(run) else key, []).append(member)
    parts = []
    for group in groups.values():
        lengths = [sum(member.train.lengths_of(member.rows)) for member in group]
        cut = micro_batches(range(len(group)), lengths, MAX_TOKENS)
        parts += [[group[k] for k in part] for part in cut]
    return parts


def _has_states(member: Member) -> bool:
    return member.train.tokens.states is not None


def _add_gradients(group: Sequence[Member], bare: _Bare) -> None:
    """Backward through the rows that each member of *group* waits for."""
    start = time.perf_counter()
    if len(group) == 1:
        (member,) = group
        with member.drawing():
            member.gradients = gradients_of(member.run, member.train, member.rows)
        return
    losses = _losses(group, bare)  # (members,)
    values: list[float] = losses.tolist()
    finite = [k for k, value in enumerate(values) if math.isfinite(value)]
    if finite:
        torch.autograd.backward(losses[finite].sum())  # the others end here
    elapsed_s = (time.perf_counter() - start) / len(group)
    for member, value in zip(group, values, strict=True):
        member.gradients = Gradients(value, "", elapsed_s)


def _losses(group: Sequence[Member], bare: _Bare) -> Tensor:
    """(members,) the loss of each one's rows, by one pass through the backbone."""
    first = group[0].run
    device = first.model.device
    batches = [member.train.batch(member.rows) for member in group]
    batch = join(batches).to(device)
    sizes = [one.n_texts for one in batches]
    owners = torch.repeat_interleave(torch.arange(len(group)), torch.tensor(sizes))  # (B,)
    backbone = bare.of(first)
    with LoraGroup(backbone).using([_factors(m.run) for m in group], batch, owners):
        states = backbone(batch)  # (T, D)
    pooled = POOLINGS[first.model.pooling](states, batch)
    n_units = [_n_units(one) for one in batches]
    losses = []
    for member, mine in zip(group, pooled.split(n_units), strict=True):  # (U, D)
        run = member.run
        truth: Truth = member.train.truth(member.rows).to(device)
        if not run.model.training:
            run.model.train()
        with member.drawing():
            losses.append(run.objective(run.model.head, [mine], truth, truth))
    return torch.stack(losses)


@dataclass(frozen=True, slots=True)
class _Bare:
    """Backbones without adapters, which share the weights of those with them."""

    made: dict[tuple[int, torch.dtype], Any]

    def of(self, run: TuningRun) -> Any:
        """One that computes as the run's does."""
        key = (run.plan.n_frozen, run.plan.dtype)
        if key not in self.made:
            backbone = sharing_copy(run.model.backbone, run.model.backbone)
            for place in run.attachment.places:
                parent, _, slot = place.rpartition(".")
                setattr(backbone.get_submodule(parent), slot, None)
            self.made[key] = backbone.train()
        return self.made[key]


def _factors(run: TuningRun) -> dict[str, LoraFactors]:
    factors = {}
    for place, module in run.attachment.places.items():
        adapter: Any = module
        factors[place.removesuffix(".adapter")] = LoraFactors(adapter.a, adapter.b, adapter.scale)
    return factors


def _n_units(batch: PackedBatch) -> int:
    return batch.n_texts if batch.picked is None else len(batch.picked)
