"""A row of a task → examples, by the columns it has; RowError says what of a row is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tailorbird.data.conversations import Role, read_messages
from tailorbird.data.tasks.columns import TaskColumns
from tailorbird.data.tasks.guessing import number_of
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.tasks.spans import find_tokens, join_tokens, spans_of, spans_of_tags
from tailorbird.data.values import is_missing, kind_of, name_value, text_value
from tailorbird.errors import RowError
from tailorbird.records import Candidate, Example, Message

Values = Mapping[str, Any]

_NO_LABELS = ("", "-")
"""How pairs are marked whose annotators did not agree, besides an empty field."""
_PART_TEXTS = ("text", "passage", "document", "content", "candidate", "title")
_PART_NUMBERS = ("relevance", "label", "score", "grade", "rel", "value")


def _text(row: Values, column: str) -> str:
    if column not in row:
        found = ", ".join(map(repr, list(row)[:8])) or "nothing"
        raise RowError(f"has no {column!r}; it has {found}", cure="name every field alike")
    text = text_value(row[column], column)
    if not text.strip():
        raise RowError(f"{column} is empty", cure="give the row its text or leave the row out")
    return text


def _label(row: Values, column: str) -> str:
    label = name_value(_plain(row.get(column)), column)
    if label is None or label in _NO_LABELS:
        raise RowError(f"{column} is empty", cure="label the row or leave it out")
    return label


def _plain(value: Any) -> Any:
    """A label as a name: true and false as 1 and 0, as most sets write them."""
    return int(value) if isinstance(value, bool) else value


def _number(value: Any, what: str) -> float:
    number = number_of(_plain(value))
    if number is None or number != number:
        shown = value if isinstance(value, str | int | float) else kind_of(value)
        raise RowError(f"{what} is {shown!r}, not a number", cure="write one finite number")
    return number


def _single(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    return [Example(_text(row, columns.text), _label(row, columns.label))]


def _multi(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    text = _text(row, columns.text)
    if columns.flags:
        on = [flag for flag in columns.flags if str(row.get(flag)).strip() in ("1", "True")]
        return [Example(text, labels=tuple(on))]
    return [Example(text, labels=_names(row, columns))]


def _names(row: Values, columns: TaskColumns) -> tuple[str, ...]:
    """The labels of a row, each once."""
    value = row.get(columns.labels)
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_list(value, columns.labels)
    if isinstance(value, str):
        value = value.split(columns.separator) if columns.separator else [value]
    elif value is None or not isinstance(value, list | tuple):
        value = [] if is_missing(value) else [value]
    names = (name_value(_plain(entry), columns.labels) for entry in value)
    return tuple(dict.fromkeys(name for name in names if name))


def _joint(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    text = _text(row, columns.text)
    label = name_value(_plain(row.get(columns.label)), columns.label) if columns.label else ""
    label = "" if label in (None, *_NO_LABELS) else label
    is_said = bool(columns.labels) and not is_missing(row.get(columns.labels))
    if not label and not is_said:
        raise RowError(
            "has neither labels nor a label", cure="give it one of them, or leave it out"
        )
    names = (
        tuple(name for name in _names(row, columns) if name not in _NO_LABELS) if is_said else ()
    )
    second = row.get(columns.second) if columns.second else ""
    return [
        Example(
            text,
            label or "",
            second="" if is_missing(second) else text_value(second, columns.second),
            labels=names,
            lacks=() if is_said else ("labels",),
        )
    ]


def _masked(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    return [Example(_text(row, columns.text))]


def _json_list(value: str, what: str) -> list[Any]:
    try:
        return list(json.loads(value.replace("'", '"')))
    except (ValueError, TypeError) as error:
        raise RowError(
            f"{what} is {value[:40]!r}, which opens a list and is none",
            cure='write ["a", "b"], or a|b',
        ) from error


def _regression(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    second = _text(row, columns.second) if columns.second else ""
    value = _number(row.get(columns.value), columns.value)
    return [Example(_text(row, columns.text), second=second, value=value)]


def _pair(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    label = _label(row, columns.label) if columns.label else ""
    value = _number(row.get(columns.value), columns.value) if columns.value else None
    first, second = _text(row, columns.text), _text(row, columns.second)
    return [Example(first, label, second=second, value=value)]


def _tagged(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    if columns.spans:
        text = _text(row, columns.text)
        value = row.get(columns.spans)
        if isinstance(value, str):
            value = _json(value, columns.spans)
        return [Example(text, spans=spans_of(value, text, columns.spans))]
    tokens = _words(row.get(columns.tokens), columns.tokens)
    tags = _words(row.get(columns.tags), columns.tags)
    if len(tokens) != len(tags):
        raise RowError(
            f"has {len(tokens)} {columns.tokens} and {len(tags)} {columns.tags}",
            cure="give each token one tag",
        )
    if tags and all(tag.isdigit() for tag in tags):
        raise RowError(
            f"{columns.tags} are numbers ({' '.join(tags[:5])} …), not names",
            cure="write them as O, B-city, I-city",
        )
    own = row.get(columns.text) if columns.text else None
    places = find_tokens(tokens, own) if isinstance(own, str) else None
    if places is not None and isinstance(own, str):
        return [Example(own, spans=spans_of_tags(tags, places))]
    text, places = join_tokens(tokens)
    if not text.strip():
        raise RowError(f"{columns.tokens} is empty", cure="leave the row out")
    return [Example(text, spans=spans_of_tags(tags, places))]


def _json(value: str, what: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise RowError(
            f"{what} is no JSON: {value[:40]!r}", cure="write a list of spans"
        ) from error


def _words(value: Any, what: str) -> list[str]:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [text_value(_number_as_text(entry), f"{what}[{n}]") for n, entry in enumerate(value)]
    raise RowError(f"{what} is {kind_of(value)}, not a list", cure='write ["Berlin", "is", "big"]')


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _retrieval(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    return [Example(_text(row, columns.text), second=_text(row, columns.second))]


def _ranking(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    query = _text(row, columns.text)
    if not columns.candidates:
        relevance = _number(row.get(columns.value), columns.value)
        return [Example(query, candidates=(Candidate(_text(row, columns.second), relevance),))]
    found = row.get(columns.candidates)
    if not isinstance(found, list) or not found:
        raise RowError(
            f"{columns.candidates} is {kind_of(found)}, not a list of candidates",
            cure='write [{"text": "…", "relevance": 1}, …]',
        )
    listed = enumerate(found)
    candidates = tuple(_candidate(entry, f"{columns.candidates}[{n}]") for n, entry in listed)
    return [Example(query, candidates=candidates)]


def _candidate(entry: Any, what: str) -> Candidate:
    if isinstance(entry, list | tuple) and len(entry) == 2:
        return Candidate(text_value(entry[0], what), _number(entry[1], what))
    if not isinstance(entry, dict):
        raise RowError(
            f"{what} is {kind_of(entry)}, not a candidate",
            cure='write it as {"text": "…", "relevance": 1}',
        )
    text = next((entry[key] for key in _PART_TEXTS if key in entry), None)
    number = next((entry[key] for key in _PART_NUMBERS if key in entry), None)
    return Candidate(text_value(text, f"{what}.text"), _number(number, f"{what}.relevance"))


def _dialogue(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    if columns.instances and isinstance(row.get(columns.instances), list):
        asked = {columns.text: row.get(columns.text)}
        instances = [part for part in row[columns.instances] if isinstance(part, dict)]
        return [_instruction(asked | part, columns.text, "output") for part in instances]
    if columns.messages and columns.messages in row:
        key = columns.messages
        messages = [message for _, message, _ in read_messages(row[key], key, roles)]
        system = row.get("system")
        if isinstance(system, str) and system and messages and messages[0].role != "system":
            messages.insert(0, Message("system", system))
        if messages and messages[-1].role != "assistant" and isinstance(row.get("chosen"), dict):
            chosen = read_messages([row["chosen"]], "chosen", roles)  # of two answers, the better
            messages += [message for _, message, _ in chosen]
        return [_spoken(tuple(messages), key)]
    return [_instruction(row, columns.text, columns.second)]


def _instruction(row: Values, asked: str, answered: str) -> Example:
    """A row of Alpaca's form: instruction, input (may be empty), output, system, history."""
    messages: list[Message] = []
    if not is_missing(system := row.get("system")):
        messages.append(Message("system", text_value(system, "system")))
    for number, turn in enumerate(row.get("history") or ()):
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise RowError(
                f"history[{number}] is {turn!r}, not [question, answer]", cure="give it both"
            )
        messages.append(Message("user", text_value(turn[0], f"history[{number}][0]")))
        messages.append(Message("assistant", text_value(turn[1], f"history[{number}][1]")))
    question = _text(row, asked)
    given = row.get("input") if asked != "input" else None
    if isinstance(given, str) and given.strip():
        question = f"{question}\n{given}"
    messages.append(Message("user", question))
    answer = row.get(answered)
    if isinstance(answer, list) and len(answer) == 2 and all(isinstance(a, str) for a in answer):
        answer = answer[0]  # of two answers, the better comes first
    messages.append(Message("assistant", _text({answered: answer}, answered)))
    return _spoken(tuple(messages), asked)


def _spoken(messages: tuple[Message, ...], key: str) -> Example:
    first = next((message.content for message in messages if message.role == "user"), "")
    if not first or not any(message.role == "assistant" for message in messages):
        raise RowError(
            f"{key} has no turn of the user with an answer to it",
            cure="leave the row out, or map foreign roles with --roles",
        )
    return Example(first, messages=messages)


def read_input(row: Values, columns: TaskColumns, roles: Mapping[str, Role]) -> list[Example]:
    """What a tuned model is asked of a row: its texts, without anything that is true of them."""
    if columns.messages and columns.messages in row:
        turns = [
            message for _, message, _ in read_messages(row[columns.messages], "messages", roles)
        ]
        return [Example(turns[0].content if turns else "", messages=tuple(turns))]
    text = _text(row, columns.text)
    if columns.candidates:
        listed = row.get(columns.candidates) or []
        parts = [part if isinstance(part, dict) else {"text": part} for part in listed]
        ranked = [_candidate({"relevance": 0, **part}, columns.candidates) for part in parts]
        return [Example(text, candidates=tuple(ranked))]
    return [Example(text, second=_text(row, columns.second) if columns.second else "")]


READ: dict[TaskKind, Callable[[Values, TaskColumns, Mapping[str, Role]], list[Example]]] = {
    "single_label": _single,
    "binary": _single,
    "multi_label": _multi,
    "regression": _regression,
    "pairs": _pair,
    "token_classification": _tagged,
    "retrieval": _retrieval,
    "ranking": _ranking,
    "dialogue": _dialogue,
    "joint": _joint,
    "masked": _masked,
}
"""Task → what makes examples of a row's values, by its columns and the names of roles."""
