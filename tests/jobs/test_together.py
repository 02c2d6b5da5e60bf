"""Runs that share a step: each ends up where it would alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tailorbird.config import Settings, override_settings
from tailorbird.errors import DivergedError
from tailorbird.jobs.job import Job
from tailorbird.jobs.shared_base import SharedBase, one_thread
from tailorbird.jobs.together import Event, Member, tune_together, why_alone
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example, StepReport
from tailorbird.weights import resolve_backbone

WORDS = ("parcel", "refund", "hello", "invoice", "password")
POOL = [Example(f"{word} number {k} please", word) for k in range(12) for word in WORDS]


@pytest.fixture
def shared(tiny_backbone: Path) -> SharedBase:
    base = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    return SharedBase(base, POOL, dtype="float32", cache=TrunkCache())


def settings(*overrides: str) -> Settings:
    usual = ("method.name=lora", "model.freeze_layers=1", "tuning.n_epochs=3", "tuning.patience=1")
    return override_settings(Settings(), [*usual, "tuning.batch_size=8", *overrides])


def jobs(n_jobs: int) -> list[Job]:
    """Of different sizes, ranks, labels, rates, lengths and seeds."""
    made = []
    for k in range(n_jobs):
        n_labels, n_rows = 2 + k % 4, 6 + k
        rows = [row for row in range(len(POOL)) if row % 5 < n_labels]
        wanted = settings(
            f"tuning.seed={k}",
            f"method.rank={1 + k % 5}",
            f"tuning.n_epochs={1 + k % 3}",
            f"tuning.learning_rate={1e-3 * (1 + k % 2)}",
            f"model.dropout={0.1 * (k % 2)}",
        )
        made.append(Job(f"j{k}", rows[:n_rows], rows[n_rows : n_rows + 8], wanted))
    return made


def begin(shared: SharedBase, wanted: Sequence[Job]) -> list[Member]:
    members = []
    for job in wanted:
        start = shared.begin(job)
        members.append(Member(start.run, start.train, start.validation))
    return members


def finish(members: Sequence[Member]) -> list[list[Event]]:
    """What happened to each."""
    events: list[list[Event]] = [[] for _ in members]
    with one_thread():
        for number, event in tune_together(members):
            events[number].append(event)
    return events


def reports(events: Sequence[Event]) -> list[StepReport]:
    return [event for event in events if isinstance(event, StepReport)]


def test_thirty_two_runs_together_end_where_each_ends_alone(shared: SharedBase) -> None:
    wanted = jobs(32)
    together = begin(shared, wanted)
    events = finish(together)
    for job, member, mine in zip(wanted, together, events, strict=True):
        (alone,) = begin(shared, [job])
        (theirs,) = finish([alone])
        assert mine[-1] is theirs[-1] is None
        assert [(r.event, r.step) for r in reports(mine)] == [
            (r.event, r.step) for r in reports(theirs)
        ]
        tuned = alone.run.tuned()
        assert len(tuned) == 6 * 2 + 2  # A and B of six linear layers, weight and bias of the head
        for name, tensor in member.run.tuned().items():
            assert (tensor - tuned[name]).abs().max() <= 1e-6, (job.name, name)


def test_a_run_whose_loss_is_no_number_ends_alone(shared: SharedBase) -> None:
    members = begin(shared, jobs(3))
    with torch.no_grad():
        members[1].run.model.head.linear.bias.fill_(float("nan"))
    events = finish(members)
    assert isinstance(events[1][-1], DivergedError)
    (alone,) = begin(shared, jobs(1))
    finish([alone])
    assert events[0][-1] is events[2][-1] is None
    for name, tensor in members[0].run.tuned().items():
        assert (tensor - alone.run.tuned()[name]).abs().max() <= 1e-6


def test_a_member_can_leave_between_two_reports(shared: SharedBase) -> None:
    members = begin(shared, jobs(4))
    steps = []
    for number, event in tune_together(members):
        if number == 3 and isinstance(event, StepReport):
            steps.append(event.step)
            if event.step == 2:
                members[3].leave()
    assert steps == [1, 2]
    assert members[2].run.step > 2


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("method.name=full", "only plain LoRA"),
        ("method.dora=true", "only plain LoRA"),
        ("model.encoder_dropout=0.1", "dropout"),
        ("method.dropout=0.1", "dropout"),
        ("loss.r_drop=1.0", "twice"),
        ("tuning.recompute=true", "in parts"),
        ("tuning.micro_batch_tokens=32", "in parts"),
    ],
)
def test_what_cannot_share_a_step_is_computed_alone_beside_others(
    shared: SharedBase, override: str, why: str
) -> None:
    odd = Job("odd", range(8), range(8, 16), settings(override))
    members = begin(shared, [odd, *jobs(2)])
    assert why in why_alone(members[0].run)
    assert [why_alone(member.run) for member in members[1:]] == ["", ""]
    events = finish(members)
    assert [mine[-1] for mine in events] == [None, None, None]
    (alone,) = begin(shared, [odd])
    finish([alone])
    for name, tensor in members[0].run.tuned().items():
        assert torch.equal(tensor, alone.run.tuned()[name])
