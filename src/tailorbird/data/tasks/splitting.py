"""Dividing the examples of any task: stratified, by seed, no text in two splits."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence

from tailorbird.config import SplitSettings
from tailorbird.data.allocation import allocate
from tailorbird.data.duplicates import Groups, same_text_key
from tailorbird.data.rows import Note
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import SPLITS, Example, SplitName

N_STRATA = 10
"""Equally full ranges of a number that each split gets its share of."""

Split = dict[SplitName, tuple[Example, ...]]


def divide_examples(
    examples: Sequence[Example], task: TaskKind, settings: SplitSettings, *, note: Note
) -> Split:
    """Train, validation and test by *settings.ratio*; the same rows and seed give the same.

    Rows that share a text (a query; either text of a pair) stay together. What is learned is
    spread evenly: each label, each label of several, each tenth of a number, each kind of span.
    Raises DataError where a split stays empty.
    """
    if min(settings.ratio) < 1:
        raise ConfigError(
            f"split.ratio = {settings.ratio} leaves a split empty", cure="as 7:2:1, no part 0"
        )
    shares = dict(zip(SPLITS, map(float, settings.ratio), strict=True))
    found = _allocated(examples, task, shares, settings.seed)
    parts = ":".join(map(str, settings.ratio))
    note(f"split {parts}, stratified, no text in two splits, seed {settings.seed}")
    empty = [name for name in SPLITS if not found[name]]
    if empty:
        raise DataError(
            f"{len(examples):,} rows are too few, or share too many texts: the {empty[0]} split "
            "is empty",
            cure="collect more rows, or give the splits yourself",
        )
    return found


def fill_given(
    given: Mapping[SplitName, Sequence[Example]],
    task: TaskKind,
    settings: SplitSettings,
    *,
    note: Note,
) -> Split:
    """The *given* splits as they are; one that is missing becomes a tenth of train.

    Raises DataError where there is nothing to train on.
    """
    found: Split = {name: tuple(given.get(name, ())) for name in SPLITS}
    shown = ", ".join(f"{name} {len(rows):,}" for name, rows in found.items() if rows)
    note(f"the source gives its own splits ({shown}); they were kept")
    if not found["train"]:
        raise DataError("the source gives a test split but no rows to train on")
    for missing in ("test", "validation"):
        if not found[missing]:
            shares: dict[SplitName, float] = {"train": 0.9, missing: 0.1}
            parts = _allocated(found["train"], task, shares, settings.seed)
            found["train"], found[missing] = parts["train"], parts[missing]
            note(f"no {missing} split is given: {len(found[missing]):,} rows of train became it")
    return found


def _allocated(
    examples: Sequence[Example], task: TaskKind, shares: Mapping[SplitName, float], seed: int
) -> Split:
    members = together(examples, task)
    strata = strata_of(examples, task)
    groups = [[label for number in group for label in strata[number]] for group in members]
    places = allocate(groups, shares, random.Random(seed))
    place_of = {
        number: place for group, place in zip(members, places, strict=True) for number in group
    }
    return {
        name: tuple(row for number, row in enumerate(examples) if place_of[number] == name)
        for name in SPLITS
    }


def together(examples: Sequence[Example], task: TaskKind) -> list[list[int]]:
    """The numbers of the rows that share a text, directly or by others."""
    groups = Groups(len(examples))
    first: dict[str, int] = {}
    for number, example in enumerate(examples):
        texts = (example.text, example.second) if task == "pairs" else (example.text,)
        for text in filter(None, texts):
            groups.join(first.setdefault(same_text_key(text), number), number)
    return groups.members()


def strata_of(examples: Sequence[Example], task: TaskKind) -> list[list[str]]:
    """What each row should be spread by; rows without any share the stratum ``""``."""
    values = sorted(row.value for row in examples if row.value is not None)
    edges = [values[len(values) * k // N_STRATA] for k in range(1, N_STRATA)] if values else []
    by_task: dict[TaskKind, Callable[[Example], Iterable[str]]] = {
        "multi_label": lambda row: row.labels,
        "joint": lambda row: [name for name in (*row.labels, row.label) if name],
        "token_classification": lambda row: sorted({span.label for span in row.spans}),
    }

    def plain(row: Example) -> Iterable[str]:
        if row.label or row.value is None:
            return [row.label]
        return [str(bisect_right(edges, row.value))]

    of_row = by_task.get(task, plain)
    return [list(of_row(row)) or [""] for row in examples]
