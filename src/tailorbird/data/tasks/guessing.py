"""What the values of columns say where their names do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailorbird.data.rows import column_name
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.values import is_missing

SEPARATORS = ("|", ";", "；", ",", "，", "、", "\t")
"""Between the labels of one string, the surest first; a space is only taken on evidence."""
_ONE_TEXT = ("single_label", "binary", "multi_label", "regression", "joint", "masked")
"""Tasks whose rows have a single text; the longest column is it."""


def number_of(value: Any) -> float | None:
    """The finite number that a field holds; None where it holds none.

    >>> number_of("4.5"), number_of(True), number_of("four")
    (4.5, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


def is_numbers(values: Sequence[Any]) -> bool:
    """Whether the *values* are numbers and some of them no whole ones: nobody's class names.

    >>> is_numbers(["3.8", "5"]), is_numbers(["0", "1"])
    (True, False)
    """
    numbers = [number_of(value) for value in values if not is_missing(value)]
    return bool(numbers) and None not in numbers and any(n is not None and n % 1 for n in numbers)


def separator_of(values: Sequence[Any]) -> str:
    """What divides the labels of one string; empty where nothing does.

    A space divides them only where the same parts recur in other company, so that there are fewer
    of them than of the whole strings.

    >>> separator_of(["a|b", "c"]), separator_of(["China shares", "China", "shares"])
    ('|', ' ')
    """
    strings = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    for separator in SEPARATORS:
        if any(separator in value for value in strings):
            return separator
    whole = set(strings)
    parts = {part for value in whole for part in value.split()}
    return " " if len(parts) < 0.8 * len(whole) else ""


def flag_columns(columns: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """The columns that hold nothing but 0 and 1; none where there is only one.

    >>> flag_columns({"rude": [0, 1], "spam": ["0", "1"], "n": [3, 1]})
    ('rude', 'spam')
    """
    flags = tuple(
        name
        for name, values in columns.items()
        if values and all(str(value).strip() in ("0", "1", "True", "False") for value in values)
    )
    return flags if len(flags) > 1 else ()


def numbered_names(n_columns: int) -> list[str]:
    """The names of *n_columns* columns that have none.

    >>> numbered_names(2)
    ['column 1', 'column 2']
    """
    return [column_name(number) for number in range(1, n_columns + 1)]


def by_position(sample: Mapping[str, Sequence[Any]], task: TaskKind) -> dict[str, str]:
    """Field → column where columns have no names: by how long and how various their values are.

    The text is the longest column on average (a pair: the two longest, in their order). The label
    is the one of the others with the fewest different values; the number the first of the others
    that is one and no count of the rows.

    >>> rows = {"column 1": ["1", "2"], "column 2": ["where?", "when?"], "column 3": ["0", "0"]}
    >>> by_position(rows, "single_label")
    {'text': 'column 2', 'label': 'column 3'}
    """
    columns = [column for column in sample if column != "split"]
    n_texts = 1 if task in _ONE_TEXT else 2
    by_length = sorted(columns, key=lambda column: -_mean_length(sample[column]))
    texts = sorted(by_length[:n_texts], key=columns.index)
    found = dict(zip(("text", "second"), texts, strict=False))
    rest = [column for column in columns if column not in texts]
    if task in ("regression", "ranking"):
        rest = [column for column in rest if not _is_count(sample[column])]
        numbers = [c for c in rest if any(number_of(value) is not None for value in sample[c])]
        return found | ({"value": numbers[0]} if numbers else {})
    field = {"multi_label": "labels", "single_label": "label", "binary": "label", "pairs": "label"}
    if rest and task in field:
        found[field[task]] = min(rest, key=lambda column: len(set(map(str, sample[column]))))
    return found


def _mean_length(values: Sequence[Any]) -> float:
    return sum(len(str(value)) for value in values) / max(len(values), 1)


def _is_count(values: Sequence[Any]) -> bool:
    numbers = [number_of(value) for value in values]
    first = numbers[0] if numbers else None
    if first is None or len(numbers) < 2:
        return False
    return numbers == [first + step for step in range(len(numbers))]
