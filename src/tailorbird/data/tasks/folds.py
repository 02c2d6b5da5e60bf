"""Folds: each row is left out of training once, with all rows that would give it away."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from tailorbird.config import SplitSettings
from tailorbird.data.duplicates import Groups, join_near_duplicates
from tailorbird.data.rows import Note
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.tasks.splitting import strata_of, together
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import Example


def assign_folds(
    examples: Sequence[Example],
    n_folds: int,
    task: TaskKind,
    *,
    settings: SplitSettings,
    note: Note = lambda _: None,
) -> list[int]:
    """The fold of each row, from 0; what is learned is spread evenly over them.

    Rows of one text, near duplicates and, with *settings.by* = user, rows of one user share a
    fold. The same rows and seed give the same folds. Raises ConfigError where there are fewer
    than two folds, DataError where the rows do not fill them.
    """
    if n_folds < 2:
        raise ConfigError(f"{n_folds} folds leave nothing to train on", cure="use two or more")
    members = _members(examples, task, settings, n_folds)
    if len(members) < n_folds:
        raise DataError(
            f"{len(examples):,} rows make {len(members)} groups that must stay together, too few "
            f"for {n_folds} folds",
            cure="collect more rows, or use fewer folds",
        )
    strata = strata_of(examples, task)
    labels = [[label for number in group for label in strata[number]] for group in members]
    places = spread([Counter(of_group) for of_group in labels], n_folds, seed=settings.seed)
    fold_of = [0] * len(examples)
    for group, place in zip(members, places, strict=True):
        for number in group:
            fold_of[number] = place
    kept = ", no user in two of them" if settings.by == "user" else ""
    why = "; not by time, since every row is to be left out once" if settings.by == "time" else ""
    note(f"folds: {n_folds}, stratified, near duplicates together{kept}, seed {settings.seed}{why}")
    return fold_of


def spread(groups: Sequence[Counter[str]], n_folds: int, *, seed: int = 0) -> list[int]:
    """The fold of each group, where a group is how many rows it has of each label.

    Large groups are placed first; each goes where its labels are rarest so far, and of equal folds
    to the smallest one: iterative stratification (Sechidis et al. 2011) for equal shares. Groups of
    one row give folds whose rows of a label differ by one at most.

    >>> spread([Counter(label) for label in "aaaabb"], 2).count(0)
    3
    """
    total = Counter[str]()
    for group in groups:
        total.update(group)
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda number: -groups[number].total())
    found, sizes = [Counter[str]() for _ in range(n_folds)], [0] * n_folds
    places = [0] * len(groups)
    for number in order:
        group = groups[number]

        def crowding(fold: int, group: Counter[str] = group) -> tuple[float, int]:
            had = found[fold]
            return sum(n * had[label] / total[label] for label, n in group.items()), sizes[fold]

        best = min(range(n_folds), key=crowding)
        places[number] = best
        found[best].update(group)
        sizes[best] += group.total()
    return places


def _members(
    examples: Sequence[Example], task: TaskKind, settings: SplitSettings, n_folds: int
) -> list[list[int]]:
    """The numbers of the rows that must share a fold."""
    groups, users = Groups(len(examples)), Groups(len(examples))
    for group in together(examples, task):
        for number in group[1:]:
            groups.join(group[0], number)
    if settings.near_duplicate:
        join_near_duplicates([row.text for row in examples], groups, settings.near_duplicate)
    if settings.by != "user":
        return groups.members()
    first: dict[str, int] = {}
    for number, row in enumerate(examples):
        if row.user is not None:
            other = first.setdefault(row.user, number)
            users.join(other, number)
            groups.join(other, number)
    both = groups.members()
    # A phrase that everybody uses would tie all users into one group that fits no fold.
    is_tied = max(map(len, both), default=0) > len(examples) / n_folds
    return users.members() if is_tied else both
