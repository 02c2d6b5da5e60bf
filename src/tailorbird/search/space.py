"""What a search may change: one dimension a setting, written as ``section.key=what``.

>>> str(parse("tuning.learning_rate=1e-4..1e-2:log", Settings()))
'tuning.learning_rate=0.0001..0.01:log'
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from tailorbird.config import Settings, override_settings
from tailorbird.errors import ConfigError
from tailorbird.search.best import to_toml

SEARCHED = ("model", "method", "tuning", "optimizer", "loss")
"""Sections that a trial may change; the others shape the rows, which all trials share."""

N_GRID_STEPS = 5
"""Points of a range without a step, where every combination is tried."""

Value = bool | int | float | str

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_PLAIN = re.compile(r"(?!(?:true|false|inf|nan)$)[A-Za-z_]\w*")
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(log|{_NUMBER}))?")
_FORMS = "LOW..HIGH, LOW..HIGH:log, LOW..HIGH:STEP, A,B,C or a TOML list"


@dataclass(frozen=True, slots=True)
class Dimension:
    """The values that one setting may take: a range, or a few *choices*."""

    key: str
    """As ``method.rank``."""
    low: int | float = 0
    high: int | float = 0
    is_log: bool = False
    """Tried evenly over the magnitudes, as rates should be."""
    step: int | float | None = None
    """Only every so many; None: all, of whole numbers each."""
    choices: tuple[Value, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return not self.choices and isinstance(self.low, int)

    @property
    def name(self) -> str:
        """The key without its section, where a person knows what is meant.

        >>> Dimension("method.rank", choices=(4, 8)).name
        'rank'
        """
        return self.key.partition(".")[2]

    def contains(self, value: Any) -> bool:
        """Whether *value* is one that may be tried."""
        if self.choices:
            return any(value == one and type(value) is type(one) for one in self.choices)
        return type(value) is type(self.low) and self.low <= value <= self.high

    def rounded(self, value: Value) -> Value:
        """A drawn number in three digits, so that a person can copy it; others as they are.

        >>> Dimension("tuning.learning_rate", 1e-4, 1e-2, is_log=True).rounded(0.000123456)
        0.000123
        """
        if self.choices or self.is_whole:
            return value
        return min(max(float(f"{value:.3g}"), self.low), self.high)

    def grid(self) -> tuple[Value, ...]:
        """The values of a search through all combinations.

        >>> Dimension("loss.label_smoothing", 0.0, 0.2).grid()
        (0.0, 0.05, 0.1, 0.15, 0.2)
        >>> Dimension("model.freeze_layers", 2, 5).grid()
        (2, 3, 4, 5)
        """
        if self.choices:
            return self.choices
        if self.step is not None or (self.is_whole and not self.is_log):
            step = self.step or 1
            n_steps = math.floor((self.high - self.low) / step + 1e-9)
            values = [self.low + k * step for k in range(n_steps + 1)]
        else:
            shares = [k / (N_GRID_STEPS - 1) for k in range(N_GRID_STEPS)]
            if self.is_log:
                values = [self.low * (self.high / self.low) ** share for share in shares]
            else:
                values = [self.low + share * (self.high - self.low) for share in shares]
        if self.is_whole:
            return tuple(dict.fromkeys(round(value) for value in values))
        return tuple(dict.fromkeys(self.rounded(float(value)) for value in values))

    def __str__(self) -> str:
        if self.choices:
            return f"{self.key}={_written(self.choices)}"
        tail = ":log" if self.is_log else f":{self.step!r}" if self.step is not None else ""
        return f"{self.key}={self.low!r}..{self.high!r}{tail}"


def parse(text: str, settings: Settings) -> Dimension:
    """The dimension that *text* describes, every value of it allowed for its setting.

    Raises ConfigError that names the nearest setting where one is unknown, and says what is allowed
    where a value is not.

    >>> parse("model.freeze_layers=2..5", Settings())
    Dimension(key='model.freeze_layers', low=2, high=5, is_log=False, step=None, choices=())
    """
    key, equals, spec = (part.strip() for part in text.partition("="))
    if not equals or not spec:
        raise ConfigError(f"{text!r} is not of the form section.key=values", cure=f"use {_FORMS}")
    found = _RANGE.fullmatch(spec)
    if found is None:
        dimension = Dimension(key, choices=_choices(key, spec, settings))
    else:
        low, high = (_allowed(key, number, settings) for number in found.groups()[:2])
        dimension = _range(key, spec, (low, high), found.group(3))
    section = key.partition(".")[0]
    if section not in SEARCHED:
        raise ConfigError(
            f"{key} is decided before the first trial, for all of them",
            where="--over",
            cure=f"search in {', '.join(SEARCHED)}, and give this one with --set",
        )
    return dimension


def parse_space(texts: Iterable[str], settings: Settings) -> tuple[Dimension, ...]:
    """The dimensions that *texts* describe.

    Raises ConfigError where a setting stands twice, or `parse` does.
    """
    space: dict[str, Dimension] = {}
    for text in texts:
        dimension = parse(text, settings)
        if dimension.key in space:
            raise ConfigError(f"{dimension.key} is given twice", where=f"--over {text}")
        space[dimension.key] = dimension
    return tuple(space.values())


def n_combinations(space: Sequence[Dimension]) -> int:
    """How many trials a search through all combinations has.

    >>> n_combinations([Dimension("method.rank", choices=(4, 8)), Dimension("tuning.seed", 0, 2)])
    6
    """
    return math.prod(len(dimension.grid()) for dimension in space)


def with_values(settings: Settings, values: dict[str, Value]) -> Settings:
    """*settings* with ``{"section.key": value}``.

    >>> with_values(Settings(), {"method.rank": 4}).method.rank
    4
    """
    return override_settings(settings, [f"{key}={to_toml(value)}" for key, value in values.items()])


def value_of(settings: Settings, key: str) -> Any:
    """The value of the setting ``section.key``."""
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def combinations(space: Sequence[Dimension]) -> list[dict[str, Value]]:
    """Every combination of the grids, the last setting changing fastest."""
    keys = [dimension.key for dimension in space]
    return [
        dict(zip(keys, values, strict=True))
        for values in product(*(dimension.grid() for dimension in space))
    ]


def _range(key: str, spec: str, ends: tuple[Any, Any], tail: str | None) -> Dimension:
    low, high = ends
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise ConfigError(f"{key} is no number", where=f"--over {key}={spec}", cure="use A,B,C")
    if not low < high:
        raise ConfigError(
            f"the range goes from {low} to {high}", where=f"--over {key}={spec}", cure="turn it"
        )
    if tail == "log" and low <= 0:
        raise ConfigError(
            "magnitudes begin above 0", where=f"--over {key}={spec}", cure="raise the lower end"
        )
    if tail is None or tail == "log":
        return Dimension(key, low, high, is_log=tail == "log")
    step = type(low)(float(tail))
    if not 0 < step <= high - low or step != float(tail):
        raise ConfigError(
            f"{tail} is no step from {low} to {high}",
            where=f"--over {key}={spec}",
            cure="use a whole number" if isinstance(low, int) else "use a smaller one above 0",
        )
    last = Decimal(str(low)) + (Decimal(str(high)) - Decimal(str(low))) // Decimal(
        str(step)
    ) * Decimal(str(step))
    return Dimension(key, low, type(low)(last), step=step)


def _choices(key: str, spec: str, settings: Settings) -> tuple[Value, ...]:
    if spec.startswith("["):
        try:
            given: list[Any] = tomllib.loads(f"v = {spec}")["v"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"is no TOML list: {error}", where=f"--over {key}={spec}") from error
        texts = [to_toml(value) for value in given]
    else:
        texts = [part.strip() for part in spec.split(",")]
    values = tuple(dict.fromkeys(_allowed(key, text, settings) for text in texts))
    if len(values) < 2:
        raise ConfigError(
            "there is one value, and nothing to choose",
            where=f"--over {key}={spec}",
            cure=f"give it with --set, or more of them as {_FORMS}",
        )
    return values


def _allowed(key: str, text: str, settings: Settings) -> Any:
    """The value of the setting that *text* stands for; ConfigError where it may not have it."""
    changed = override_settings(settings, [f"{key}={text}"])
    return value_of(changed, key)


def _written(values: Sequence[Value]) -> str:
    """Choices with commas between them, or a TOML list where a text would not come back so."""
    texts = [value for value in values if isinstance(value, str)]
    if all(_PLAIN.fullmatch(text) for text in texts):
        return ",".join(v if isinstance(v, str) else to_toml(v) for v in values)
    return to_toml(values)
