"""A model is judged by what was drawn and answered: better is better, and chance is chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.assistants.recommend.live_fakes import ITEMS, NOON, TagModel

from tailorbird.assistants.recommend.exploring import propensities
from tailorbird.assistants.recommend.judging import Slot, chooser, judge
from tailorbird.assistants.recommend.seam import Event
from tailorbird.errors import DataError
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow, ImpressionRow

RATES = {"a": 0.1, "b": 0.2, "c": 0.45}
"""How likely each item of the pool is taken."""
N_LISTS = 400


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A log of lists with one drawn position each, and what came of them."""
    random = np.random.default_rng(2)
    items = list(RATES)
    chances = propensities(np.array([3.0, 2.0, 2.0]), np.array([7.0, 8.0, 8.0]), floor=0.2)
    pool = [[item, float(p)] for item, p in zip(items, chances, strict=True)]
    with Workspace.open(tmp_path_factory.mktemp("space")) as opened:
        with opened.writing() as session:
            for n in range(N_LISTS):
                user, time = f"u{n % 80}", NOON + timedelta(minutes=n)
                place = int(random.choice(3, p=chances))
                drawn = {"id": items[place], "score": 1.0, "propensity": float(chances[place])}
                rows = [
                    {"id": "first", "score": 2.0, "propensity": 1.0, "explored": False},
                    drawn | {"explored": True, "pool": pool},
                ]
                session.add(ImpressionRow(id=f"l{n}", user=user, time=time, model="m", items=rows))
                if random.random() < RATES[items[place]]:
                    done = {"item": items[place], "kind": "click", "impression": f"l{n}"}
                    session.add(EventRow(key=f"k{n}", user=user, time=time, **done))
                stranger = {"item": "a", "kind": "click", "impression": f"l{n}"}
                session.add(EventRow(key=f"s{n}", user="stranger", time=time, **stranger))
        yield opened


def always(item: str):  # type: ignore[no-untyped-def]
    return lambda slot, events: item


def test_policies_are_worth_what_they_are_worth(workspace: Workspace) -> None:
    for item, rate in RATES.items():
        found = judge(workspace, always(item))
        assert found.support.is_enough
        assert found.n_decisions == N_LISTS
        for estimate in (found.ips, found.snips, found.doubly_robust):
            assert estimate.low <= rate <= estimate.high
            assert estimate.value == pytest.approx(rate, abs=0.1)


def test_the_verdict_is_a_sentence(workspace: Workspace) -> None:
    better = judge(workspace, always("c"))
    assert better.sentence.startswith("better than what was shown: +0.")
    assert judge(workspace, always("a")).sentence.startswith("worse than what was shown: -0.")
    assert set(better.to_json()) >= {"ips", "snips", "doubly_robust", "gain", "support", "sentence"}


def test_what_could_not_be_shown_cannot_be_judged(workspace: Workspace) -> None:
    found = judge(workspace, always("never in a pool"))
    assert not found.support.is_enough
    assert found.sentence.startswith("the log cannot say: only 0 %")


def test_a_model_sees_what_was_before_each_list_and_chooses_of_the_pool(
    workspace: Workspace,
) -> None:
    seen: list[tuple[Slot, Sequence[Event]]] = []

    def choose(slot: Slot, events: Sequence[Event]) -> str | None:
        seen.append((slot, events))
        return slot.pool[0][0]

    found = judge(workspace, choose, since=NOON + timedelta(minutes=100), max_lists=200)
    assert found.n_lists == 200
    assert all(event.time < slot.time for slot, events in seen for event in events)
    assert any(events for _, events in seen)
    with pytest.raises(DataError, match="knows no item that was drawn"):
        judge(workspace, chooser(TagModel("other", ITEMS)))


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    with (
        Workspace.open(tmp_path) as workspace,
        pytest.raises(DataError, match="no list of a known user had a position that was drawn"),
    ):
        judge(workspace, always("a"))
