"""Rows of any task, from files of any known kind → examples by split.

rows = load_rows("reviews.csv", "multi_label")
rows.splits["train"][0].labels                 # ('price', 'taste')
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, get_args

from tailorbird.config import ReadingSettings, SplitSettings
from tailorbird.data.conversations import parse_roles
from tailorbird.data.pii import mask_pii
from tailorbird.data.reading import Reading, open_tables
from tailorbird.data.rows import Note, Reject, Row, Table
from tailorbird.data.tasks.columns import find_input_columns, find_task_columns
from tailorbird.data.tasks.examples import READ, read_input
from tailorbird.data.tasks.formats import formats_of
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.tasks.splitting import Split, divide_examples, fill_given
from tailorbird.data.values import name_value, split_value, time_value
from tailorbird.errors import ConfigError, DataError, RowError
from tailorbird.records import SPLITS, Example, SplitName

_READING = ReadingSettings()
_SPLIT = SplitSettings()

Source = str | Path | Mapping[SplitName, str | Path]
"""A file, a folder of files, a database URL; or one of these for each split."""

_Placed = tuple[SplitName | None, Example]


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The examples of a task by split, and what became of the rows they were made of."""

    splits: Split
    """Train, validation and test; all in train where no dividing was asked for."""
    is_given: bool
    """Whether the source says itself which row is in which split."""
    decisions: tuple[str, ...]
    """What was decided for the user, and why."""
    n_rows: int
    n_rejected: int

    @property
    def examples(self) -> tuple[Example, ...]:
        """All of them: train, then validation, then test."""
        return tuple(itertools.chain.from_iterable(self.splits[name] for name in SPLITS))

    @property
    def labels(self) -> tuple[str, ...]:
        """Every class, label or kind of span that occurs, sorted."""
        found = {label for row in self.examples for label in (row.label, *row.labels)}
        found |= {span.label for row in self.examples for span in row.spans}
        return tuple(sorted(found - {""}))


def load_rows(
    source: Source,
    task: str,
    reading: ReadingSettings = _READING,
    *,
    columns: Mapping[str, str] | None = None,
    split: SplitSettings | None = _SPLIT,
    needs_truth: bool = True,
    on_reject: Callable[[Reject], None] | None = None,
) -> TaskRows:
    """Read the rows of *task* and divide them by *split* where the source does not.

    JSONL, JSON, CSV, TSV, Parquet and SQL tables; for token classification CoNLL files too. A
    column ``split``, files named train, dev and test, or a mapping as *source* give the splits;
    with *split* None rows without one all stay in train. *columns* names the column of a field
    (``{"text": "title"}``) where the guess, which is among the decisions, is wrong. Without
    *needs_truth* rows are read as they come to a tuned model, whatever is true of them left out.
    A row that cannot be used goes to *on_reject* with cause and cure. Raises DataError where the
    columns cannot be told, TooManyRejectsError for more bad rows than *reading* allows.
    """
    kind = _kind(task)
    named = {
        field: name
        for field in ("text", "label", "user", "time")
        if (name := getattr(reading, field))
    }
    named |= columns or {}
    notes: list[str] = []
    formats = formats_of(kind, frozenset(named.values()))
    tables: list[Table] = []
    for place, path in source.items() if isinstance(source, Mapping) else [(None, source)]:
        found = open_tables(path, reading, formats=formats, note=notes.append)
        tables += [replace(table, split=place) for table in found] if place else found
    interpreter = partial(
        _interpreter, task=kind, named=named, roles=reading.roles, needs_truth=needs_truth
    )
    stream = Reading(tables, reading, interpreter, on_reject=on_reject, decisions=notes)
    placed = list(stream)
    decisions = stream.decisions
    if kind == "ranking":
        placed = _by_query(placed)
    if needs_truth:
        _check(placed, kind)
    splits, is_given = _divided(placed, kind, split, note=decisions.append)
    return TaskRows(splits, is_given, tuple(decisions), stream.n_rows, stream.n_rejected)


def mask_example(example: Example) -> Example:
    """The same with e-mails, phones, identity and card numbers replaced in every text of it.

    Spans are counted in characters of their text, so an example that has some stays as it is.
    """
    if example.spans:
        return example
    return replace(
        example,
        text=mask_pii(example.text),
        second=mask_pii(example.second),
        candidates=tuple(replace(c, text=mask_pii(c.text)) for c in example.candidates),
        messages=tuple(replace(m, content=mask_pii(m.content)) for m in example.messages),
    )


def _kind(task: str) -> TaskKind:
    for known in get_args(TaskKind):
        if task == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(
        f"{task!r} is no task whose rows are read",
        cure=f"known: {', '.join(get_args(TaskKind))}",
    )


def _interpreter(
    table: Table,
    peeked: Sequence[Row],
    note: Note,
    *,
    task: TaskKind,
    named: Mapping[str, str],
    roles: str,
    needs_truth: bool,
) -> Callable[[Row], list[_Placed]]:
    """Choose the columns of *table* by its first rows; the result reads one row."""
    good = [row.values for row in peeked if row.error is None]
    find = find_task_columns if needs_truth else find_input_columns
    found = find(good, task, named=named, name=table.name, note=note) if good else None
    read = READ[task] if needs_truth else read_input
    known_roles = parse_roles(roles)

    def interpret(row: Row) -> list[_Placed]:
        if row.error is not None or found is None:
            raise row.error or DataError("holds no good row", where=table.name)
        values = row.values
        place = table.split
        if not place and found.split:
            place = split_value(values.get(found.split), found.split)
        own = name_value(values.get(found.id), found.id) if found.id else None
        user = name_value(values.get(found.user), found.user) if found.user else None
        key = own or f"{table.name}:{row.line}"
        time = _time(values.get(found.time), found.time, is_named="time" in named)
        examples = read(values, found, known_roles)
        return [(place, replace(one, interaction_id=key, user=user, time=time)) for one in examples]

    return interpret


def _time(value: Any, column: str, *, is_named: bool) -> str:
    """ISO 8601 in UTC; empty where there is none, or a guessed column holds no time in this row."""
    try:
        moment = time_value(value, column) if column else None
    except RowError:
        if is_named:
            raise
        return ""
    return moment.astimezone(UTC).isoformat() if moment else ""


def _by_query(placed: Sequence[_Placed]) -> list[_Placed]:
    """One example a query: the candidates of rows with the same query, in their order."""
    found: dict[tuple[SplitName | None, str], Example] = {}
    for place, example in placed:
        key = (place, example.text)
        first = found.get(key)
        found[key] = (
            replace(first, candidates=first.candidates + example.candidates) if first else example
        )
    return [(place, example) for (place, _), example in found.items()]


def _check(placed: Sequence[_Placed], task: TaskKind) -> None:
    if task == "binary":
        labels = sorted({example.label for _, example in placed})
        if len(labels) != 2:
            shown = ", ".join(map(repr, labels[:8]))
            raise DataError(
                f"a binary task has two labels, these rows have {len(labels)}: {shown}",
                cure="use the task single_label, or mend the labels",
            )


def _divided(
    placed: Sequence[_Placed], task: TaskKind, settings: SplitSettings | None, *, note: Note
) -> tuple[Split, bool]:
    given: dict[SplitName, list[Example]] = {name: [] for name in SPLITS}
    for place, example in placed:
        given[place or "train"].append(example)
    n_without = sum(place is None for place, _ in placed)
    is_given = sum(bool(rows) for rows in given.values()) > 1
    if is_given and n_without:
        note(f"{n_without:,} rows name no split and went to train")
    if settings is None and is_given:
        return {name: tuple(given[name]) for name in SPLITS}, True
    everything = [example for _, example in placed]
    if settings is None:
        return {"train": tuple(everything), "validation": (), "test": ()}, False
    if is_given:
        return fill_given(given, task, settings, note=note), True
    return divide_examples(everything, task, settings, note=note), False
