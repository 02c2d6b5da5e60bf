"""Items and events from files and SQL tables; bad rows are counted, never silently lost.

>>> items = read_items("items.csv")  # doctest: +SKIP
>>> events = read_events("sqlite:///shop.db", ReadingSettings(table="events"))  # doctest: +SKIP
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tailorbird.assistants.recommend.catalogue.records import EVENT_WEIGHTS, Event, Item
from tailorbird.config import ReadingSettings
from tailorbird.data.reading import Interpret, Reading, open_tables
from tailorbird.data.rows import Note, Reject, Row, Table, checked_text
from tailorbird.data.values import is_missing, name_value, time_value
from tailorbird.errors import DataError, RowError

_READING = ReadingSettings()
OnReject = Callable[[Reject], None]

ITEM_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "item", "item_id", "movie_id", "product_id", "sku", "asin", "商品", "商品id"),
    "title": ("title", "name", "item_name", "标题", "名称", "商品名"),
    "description": ("description", "text", "summary", "body", "描述", "简介"),
    "tags": ("tags", "genres", "categories", "category", "keywords", "标签", "类别"),
    "created": ("created", "created_at", "published", "published_at", "上架时间"),
}
EVENT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "user_id", "customer", "customer_id", "visitor_id", "用户", "用户id"),
    "item": ("item", "item_id", "movie_id", "product_id", "sku", "asin", "商品", "商品id"),
    "kind": ("kind", "event", "event_type", "action", "type", "behavior", "行为", "类型"),
    "value": ("value", "rating", "stars", "score", "评分"),
    "time": ("time", "timestamp", "created_at", "date", "ts", "时间"),
}
KINDS: Mapping[str, str] = {
    **{kind: kind for kind in EVENT_WEIGHTS},
    **dict.fromkeys(("view", "pv", "impression_click", "浏览"), "browse"),
    **dict.fromkeys(("open", "fav", "like", "cart", "点击", "收藏", "加购"), "click"),
    **dict.fromkeys(("review", "评论"), "comment"),
    **dict.fromkeys(("转发", "分享"), "share"),
    **dict.fromkeys(("buy", "order", "transaction", "购买"), "purchase"),
    **dict.fromkeys(("rate", "stars", "评分"), "rating"),
}
"""The words for kinds of events that logs use, small letters."""
_BETWEEN_TAGS = re.compile(r"[|;,，；、]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read_items(
    source: str | Path,
    settings: ReadingSettings = _READING,
    *,
    columns: Mapping[str, str] | None = None,
    on_reject: OnReject | None = None,
) -> Reading[Item]:
    """A stream of items: CSV, TSV, JSONL, Parquet or a database URL with a table.

    Columns are known by common names, or named: ``columns={"id": "movieId"}``; those that stay
    over are features, numbers where they are numbers. Raises DataError where there is no id.
    """
    return _reading(source, settings, partial(_items, named=columns or {}), on_reject)


def read_events(
    source: str | Path,
    settings: ReadingSettings = _READING,
    *,
    columns: Mapping[str, str] | None = None,
    on_reject: OnReject | None = None,
) -> Reading[Event]:
    """A stream of events from the same kinds of sources.

    Without a column of kinds they are ratings where there is a value, else clicks. Raises
    DataError where users, items or times have no column.
    """
    return _reading(source, settings, partial(_events, named=columns or {}), on_reject)


def _reading(
    source: str | Path, settings: ReadingSettings, interpreter: Any, on_reject: OnReject | None
) -> Reading[Any]:
    notes: list[str] = []
    tables = open_tables(source, settings, note=notes.append)
    return Reading(tables, settings, interpreter, on_reject=on_reject, decisions=notes)


def _items(
    table: Table, peeked: Sequence[Row], note: Note, *, named: Mapping[str, str]
) -> Interpret[Item]:
    found = _find(table, peeked, ITEM_COLUMNS, named, needed=("id",))
    taken = set(found.values())
    note("items: " + ", ".join(f"{field} from {name!r}" for field, name in found.items()))

    def interpret(row: Row) -> list[Item]:
        values = _values(row)
        own = _needed_name(values, found["id"])
        created = found.get("created", "")
        features = {
            name: feature
            for name, value in values.items()
            if name not in taken and (feature := _feature(value, name)) is not None
        }
        return [
            Item(
                own,
                _words(values, found.get("title", "")),
                _words(values, found.get("description", "")),
                _tags(values.get(found.get("tags", "")), found.get("tags", "")),
                features,
                time_value(values.get(created), created) if created else None,
            )
        ]

    return interpret


def _events(
    table: Table, peeked: Sequence[Row], note: Note, *, named: Mapping[str, str]
) -> Interpret[Event]:
    found = _find(table, peeked, EVENT_COLUMNS, named, needed=("user", "item", "time"))
    usual = "rating" if "value" in found else "click"
    note("events: " + ", ".join(f"{field} from {name!r}" for field, name in found.items()))
    if "kind" not in found:
        note(f"events: all are taken for {usual}s (no column says of which kind each is)")

    def interpret(row: Row) -> list[Event]:
        values = _values(row)
        kind = _kind(values.get(found["kind"])) if "kind" in found else usual
        time = time_value(values.get(found["time"]), found["time"])
        if time is None:
            raise RowError("has no time", cure="an event without one cannot be cut in time")
        value = _number(values.get(found["value"]), found["value"]) if "value" in found else None
        if kind == "rating" and value is None:
            raise RowError("is a rating without a value", cure="write how many stars")
        user, item = (_needed_name(values, found[field]) for field in ("user", "item"))
        return [Event(user, item, kind, value, time)]

    return interpret


def _find(
    table: Table,
    peeked: Sequence[Row],
    known: Mapping[str, tuple[str, ...]],
    named: Mapping[str, str],
    *,
    needed: Sequence[str],
) -> dict[str, str]:
    """Field → column, of those that are named or have a usual name."""
    good = [row.values for row in peeked if row.error is None and isinstance(row.values, dict)]
    columns = list(dict.fromkeys(name for values in good for name in values))
    plain = {_CAMEL.sub("_", name).strip().lower().replace(" ", "_"): name for name in columns}
    found: dict[str, str] = {}
    for field, names in known.items():
        if field in named:
            if named[field] not in columns:
                raise DataError(
                    f"has no column {named[field]!r} for the {field}",
                    where=table.name,
                    cure=f"it has: {', '.join(columns) or 'none'}",
                )
            found[field] = named[field]
        elif match := next((plain[name] for name in names if name in plain), ""):
            found[field] = match
    missing = [field for field in needed if field not in found]
    if good and missing:
        raise DataError(
            f"no column holds the {missing[0]}; it has: {', '.join(columns)}",
            where=table.name,
            cure=f"name it, as {missing[0]}=COLUMN",
        )
    return found


def _values(row: Row) -> dict[str, Any]:
    if row.error is not None:
        raise row.error
    if not isinstance(row.values, dict):
        raise RowError("is no object with named fields", cure="write one object a line")
    return row.values


def _needed_name(values: Mapping[str, Any], column: str) -> str:
    name = name_value(values.get(column), column)
    if not name:
        raise RowError(f"has no {column}", cure="write it, or leave the row out")
    if len(name) > 200:
        raise RowError(f"{column} has {len(name)} characters", cure="at most 200 are kept")
    return name


def _words(values: Mapping[str, Any], column: str) -> str:
    value = values.get(column)
    return "" if is_missing(value) else checked_text(str(value), column).strip()


def _tags(value: Any, column: str) -> tuple[str, ...]:
    if is_missing(value):
        return ()
    parts = value if isinstance(value, list | tuple) else _BETWEEN_TAGS.split(str(value))
    tags = (checked_text(str(part), column).strip() for part in parts)
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _feature(value: Any, column: str) -> float | str | None:
    if is_missing(value) or isinstance(value, dict | list | tuple):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return checked_text(str(value), column).strip() or None
    return number if math.isfinite(number) else None


def _number(value: Any, column: str) -> float | None:
    if is_missing(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(f"{column} is {value!r}, not a number", cure="write a number")
    return number


def _kind(value: Any) -> str:
    kind = KINDS.get(str(value).strip().lower())
    if kind is None:
        raise RowError(
            f"{value!r} is no kind of event", cure=f"use one of {', '.join(EVENT_WEIGHTS)}"
        )
    return kind
