"""Which column of a task's rows holds what: named by the caller, else guessed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tailorbird.data.columns import NAMES, listed, plain_name
from tailorbird.data.conversations import MESSAGE_KEYS
from tailorbird.data.rows import Note
from tailorbird.data.tasks.guessing import (
    by_position,
    flag_columns,
    is_numbers,
    numbered_names,
    separator_of,
)
from tailorbird.data.tasks.kinds import NEEDS, TaskKind
from tailorbird.data.values import is_missing, split_value, time_value
from tailorbird.errors import DataError, RowError

Groups = tuple[tuple[str, ...], ...]
"""Names of a column, best first; names of one group are equally good."""

_QUERY: Groups = (
    ("query", "question", "问题", "查询"),
    ("anchor", "q", "text", "instruction", "input"),
)
_PASSAGE: Groups = (
    ("passage", "document", "doc", "段落", "文档"),
    ("positive", "answer", "response", "context", "答案", "回答", "回复"),
    ("candidate", "text", "content", "body", "output", "title"),
)
_NUMBER: Groups = (
    ("value", "score", "rating", "relevance", "评分", "分数", "得分"),
    ("similarity", "grade", "stars", "rel", "target", "y", "相似度", "相关性"),
    ("label", "labels", "标签"),
)
_LABEL: Groups = (("label", "gold_label", "标签"), *NAMES["label"])
_LABELS: Groups = (("labels", "label", "标签"), ("tags", "topics", "categories", "classes", "类别"))
_SPANS: Groups = (("spans", "entities", "实体"), ("annotations", "ner", "label", "labels"))

PAIRS: tuple[tuple[str, str], ...] = (
    ("text", "text2"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query1", "query2"),
    ("q1", "q2"),
    ("s1", "s2"),
    ("句子1", "句子2"),
    ("文本1", "文本2"),
    ("前提", "假设"),
    ("query", "passage"),
    ("question", "answer"),
    ("query", "title"),
)
"""What the two columns of a pair are usually called, best first."""

_COMMON: dict[str, Groups] = {
    "id": NAMES["id"],
    "user": NAMES["user"],
    "time": NAMES["time"],
    "split": NAMES["split"],
}
FIELDS: dict[TaskKind, dict[str, Groups]] = {
    "single_label": {"text": NAMES["text"], "label": _LABEL},
    "binary": {"text": NAMES["text"], "label": _LABEL},
    "multi_label": {"text": NAMES["text"], "labels": _LABELS},
    "regression": {"text": NAMES["text"], "value": _NUMBER},
    "pairs": {"label": _LABEL, "value": _NUMBER[:2]},
    "token_classification": {
        "tokens": (("tokens", "words", "分词"), ("chars", "字")),
        "tags": (("tags", "ner_tags", "bio"), ("labels", "label", "tag", "ner", "标签")),
        "text": NAMES["text"],
        "spans": _SPANS,
    },
    "retrieval": {"text": _QUERY, "second": _PASSAGE},
    "ranking": {
        "text": _QUERY,
        "candidates": (("candidates", "documents", "passages", "候选"),),
        "second": _PASSAGE,
        "value": _NUMBER,
    },
    "dialogue": {
        "messages": (MESSAGE_KEYS,),
        "instances": (("instances",),),
        "text": (("instruction", "prompt"), ("query", "question", "问题"), ("input", "user")),
        "second": (("output", "response", "answer", "completion"), ("回答", "答案", "reply")),
    },
    "joint": {
        "text": NAMES["text"],
        "labels": (("topics", "labels", "主题", "话题"), _LABELS[1]),
        "label": (("sentiment", "label", "polarity", "情感", "情绪"), *NAMES["label"]),
        "second": (("entity", "target", "实体"),),
    },
    "masked": {"text": NAMES["text"]},
}
"""Task → field → the usual names of its column."""


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """The column of each field; empty where the rows have none."""

    text: str = ""
    second: str = ""
    label: str = ""
    labels: str = ""
    value: str = ""
    spans: str = ""
    tokens: str = ""
    tags: str = ""
    candidates: str = ""
    messages: str = ""
    instances: str = ""
    id: str = ""
    user: str = ""
    time: str = ""
    split: str = ""
    separator: str = ""
    """Between the labels of one string; empty: the string is one label."""
    flags: tuple[str, ...] = ()
    """Columns of 0 and 1, one a label, where no column holds the labels themselves."""


def is_known_name(name: str, task: TaskKind) -> bool:
    """Whether a column called so is one that *task* looks for: then a first line is a header.

    >>> is_known_name("Sentence1", "pairs"), is_known_name("退款", "pairs")
    (True, False)
    """
    groups = [*FIELDS[task].values(), *_COMMON.values(), PAIRS]
    return any(plain_name(name) in names for group in groups for names in group)


def find_task_columns(
    rows: Sequence[Mapping[str, Any]],
    task: TaskKind,
    *,
    named: Mapping[str, str],
    name: str,
    note: Note,
) -> TaskColumns:
    """The columns of the source *name*, judged by its first *rows*; guesses go to *note*.

    *named* says which column a field is in and wins over every guess. Raises DataError where a
    column that the task needs cannot be told; the message lists what is there.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    found = {field: _checked(column, field, columns, name) for field, column in named.items()}
    sample = {column: [row.get(column) for row in rows] for column in columns}
    if not set(columns) - {"split"} <= set(numbered_names(len(columns))):
        _guess(found, task, columns, name=name)
    else:
        found = by_position(sample, task) | found
    if "split" in columns:
        found.setdefault("split", "split")
    found = _without_misfits(found, named, sample)
    result = _settled(_as_columns(found), task, sample, note)
    if not _is_enough(result, task):
        raise DataError(
            f"{task} needs {NEEDS[task]}; the columns are {listed(columns)}",
            where=name,
            cure="name them, as --set reading.text=title",
        )
    for field, column in found.items():
        if field not in named and getattr(result, field) and field not in ("id", "user", "time"):
            note(f"{field}: column {column!r} (guessed)")
    return result


def find_input_columns(
    rows: Sequence[Mapping[str, Any]],
    task: TaskKind,
    *,
    named: Mapping[str, str],
    name: str,
    note: Note,
) -> TaskColumns:
    """The columns of what a tuned model is asked: the texts alone. Raises as the other does."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    found = {field: _checked(column, field, columns, name) for field, column in named.items()}
    _guess(found, task, columns, name=name)
    if not {"text", "messages"} & found.keys():
        found["text"] = _by_name(columns, NAMES["text"], "text", name=name)
    wanted = ("text", "second", "candidates", "messages", "id", "user", "time")
    if task == "joint":  # not every row is about somebody
        found.pop("second", None)
    result = _as_columns({field: found[field] for field in wanted if field in found})
    if not (result.text or result.messages):
        raise DataError(
            f"{task} needs a text; the columns are {listed(columns)}",
            where=name,
            cure="name the column with --set reading.text=…",
        )
    note(f"text: column {result.messages or result.text!r}")
    return result


def _as_columns(found: Mapping[str, str]) -> TaskColumns:
    columns: dict[str, Any] = dict(found)
    return TaskColumns(**columns)


def _checked(column: str, field: str, columns: Collection[str], name: str) -> str:
    known = TaskColumns.__dataclass_fields__.keys() - {"separator", "flags"}
    if field not in known:
        cure = f"known: {', '.join(sorted(known))}"
        raise DataError(f"{field!r} is no field of a task's row", where=name, cure=cure)
    if column in columns:
        return column
    near = difflib.get_close_matches(column, columns, n=1)
    cure = f"did you mean {near[0]!r}?" if near else "name one of them"
    raise DataError(
        f"has no column {column!r}; it has {listed(list(columns))}", where=name, cure=cure
    )


def _guess(found: dict[str, str], task: TaskKind, columns: list[str], *, name: str) -> None:
    if task in ("pairs", "regression") and not {"text", "second"} & found.keys():
        plain = {plain_name(column): column for column in reversed(columns)}
        for first, second in PAIRS:
            if first in plain and second in plain:
                found |= {"text": plain[first], "second": plain[second]}
                break
    for field, groups in (FIELDS[task] | _COMMON).items():
        if field in found or (field == "tags" and "tokens" not in found):
            continue
        free = [column for column in columns if column not in found.values()]
        if column := _by_name(free, groups, field, name=name):
            found[field] = column


def _by_name(columns: list[str], groups: Groups, field: str, *, name: str) -> str:
    for names in groups:
        matches = [column for column in columns if plain_name(column) in names]
        if len(matches) > 1 and field in ("text", "label"):
            raise DataError(
                f"columns {' and '.join(map(repr, matches))} could each be the {field}",
                where=name,
                cure=f'choose, as columns={{"{field}": "{matches[0]}"}}',
            )
        if matches:
            return min(matches, key=lambda column: names.index(plain_name(column)))
    return ""


def _without_misfits(
    found: dict[str, str], named: Mapping[str, str], sample: Mapping[str, list[Any]]
) -> dict[str, str]:
    """Without guessed columns whose values are nothing of the kind."""
    fits: dict[str, Callable[[Any], bool]] = {
        "split": _is_split,
        "time": _is_time,
        "tokens": lambda value: isinstance(value, list | str),
        "candidates": lambda value: isinstance(value, list),
        "messages": lambda value: isinstance(value, list),
        "instances": lambda value: isinstance(value, list),
        "spans": lambda value: isinstance(value, list | dict),
    }
    kept = {}
    for field, column in found.items():
        present = [value for value in sample.get(column, ()) if not is_missing(value)]
        check = fits.get(field)
        if field in named or check is None or 2 * sum(map(check, present)) >= len(present):
            kept[field] = column
    return kept


def _is_split(value: Any) -> bool:
    try:
        return split_value(value, "split") is not None
    except RowError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return time_value(value, "time") is not None
    except RowError:
        return False


def _settled(
    found: TaskColumns, task: TaskKind, sample: Mapping[str, list[Any]], note: Note
) -> TaskColumns:
    """With what only the values can tell: numbers or names, how labels are divided."""
    if task == "pairs":
        if found.label and not found.value and is_numbers(sample[found.label]):
            note(f"value: column {found.label!r} holds fractions, so similarities and no labels")
            return replace(found, label="", value=found.label)
        if found.label and found.value == found.label:
            return replace(found, value="")
    if task in ("multi_label", "joint") and found.labels:
        separator = separator_of(sample[found.labels])
        if separator:
            note(f"labels: divided at {separator!r}")
        return replace(found, separator=separator)
    if task == "multi_label":
        taken = {found.text, found.id, found.user, found.split}
        flags = flag_columns({key: sample[key] for key in sample if key not in taken})
        if flags:
            note(f"labels: {len(flags)} columns of 0 and 1, a label each: {listed(list(flags))}")
        return replace(found, flags=flags)
    if task == "token_classification" and found.tokens and found.tags:
        return replace(found, spans="")
    return found


def _is_enough(found: TaskColumns, task: TaskKind) -> bool:
    pair = bool(found.text and found.second)
    return {
        "single_label": bool(found.text and found.label),
        "binary": bool(found.text and found.label),
        "multi_label": bool(found.text and (found.labels or found.flags)),
        "regression": bool(found.text and found.value),
        "pairs": pair and bool(found.label or found.value),
        "token_classification": bool((found.tokens and found.tags) or (found.text and found.spans)),
        "retrieval": pair,
        "ranking": bool(found.text and (found.candidates or (found.second and found.value))),
        "dialogue": pair or bool(found.messages or (found.text and found.instances)),
        "joint": bool(found.text and (found.labels or found.label)),
        "masked": bool(found.text),
    }[task]
