"""Who gets what: candidates fitted to earlier rows, judged on later ones, tested on the latest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tailorbird.config import PersonaliseSettings
from tailorbird.evaluation.words import percent
from tailorbird.personalise import gate
from tailorbird.personalise.candidates import (
    CANDIDATES,
    NONE,
    Adapters,
    Candidates,
    HeadAdapters,
)
from tailorbird.personalise.heads import Heads
from tailorbird.personalise.searching import search_prior, search_retrieval, some_users
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.view import Floats, View
from tailorbird.records import Interval

Say = Callable[[str], None]
__all__ = ["Candidates", "Outcome", "UserOutcome", "make_candidates", "prove"]

COVERAGE = 0.95
"""Of the intervals that are shown, and by which a user is called worse off."""
N_BLOCKS = 4
"""Parts of a user's validation rows; each is asked with those before it known."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of one candidate for one user, from validation rows."""

    gain: float
    """Mean over the user's own rows."""
    believed: float
    """The same, drawn toward the population's."""
    sure: float
    """The probability that it is more than 0."""


@dataclass(frozen=True, slots=True)
class UserOutcome:
    """What one user got, and how that went on rows that nobody had looked at."""

    user: str
    n_train: int
    n_validation: int
    n_test: int
    n_left_out: int
    chosen: str
    beliefs: dict[str, Belief]
    """By candidate; empty for a user without a validation row."""
    test_losses: dict[str, float]
    """Mean loss on the test rows, by candidate and for ``none``; empty without test rows."""
    gain: Interval | None
    """Of what was chosen, on the test rows; None without any."""

    @property
    def is_worse(self) -> bool:
        """Whether the test says that the shared assistant would have been better for this user."""
        return self.chosen != NONE and self.gain is not None and self.gain.high < 0

    @property
    def best(self) -> str:
        """The candidate that is believed to gain most, whether it was sure enough or not."""
        return max(self.beliefs, key=lambda name: self.beliefs[name].believed, default=NONE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All users, and what they come to together."""

    users: list[UserOutcome]
    loss_name: str
    losses: dict[str, float]
    """Mean test loss: ``gated``, ``none`` and each candidate for all."""
    accuracies: dict[str, float]
    """The same of classes; empty for numbers."""
    gain: Interval
    """Of the gate against the shared assistant, over all test rows."""
    population: dict[str, dict[str, float]]
    """By candidate: μ and τ of the gains, as the gate saw them."""
    chosen: dict[str, int]
    """Users by what they got."""
    confidence: float
    """How sure the gate wanted to be before a user leaves the reference."""
    reference: str = NONE
    """What every user with validation rows begins with."""

    @property
    def worse_fraction(self) -> float:
        """Users who are worse off by more than the interval, of those with test rows."""
        tested = [user for user in self.users if user.n_test]
        return sum(user.is_worse for user in tested) / len(tested) if tested else 0.0


def make_candidates(
    view: View,
    users: Sequence[UserRows],
    *,
    adapters: Adapters | None = None,
    say: Say = lambda _: None,
) -> Candidates:
    """The candidates, their numbers chosen on validation rows; *adapters* where heads are not."""
    some = some_users(users)
    if adapters is None:
        heads = Heads.over(view, [row for user in users for row in user.train])
        prior = search_prior(heads, some)
        say(f"heads: {prior} (best on the validation rows of {len(some):,} users)")
        adapters = HeadAdapters(heads, prior)
    retrieval = search_retrieval(view, some, None)
    both = search_retrieval(view, some, adapters)
    say(f"own rows: {retrieval}; beside an adapter: {both}")
    return Candidates(view, adapters, retrieval, both)


def prove(
    candidates: Candidates,
    users: Sequence[UserRows],
    settings: PersonaliseSettings,
    *,
    say: Say = lambda _: None,
) -> Outcome:
    """Choose for each user on validation rows, then look at the test rows, once.

    For the test every candidate is fitted to training and validation rows, as it would be served.
    """
    gains = {name: [np.empty(0)] * len(users) for name in CANDIDATES}
    for number, user in enumerate(users):
        if user.train and user.validation:
            for name, one in _gains_in_turn(candidates, user).items():
                gains[name][number] = one
    seen = {name: gate.gains_of(rows) for name, rows in gains.items()}
    shrunk = {name: gate.shrink(one) for name, one in seen.items()}
    n_rows = seen[CANDIDATES[0]].n_rows
    reference = gate.reference(shrunk, none=NONE)
    over = gate.over_reference(gains, reference, none=NONE)
    others = {name: gate.shrink(gate.gains_of(rows)) for name, rows in over.items()}
    confidence = settings.confidence or gate.choose_confidence(over, others)
    why = (
        "as set"
        if settings.confidence
        else "asked with earlier validation rows, best on later ones"
    )
    say(f"every user begins with {reference}, by which all together gain most")
    say(f"to leave it, a gain must be {percent(confidence)} sure ({why})")
    chosen = gate.choose(others, n_rows, confidence=confidence, reference=reference, none=NONE)
    beliefs = [
        {
            name: Belief(
                float(seen[name].mean[k]), float(shrunk[name].mean[k]), float(shrunk[name].sure[k])
            )
            for name in CANDIDATES
        }
        if n_rows[k]
        else {}
        for k in range(len(users))
    ]
    counts = Counter(chosen)
    shown = ", ".join(f"{name} {counts[name]:,}" for name in (NONE, *CANDIDATES))
    say(f"chosen: {shown} of {len(users):,} users")
    population = {
        name: {"mean": one.population.mean, "spread": one.population.between**0.5}
        for name, one in shrunk.items()
    }
    return _tested(candidates, users, _Judged(chosen, beliefs, population, confidence, reference))


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the gate decided, before a test row was looked at."""

    chosen: Sequence[str]
    beliefs: Sequence[dict[str, Belief]]
    population: dict[str, dict[str, float]]
    confidence: float
    reference: str


def _tested(candidates: Candidates, users: Sequence[UserRows], judged: _Judged) -> Outcome:
    """Open the test rows: every candidate is fitted to all that came before, and asked."""
    view = candidates.view
    losses: list[dict[str, Floats]] = []
    right: Counter[str] = Counter()
    for user, name in zip(users, judged.chosen, strict=True):
        losses.append({})
        if user.test:
            answers = candidates.answers(user, user.known, user.test)
            answers["gated"] = answers[name]
            losses[-1] = {key: view.losses(one, user.test) for key, one in answers.items()}
            if not view.is_numbers:
                right.update({key: view.n_right(one, user.test) for key, one in answers.items()})
    gains = [one[NONE] - one["gated"] if one else np.empty(0) for one in losses]
    intervals = gate.gain_intervals(gains, confidence=COVERAGE)
    outcomes = [
        UserOutcome(
            user.user,
            len(user.train),
            len(user.validation),
            len(user.test),
            user.n_left_out,
            judged.chosen[k],
            judged.beliefs[k],
            {name: float(one.mean()) for name, one in losses[k].items() if name != "gated"},
            intervals[k],
        )
        for k, user in enumerate(users)
    ]
    names, tested = ("gated", NONE, *CANDIDATES), [one for one in losses if one]
    n_test = max(1, sum(len(one[NONE]) for one in tested))
    counts = Counter(judged.chosen)
    return Outcome(
        users=outcomes,
        loss_name=view.loss_name,
        losses={name: sum(float(one[name].sum()) for one in tested) / n_test for name in names},
        accuracies={} if view.is_numbers else {name: right[name] / n_test for name in names},
        gain=gate.total_interval(gains, confidence=COVERAGE),
        population=judged.population,
        confidence=judged.confidence,
        reference=judged.reference,
        chosen={name: counts[name] for name in (NONE, *CANDIDATES)},
    )


def _gains_in_turn(candidates: Candidates, user: UserRows) -> dict[str, Floats]:
    """What each candidate gains on a user's validation rows, those before a block all known to it.

    What is served is fitted to all rows, and what learns from rows gains by more of them. Judged by
    the training rows alone it would look worse than it will be (prequential: Dawid 1984). Adapters
    that are tuned step by step would have to be tuned for each block, and are judged in one.
    """
    n = len(user.validation)
    n_blocks = N_BLOCKS if isinstance(candidates.adapters, HeadAdapters) else 1
    ends = sorted({n * (k + 1) // n_blocks for k in range(n_blocks)} - {0})
    gains: dict[str, list[Floats]] = {name: [] for name in CANDIDATES}
    for first, end in pairwise([0, *ends]):
        known = [*user.train, *user.validation[:first]]
        losses = _losses(candidates, user, known, user.validation[first:end])
        for name in CANDIDATES:
            gains[name].append(losses[NONE] - losses[name])
    return {name: np.concatenate(rows) for name, rows in gains.items()}


def _losses(
    candidates: Candidates, user: UserRows, known: Sequence[int], asked: Sequence[int]
) -> dict[str, Floats]:
    answers = candidates.answers(user, known, asked)
    return {name: candidates.view.losses(one, asked) for name, one in answers.items()}
