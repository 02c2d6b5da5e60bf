"""Marked parts of a text, in each of the forms that data sets write them in, as spans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tailorbird.data.values import kind_of, name_value
from tailorbird.errors import RowError
from tailorbird.records import Span

_STARTS = ("start", "begin", "start_offset", "start_idx", "start_char", "offset")
_ENDS = ("end", "stop", "end_offset", "end_idx", "end_char")
_NAMES = ("label", "type", "entity", "entity_type", "tag", "entity_group", "labels")
_SURFACES = ("text", "word", "surface", "entity_text", "mention")

# Scripts that put no space between words, and the punctuation that goes with them.
_UNSPACED = re.compile(
    "[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff0f\uff1a-\uff20"
    "\uff3b-\uff40\uff5b-\uff65\U00020000-\U0003ffff]"
)
_TAG = re.compile(r"(?P<place>[BIOESLUMW])[-_](?P<label>.+)")
_BEGINS = "BSUW"
_ENDS_SPAN = "SUEWL"


def spans_of(value: Any, text: str, what: str) -> tuple[Span, ...]:
    """The spans that a field marks in *text*, by their start; RowError says which is wrong.

    Read are lists of ``{"start": 0, "end": 2, "label": "x"}`` (an end is one past the last
    character) or ``[0, 2, "x"]``, and CLUENER's ``{"x": {"surface": [[0, 1]]}}``. Where the
    surface is given it is compared with the text, and an end that means the last character itself
    is told by it.

    >>> spans_of({"city": {"巴黎": [[1, 2]]}}, "去巴黎", "label")
    (Span(start=1, end=3, label='city'),)
    """
    if isinstance(value, dict):
        found = list(_by_type(value, text, what))
    elif isinstance(value, list):
        found = [_span(entry, text, f"{what}[{n}]") for n, entry in enumerate(value)]
    else:
        raise RowError(
            f"{what} is {kind_of(value)}, not a list of spans",
            cure='write it as [{"start": 0, "end": 2, "label": "city"}]; none at all as []',
        )
    return tuple(sorted(set(found), key=lambda span: (span.start, span.end, span.label)))


def _by_type(value: Mapping[str, Any], text: str, what: str) -> Iterator[Span]:
    for label, surfaces in value.items():
        if not isinstance(surfaces, dict):
            raise RowError(
                f"{what}.{label} is {kind_of(surfaces)}, not an object of surfaces",
                cure='write it as {"city": {"Paris": [[0, 4]]}}',
            )
        for surface, places in surfaces.items():
            for place in places if isinstance(places, list) else [places]:
                start, end = _place(place, f"{what}.{label}.{surface}")
                yield _checked(start, end, label, text, surface=surface)


def _place(place: Any, what: str) -> tuple[int, int]:
    if isinstance(place, list | tuple) and len(place) >= 2:
        numbers = [entry for entry in place[:2] if _is_whole(entry)]
        if len(numbers) == 2:
            return int(numbers[0]), int(numbers[1])
    raise RowError(f"{what} is {place!r}, not [start, end]", cure="write two whole numbers")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0


def _span(entry: Any, text: str, what: str) -> Span:
    if isinstance(entry, list | tuple) and len(entry) == 3:
        start, end = _place(entry, what)
        return _checked(start, end, _label(entry[2], what), text)
    if not isinstance(entry, dict):
        raise RowError(
            f"{what} is {kind_of(entry)}, not a span",
            cure='write it as {"start": 0, "end": 2, "label": "city"}',
        )
    start, end, name = (_first(entry, keys) for keys in (_STARTS, _ENDS, _NAMES))
    label = _label(name[0] if isinstance(name, list) and len(name) == 1 else name, what)
    place = _place([start, end], what)
    surface = _first(entry, _SURFACES)
    return _checked(*place, label, text, surface=surface if isinstance(surface, str) else None)


def _first(entry: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((entry[key] for key in keys if key in entry), None)


def _label(value: Any, what: str) -> str:
    label = name_value(value, f"{what}.label")
    if label is None:
        raise RowError(f"{what} has no label", cure='give it "label": "…"')
    return label


def _checked(start: int, end: int, label: str, text: str, *, surface: str | None = None) -> Span:
    where = f"span [{start}, {end}] ({label})"
    if surface is not None:
        if text[start : end + 1] == surface != text[start:end]:
            end += 1  # the end was the last character itself
        elif text[start:end] != surface:
            raise RowError(
                f"{where} is {text[start:end]!r} in the text and {surface!r} in the annotation",
                cure="count in characters from 0; check that the text was not changed afterwards",
            )
    if not 0 <= start < end <= len(text):
        raise RowError(
            f"{where} is not within the {len(text)} characters of the text",
            cure="count in characters from 0, the end one past the last",
        )
    return Span(start, end, label)


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text that *tokens* make, and where each stands in it.

    A space goes between words, none beside a Chinese or Japanese character.

    >>> join_tokens(["Apple", "发布", "iPhone", "15"])
    ('Apple发布iPhone 15', [(0, 5), (5, 7), (7, 13), (14, 16)])
    """
    text = ""
    places = []
    for token in tokens:
        if text and token and not (_UNSPACED.match(text[-1]) or _UNSPACED.match(token[0])):
            text += " "
        places.append((len(text), len(text) + len(token)))
        text += token
    return text, places


def find_tokens(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Where each of *tokens* stands in *text*, one after another; None where one is not found.

    >>> find_tokens(["rain", "?"], "rain?"), find_tokens(["x"], "rain?")
    ([(0, 4), (4, 5)], None)
    """
    places, position = [], 0
    for token in tokens:
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            return None
        position = start + len(token)
        places.append((start, position))
    return places


def spans_of_tags(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """Spans of BIO, BIOES, BILOU or BMES tags over tokens that stand at *places*.

    As conlleval reads them (Tjong Kim Sang and Buchholz 2000): a part that was never begun begins
    where it first stands, so ``O I-x`` is a span and ``B-x I-y`` are two. A tag without a prefix
    is ``I-``.

    >>> spans_of_tags(["B-city", "I-city", "O", "S-day"], [(0, 3), (4, 8), (9, 11), (12, 18)])
    (Span(start=0, end=8, label='city'), Span(start=12, end=18, label='day'))
    """
    spans: list[Span] = []
    is_open = False
    for tag, (start, end) in zip(tags, places, strict=True):
        if tag == "O" or not tag:
            is_open = False
            continue
        match = _TAG.fullmatch(tag)
        place, label = (match["place"], match["label"]) if match else ("I", tag)
        if is_open and place not in _BEGINS and spans[-1].label == label:
            spans[-1] = Span(spans[-1].start, end, label)
        else:
            spans.append(Span(start, end, label))
        is_open = place not in _ENDS_SPAN
    return tuple(spans)
