"""The few numbers of the candidates, chosen on the validation rows of all users together.

One number is tried at a time, from a start that is usual, twice round: with a handful of numbers
that matter little together, what a full grid would find besides is not worth its time. No test row
is looked at, and no number belongs to one user.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from tailorbird.modeling.adapters.own_rows import Retrieval
from tailorbird.personalise.candidates import Adapters
from tailorbird.personalise.heads import HeadPrior, Heads
from tailorbird.personalise.retrieval import blend, own_rows
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.view import View

N_USERS = 200
"""Users whose rows choose, where each has many; more hardly change the choice."""
N_ROWS_IN_ALL = 20_000
"""Where they have few, more users are asked, until they have so many rows together."""
N_ROWS = 200
"""Newest rows of each part of such a user; all that is tried takes time as their cube."""
N_ROUNDS = 2

T = TypeVar("T", HeadPrior, Retrieval)

PRIORS: Mapping[str, Sequence[Any]] = {
    "level": (0.0, 0.1, 0.3, 1.0, 3.0),
    "taste": (0.0, 0.1, 0.2, 0.4, 0.8, 1.6),
    "half_life": (0.0, 10.0, 30.0, 100.0),
    "is_robust": (False, True),
}
RETRIEVALS: Mapping[str, Sequence[Any]] = {
    "form": ("mean", "median"),
    "doubt": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "sharpness": (0.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    "half_life": (0.0, 10.0, 30.0, 100.0),
}
_OF_NUMBERS = {"is_robust", "form"}


def some_users(users: Sequence[UserRows], *, seed: int = 0) -> list[UserRows]:
    """Some of those that have something to choose by, with at most N_ROWS a part.

    They are N_USERS, or more while they have fewer than N_ROWS_IN_ALL rows together.
    """
    able = [user for user in users if user.train and user.validation]
    random.Random(seed).shuffle(able)
    chosen: list[UserRows] = []
    n_rows = 0
    for user in able:
        if len(chosen) >= N_USERS and n_rows >= N_ROWS_IN_ALL:
            break
        chosen.append(
            replace(user, train=user.train[-N_ROWS:], validation=user.validation[:N_ROWS])
        )
        n_rows += len(chosen[-1].train) + len(chosen[-1].validation)
    return chosen


def search_prior(heads: Heads, users: Sequence[UserRows]) -> HeadPrior:
    """How far users differ: what predicts the validation rows of *users* best."""

    def loss(prior: HeadPrior) -> float:
        total: list[float] = []
        for user in users:
            fit = heads.fit(user.train, prior)
            outputs = heads.answer(fit, user.validation)
            total += heads.view.losses(outputs, user.validation).tolist()
        return float(np.mean(total))

    return _descend(HeadPrior(), PRIORS, loss, is_numbers=heads.view.is_numbers)


def search_retrieval(view: View, users: Sequence[UserRows], adapters: Adapters | None) -> Retrieval:
    """How own rows are heard, around the shared assistant or around *adapters*."""
    around: list[tuple[UserRows, Tensor, Tensor]] = []
    for user in users:
        if adapters is None:
            of_asked, of_known = view.base_of(user.validation), view.base_of(user.train)
        else:
            of_asked, of_known = adapters.answers(user, user.train, user.validation)
        around.append((user, of_asked, of_known))

    def loss(how: Retrieval) -> float:
        total: list[float] = []
        for user, of_asked, of_known in around:
            own = own_rows(view, user.train, of_known, how)
            outputs = blend(view, own, user.validation, of_asked)
            total += view.losses(outputs, user.validation).tolist()
        return float(np.mean(total))

    return _descend(Retrieval(), RETRIEVALS, loss, is_numbers=view.is_numbers)


def _descend(
    start: T,
    grid: Mapping[str, Sequence[Any]],
    loss: Callable[[T], float],
    *,
    is_numbers: bool,
) -> T:
    """The best of *grid* by changing one field at a time; nothing is tried twice."""
    known: dict[T, float] = {}

    def known_loss(one: T) -> float:
        if one not in known:
            known[one] = loss(one)
        return known[one]

    best = start
    for _ in range(N_ROUNDS):
        before = best
        for name, values in grid.items():
            if name in _OF_NUMBERS and not is_numbers:
                continue
            best = min((replace(best, **{name: value}) for value in values), key=known_loss)
        if best == before:
            break
    return best
