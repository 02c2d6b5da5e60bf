"""Whether another model would have done better on the lists that were shown: from the log alone.

A position that was drawn is one decision: out of its pool, what does the judged model put first?
All of the pool could have been shown, so that nothing the judged model may choose lacks support.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.assistants.recommend import off_policy
from tailorbird.assistants.recommend.answers import REWARDS
from tailorbird.assistants.recommend.histories import read_history
from tailorbird.assistants.recommend.off_policy import Decisions, Estimate, Support
from tailorbird.assistants.recommend.seam import Event, Ranks
from tailorbird.errors import DataError
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow, ImpressionRow

MAX_LISTS = 5_000
"""So many of the latest lists are judged: each asks the model once."""
N_CANDIDATES = 2_000
"""The model is asked for so many, that it may name whatever is in a pool."""
N_TOGETHER = 500
"""Answers to so many lists are read in one query."""
N_FOLDS = 5
SHRINKING = 10.0
"""What is expected of an item begins with so many showings at everybody's rate."""

Choose = Callable[["Slot", Sequence[Event]], str | None]
"""What a policy puts at a position, out of its pool, for whoever did these events; None: it
knows nothing of the pool."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One position of one list that was drawn."""

    impression: str
    user: str
    time: datetime
    pool: tuple[tuple[str, float], ...]
    """Ids with the probability that each had; the first is what the ranking had there."""
    shown: str
    propensity: float
    reward: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What the log says of a model, and whether it can say anything."""

    n_lists: int
    n_decisions: int
    n_unscored: int
    """Decisions of which the model knew no item of the pool; left out."""
    logged: Estimate
    """What was shown earned so much."""
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate
    gain: Estimate
    """Of the judged model over what was shown."""
    support: Support

    @property
    def sentence(self) -> str:
        """The verdict for whoever decides."""
        if not self.support.is_enough:
            return f"the log cannot say: {'; '.join(self.support.problems)}"
        value, low, high = self.gain.value, self.gain.low, self.gain.high
        interval = f"{value:+.4f} answers a drawn position, 95 % interval {low:+.4f} to {high:+.4f}"
        if low > 0:
            return f"better than what was shown: {interval}"
        if high < 0:
            return f"worse than what was shown: {interval}"
        return f"it may be chance: {interval}"

    def to_json(self) -> dict[str, Any]:
        """For the last line of a command."""
        counts = ("n_lists", "n_decisions", "n_unscored")
        estimates = ("logged", "ips", "snips", "doubly_robust", "gain", "support")
        told: dict[str, Any] = {name: getattr(self, name) for name in counts}
        told |= {name: getattr(self, name).to_json() for name in estimates}
        return told | {"sentence": self.sentence}


def judge(
    workspace: Workspace,
    choose: Choose,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    n_history: int = 200,
    max_lists: int = MAX_LISTS,
) -> Judged:
    """Judge the policy *choose* by the latest lists between two moments.

    Histories are those of before each list. Raises DataError where nothing was drawn then.
    """
    slots: list[Slot] = []
    wanted: list[str | None] = []
    lists: set[str] = set()
    with workspace.sessions() as session:
        for slot in _slots(session, since, until, max_lists):
            history = read_history(session, slot.user, n=n_history, before=slot.time)
            slots.append(slot)
            wanted.append(choose(slot, history.events))
            lists.add(slot.impression)
    kept = [(slot, item) for slot, item in zip(slots, wanted, strict=True) if item is not None]
    if not kept:
        raise DataError(
            "no list of a known user had a position that was drawn"
            if not slots
            else "the model knows no item that was drawn",
            where="recommend judge",
            cure="lists are logged by POST /v1/recommend while recommend.explore_positions > 0",
        )
    decisions, covered = decisions_of([slot for slot, _ in kept], [str(item) for _, item in kept])
    return Judged(
        len(lists),
        len(kept),
        len(slots) - len(kept),
        off_policy.logged_value(decisions),
        off_policy.ips(decisions),
        off_policy.snips(decisions) if decisions.weights.sum() else off_policy.ips(decisions),
        off_policy.doubly_robust(decisions),
        off_policy.gain(decisions),
        off_policy.check_support(decisions, covered=covered),
    )


def chooser(model: Ranks) -> Choose:
    """The policy that puts what *model* scores highest; None where it scores none of the pool."""
    last: tuple[str, dict[str, int]] = ("", {})

    def choose(slot: Slot, events: Sequence[Event]) -> str | None:
        nonlocal last
        if last[0] != slot.impression:  # the positions of one list are asked in one go
            scored = model.scores(slot.user, events, now=slot.time, n=N_CANDIDATES)
            last = (slot.impression, {one.item: place for place, one in enumerate(scored)})
        places = last[1]
        known = [item for item, _ in slot.pool if item in places]
        return min(known, key=places.__getitem__) if known else None

    return choose


def decisions_of(slots: Sequence[Slot], wanted: Sequence[str]) -> tuple[Decisions, float]:
    """*slots* with what a policy *wanted* at each, and the share of that which was possible."""
    rewards = np.array([slot.reward for slot in slots])
    target = np.array([float(item == slot.shown) for slot, item in zip(slots, wanted, strict=True)])
    possible = [
        dict(slot.pool).get(item, 0.0) > 0 for slot, item in zip(slots, wanted, strict=True)
    ]
    predicted, expected = _expectations(slots, wanted)
    decisions = Decisions(
        rewards,
        np.array([slot.propensity for slot in slots]),
        target,
        predicted,
        expected,
        [slot.user for slot in slots],
    )
    return decisions, float(np.mean(possible))


def _expectations(
    slots: Sequence[Slot], wanted: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected rewards of what was shown and of what is wanted, from the other folds; (N,) each.

    By the item alone, shrunk towards all; from the fold itself it would know the answer.
    """
    users = sorted({slot.user for slot in slots})
    fold_of = {user: place % N_FOLDS for place, user in enumerate(users)}
    folds = np.array([fold_of[slot.user] for slot in slots])
    predicted, expected = np.zeros(len(slots)), np.zeros(len(slots))
    for fold in range(N_FOLDS):
        shown: dict[str, list[float]] = {}
        rest = [slot for slot, other in zip(slots, folds, strict=True) if other != fold]
        for slot in rest:
            shown.setdefault(slot.shown, []).append(slot.reward)
        mean = float(np.mean([slot.reward for slot in rest])) if rest else 0.0

        def rate(item: str, seen: dict[str, list[float]] = shown, mean: float = mean) -> float:
            rewards = seen.get(item, [])
            return (sum(rewards) + SHRINKING * mean) / (len(rewards) + SHRINKING)

        for place in np.flatnonzero(folds == fold).tolist():
            predicted[place] = rate(slots[place].shown)
            expected[place] = rate(wanted[place])
    return predicted, expected


def _slots(
    session: Session, since: datetime | None, until: datetime | None, max_lists: int
) -> Iterator[Slot]:
    lists = select(ImpressionRow).where(ImpressionRow.user.is_not(None))
    if since is not None:
        lists = lists.where(ImpressionRow.time >= since)
    if until is not None:
        lists = lists.where(ImpressionRow.time < until)
    rows = session.scalars(lists.order_by(ImpressionRow.time.desc()).limit(max_lists)).all()
    for start in range(0, len(rows), N_TOGETHER):
        part = rows[start : start + N_TOGETHER]
        rewards = _rewards(session, part)
        for row in part:
            yield from _slots_of(row, rewards)


def _slots_of(row: ImpressionRow, rewards: Mapping[tuple[str, str], float]) -> Iterator[Slot]:
    for one in row.items:
        if one.get("pool"):
            pool = tuple((str(item), float(p)) for item, p in one["pool"])
            reward = rewards.get((row.id, one["id"]), 0.0)
            propensity = float(one["propensity"])
            yield Slot(row.id, str(row.user), row.time, pool, one["id"], propensity, reward)


def _rewards(session: Session, rows: Sequence[ImpressionRow]) -> dict[tuple[str, str], float]:
    """What each item of each list brought, from whoever was shown it."""
    users = {row.id: row.user for row in rows}
    answers = select(EventRow.impression, EventRow.item, EventRow.kind, EventRow.user)
    found: dict[tuple[str, str], float] = {}
    for name, item, kind, user in session.execute(answers.where(EventRow.impression.in_(users))):
        if users[str(name)] == user:
            key = (str(name), item)
            found[key] = max(found.get(key, 0.0), REWARDS.get(kind, 0.0))
    return found
