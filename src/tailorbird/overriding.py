"""Tables laid over settings: every key is known, and every value is of the type of its field."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from tailorbird.errors import ConfigError

if TYPE_CHECKING:
    from typing import TypeVar

    from _typeshed import DataclassInstance

    Sections = TypeVar("Sections", bound=DataclassInstance)


def setting(default: Any, sentence: str) -> Any:
    """A dataclass field with its *default* and the *sentence* that help texts and docs show."""
    return field(default=default, metadata={"doc": sentence})


def parse_literal(raw: str) -> Any:
    """What *raw* is in TOML; itself where it is nothing there.

    >>> parse_literal("3"), parse_literal("[7, 2, 1]"), parse_literal("minilm")
    (3, [7, 2, 1], 'minilm')
    """
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def with_table(
    settings: Sections, table: Mapping[str, Any], *, where: str, moved: Mapping[str, str]
) -> Sections:
    """*settings*, a dataclass of one dataclass a section, with the values of a nested *table*.

    Args:
        settings: stay as they are.
        table: ``{section: {key: value}}``, none of which has to be there.
        where: the table is from, for errors.
        moved: where a key that has another name now is: ``{"section.key": "section.key"}``.

    Raises ConfigError that names the nearest key where one is unknown, or what a value may be.
    """
    for name, values in table.items():
        _check_known(f"[{name}]", name, settings, where=where)
        section = getattr(settings, name)
        if not isinstance(values, Mapping):
            raise ConfigError(f"[{name}] must be a section of keys", where=where)
        hints = get_type_hints(type(section))
        changes: dict[str, Any] = {}
        for key, value in values.items():
            full = f"{name}.{key}"
            if full in moved:
                raise ConfigError(f"{full} has moved", where=where, cure=f"set {moved[full]}")
            _check_known(full, key, section, where=where)
            changes[key] = _checked(value, hints[key], full, where)
        sections: dict[str, Any] = {name: replace(section, **changes)}
        settings = replace(settings, **sections)
    return settings


def _check_known(full: str, name: str, owner: DataclassInstance, *, where: str) -> None:
    """Raise ConfigError where *owner* has no field *name*, which is shown as *full*."""
    names = [f.name for f in fields(owner)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        raise ConfigError(f"{full} is not a setting", where=where, cure=cure)


def _checked(value: Any, hint: Any, name: str, where: str) -> Any:
    """The value as the type of its field, or an error that says what is allowed."""
    origin = get_origin(hint)
    if origin is Literal:
        if value in get_args(hint):
            return value
        allowed = ", ".join(map(str, get_args(hint)))
        raise ConfigError(f"{name} = {value!r} is not one of {allowed}", where=where)
    if origin is Union:  # a number, or one of a few words
        words = [word for kind in get_args(hint) for word in get_args(kind)]
        if value in words or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        allowed = " or ".join(["a whole number", *words])
        raise ConfigError(f"{name} = {value!r} is not {allowed}", where=where)
    if origin is tuple:
        parts = value.split(":") if isinstance(value, str) else value
        kinds = get_args(hint)
        try:
            if len(parts) == len(kinds):
                return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
        except (TypeError, ValueError):
            pass
        raise ConfigError(f"{name} = {value!r} needs {len(kinds)} numbers, as 7:2:1", where=where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{name} = {value!r} must be of type {hint.__name__}", where=where)
