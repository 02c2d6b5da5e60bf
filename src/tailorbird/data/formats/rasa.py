"""Rasa NLU training data: intents with their example utterances."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from tailorbird.data.files import LogFile
from tailorbird.data.rows import Note, Row, checked_text
from tailorbird.errors import DataError, RowError

# [Berlin](city) and [Berlin]{"entity": "city"}: only the word belongs to the utterance.
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\{[^{}]*\})")
_OTHER_KINDS = ("synonym", "regex", "lookup")


def strip_entities(text: str) -> str:
    """The utterance without entity marks.

    >>> strip_entities('from [Berlin](city) to [SF]{"entity": "city", "value": "San Francisco"}')
    'from Berlin to SF'
    """
    return _ENTITY.sub(r"\1", text)


def read_rasa(file: LogFile, note: Note) -> Iterator[Row]:
    """One row ``{"text": …, "intent": …}`` for each example of each intent.

    The file is composed one item at a time. Lookup tables, synonyms and regular expressions are
    no utterances: they are counted in a note.
    """
    left_out: Counter[str] = Counter()
    with file.open_text(note) as handle:
        try:
            loader: Any = yaml.SafeLoader(handle)  # its event methods carry no types
            yield from _items(loader, left_out)
        except (yaml.YAMLError, UnicodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{file.name}:{mark.line + 1}" if mark else file.name
            problem = getattr(error, "problem", None) or getattr(error, "reason", str(error))
            raise DataError(f"is not YAML: {problem}", where=where, cure="mend it") from error
        except _NoNluError as error:
            raise DataError(
                "has no list under the key 'nlu'",
                where=file.name,
                cure="YAML is read as Rasa NLU training data; use JSONL or CSV for logs",
            ) from error
    if left_out:
        found = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        note(f"rasa: no utterances, left out: {found}")


class _NoNluError(Exception):
    pass


def _items(loader: Any, left_out: Counter[str]) -> Iterator[Row]:
    """Walk the events down to the list under ``nlu`` and compose its items one by one."""
    for _ in range(2):  # the stream, the document
        loader.get_event()
    if not loader.check_event(yaml.MappingStartEvent):
        raise _NoNluError
    loader.get_event()
    is_found = False
    while not loader.check_event(yaml.MappingEndEvent):
        key = loader.compose_node(None, 0)
        name = getattr(key, "value", "")
        if name == "nlu" and loader.check_event(yaml.SequenceStartEvent):
            is_found = True
            loader.get_event()
            while not loader.check_event(yaml.SequenceEndEvent):
                yield from _examples(loader, loader.compose_node(None, 0), left_out)
            loader.get_event()
        else:
            loader.compose_node(None, 0)
            if name != "version":
                left_out[f"section {name!r}"] += 1
    if not is_found:
        raise _NoNluError


def _examples(loader: Any, node: yaml.Node | None, left_out: Counter[str]) -> Iterator[Row]:
    line = node.start_mark.line + 1 if node is not None else 0
    item: Any = loader.construct_document(node) if node is not None else None
    if not isinstance(item, dict):
        yield _bad(line, item, f"nlu item is {item!r}, not a mapping", "write - intent: name")
        return
    if kind := next((kind for kind in _OTHER_KINDS if kind in item), None):
        left_out[kind] += 1
        return
    intent, examples = item.get("intent"), item.get("examples")
    if not isinstance(intent, str) or not intent:
        yield _bad(line, item, "nlu item has no intent", "write - intent: name")
    elif isinstance(examples, str):
        yield from _block(examples, intent, _line_of_examples(node) + 1)
    elif isinstance(examples, list) and examples:
        for example in examples:
            text = example.get("text") if isinstance(example, dict) else example
            if isinstance(text, str):
                yield _row(line, text.strip(), intent)
            else:
                yield _bad(line, example, "example has no text", "write - text: |")
    else:
        cure = "write examples: | and one - utterance a line"
        yield _bad(line, item, f"intent {intent!r} has no examples", cure)


def _block(examples: str, intent: str, first_line: int) -> Iterator[Row]:
    for offset, raw in enumerate(examples.split("\n")):
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("-"):
            yield _row(first_line + offset, text[1:].strip(), intent)
        else:
            yield _bad(
                first_line + offset, raw, "example does not start with '- '", "put '- ' before it"
            )


def _row(line: int, text: str, intent: str) -> Row:
    try:
        checked_text(text, "example")
    except RowError as error:
        return Row(line, raw=text, error=error)
    return Row(line, {"text": strip_entities(text), "intent": intent}, text)


def _bad(line: int, raw: Any, cause: str, cure: str) -> Row:
    return Row(line, raw=raw, error=RowError(cause, cure=cure))


def _line_of_examples(node: yaml.Node | None) -> int:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "examples":
                return int(value.start_mark.line) + 1
    return 0
