"""Values of single fields: what a log writes, as what a record holds; RowError where it cannot."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from tailorbird.data.rows import checked_text
from tailorbird.errors import RowError
from tailorbird.records import SplitName

Scale = Literal["-1 to 1", "1 to 5", "0 to 5", "0 to 10", "0 to 100"]

SCALES: dict[Scale, tuple[float, float]] = {
    "-1 to 1": (-1.0, 1.0),
    "1 to 5": (1.0, 5.0),
    "0 to 5": (0.0, 5.0),
    "0 to 10": (0.0, 10.0),
    "0 to 100": (0.0, 100.0),
}

SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "训练", "训练集"), "train"),
    **dict.fromkeys(
        ("validation", "valid", "val", "dev", "development", "验证", "验证集"), "validation"
    ),
    **dict.fromkeys(("test", "testing", "测试", "测试集"), "test"),
}

_FEEDBACK_WORDS: dict[str, float] = {
    **dict.fromkeys(
        ("good", "up", "thumbs_up", "like", "liked", "positive", "helpful", "yes", "true", "👍"),
        1.0,
    ),
    **dict.fromkeys(("满意", "好评", "有用", "赞"), 1.0),
    **dict.fromkeys(("neutral", "中评", "一般"), 0.0),
    **dict.fromkeys(
        ("bad", "down", "thumbs_down", "dislike", "disliked", "negative", "no", "false", "👎"), -1.0
    ),
    **dict.fromkeys(("unhelpful", "不满意", "差评", "没用", "踩"), -1.0),
}

# How spreadsheets and data frames write "nothing here".
_MISSING = {"", "nan", "null", "n/a", "\\n", "nat"}

_CHINESE_DATE = re.compile(
    r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日?\s*(?:(\d{1,2})[:：时](\d{1,2})(?:[:：分](\d{1,2}))?)?.*"
)
_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?"
)
_MONTH_IN_LETTERS = re.compile(
    r"(?i)(?<![a-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}(?![a-z])"
)
_DASHED_MONTH = re.compile(r"(\d)-([A-Za-z]+)-")
_HALF_OF_DAY = re.compile(r"(?i)(?<=\d)\s?([ap])\.?m\b\.?")
_FOUR_DIGITS = re.compile(r"(?<!\d)\d{4}(?!\d)")
_EPOCH = re.compile(r"\d{10}(?:\.\d+)?|\d{13}")


def is_missing(value: Any) -> bool:
    """Whether a field is empty, however its writer spells that.

    >>> [is_missing(value) for value in (None, " ", "NaN", float("nan"), 0, "none")]
    [True, True, True, True, False, False]
    """
    if value is None:
        return True
    if isinstance(value, str):
        return len(value) < 12 and value.strip().casefold() in _MISSING
    return isinstance(value, float | Decimal) and math.isnan(value)


def kind_of(value: Any) -> str:
    """The kind of a JSON value in words.

    >>> kind_of([1]), kind_of(3), kind_of(None)
    ('a list', 'a number', 'null')
    """
    for kind, words in (
        (bool, "a boolean"),
        (int | float | Decimal, "a number"),
        (str, "a string"),
    ):
        if isinstance(value, kind):
            return words
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else "a list" if isinstance(value, list | tuple) else "binary"


def text_value(value: Any, what: str) -> str:
    """The words of a person or an assistant; RowError unless *value* is a string."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else checked_text(value, what)
    if value is None:
        raise RowError(f"{what} is null", cure="give the row its text or leave the row out")
    cure = 'write it in quotes, as "…"'
    if isinstance(value, dict | list | tuple):
        cure = "write the words themselves there, or name their own column with --text"
    raise RowError(f"{what} is {kind_of(value)}, not a string", cure=cure)


def name_value(value: Any, what: str) -> str | None:
    """A label or a user: a string or a whole number; None where it is missing.

    >>> name_value(3, "label"), name_value(3.0, "label"), name_value("NaN", "label")
    ('3', '3', None)
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        return checked_text(value, what).strip()
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float | Decimal) and value % 1 == 0:
        return str(int(value))
    raise RowError(
        f"{what} is {kind_of(value)}, not a name",
        cure="write one string or whole number, or name another column",
    )


def split_value(value: Any, what: str) -> SplitName | None:
    """A split by any of its usual names."""
    if is_missing(value):
        return None
    split = SPLIT_WORDS.get(str(value).strip().casefold())
    if split is None:
        raise RowError(f"{what} is {value!r}, not a split", cure="use train, validation or test")
    return split


def time_value(value: Any, what: str) -> datetime | None:
    """A moment from ISO 8601, seconds or milliseconds since 1970, or another unambiguous form.

    A time without a zone is taken as UTC. Day and month in an unknown order are refused.

    >>> time_value("2024-05-01 08:30", "time").isoformat()
    '2024-05-01T08:30:00+00:00'
    >>> time_value(1714552200, "time") == time_value("2024年5月1日 8:30", "time")
    True
    """
    if is_missing(value):
        return None
    found = _time(value)
    if found is None:
        raise RowError(
            f"{what} is {value!r}, not a time", cure="write it as 2024-05-01T08:30:00+08:00"
        )
    return found


def _time(value: Any) -> datetime | None:
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, bool):
            return None
        elif isinstance(value, int | float):
            return _epoch(float(value))
        elif isinstance(value, str):
            text = value.strip()
            if _EPOCH.fullmatch(text):
                return _epoch(float(text))
            parsed = _time_of_text(text)
            if parsed is None:
                return None
            moment = parsed
        else:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _epoch(number: float) -> datetime | None:
    """Seconds or milliseconds since 1970; None outside the years 1980 to 2100."""
    seconds = number / 1000 if number > 1e11 else number
    return datetime.fromtimestamp(seconds, UTC) if 3.1e8 < seconds < 4.1e9 else None


def _time_of_text(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    match = _YEAR_FIRST.fullmatch(text) or _CHINESE_DATE.fullmatch(text)
    if match:
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
    # "Wed, 01 May 2024 08:30:00 +0800", "19 July 2020", "Jul 19, 2020 8:30 PM": none is misread
    if not _MONTH_IN_LETTERS.search(text) or not _FOUR_DIGITS.search(text) or "CST" in text:
        return None  # CST is six hours behind UTC in Chicago and eight ahead in China
    half = _HALF_OF_DAY.search(text)
    plain = _HALF_OF_DAY.sub("", _DASHED_MONTH.sub(r"\1 \2 ", text))
    moment = parsedate_to_datetime(plain if ":" in plain else f"{plain} 00:00")
    if half is None:
        return moment
    if not 1 <= moment.hour <= 12:
        return None
    return moment.replace(hour=moment.hour % 12 + 12 * (half[1] in "pP"))


def feedback_value(value: Any, scale: Scale, what: str) -> float | None:
    """What a person thought, from -1 to 1: words, booleans, or a number on *scale*.

    >>> feedback_value("5", "1 to 5", "rating"), feedback_value("👎", "-1 to 1", "feedback")
    (1.0, -1.0)
    """
    if is_missing(value):
        return None
    number = _number(value)
    if number is None:
        raise RowError(
            f"{what} is {value!r}, not a number",
            cure="write a number, or a word such as good and bad",
        )
    if isinstance(value, bool) or (isinstance(value, str) and _word(value) in _FEEDBACK_WORDS):
        return number
    low, high = SCALES[scale]
    if not low <= number <= high:
        raise RowError(f"{what} is {value}, outside {scale}", cure="mend it or leave it empty")
    return 2 * (number - low) / (high - low) - 1


def _word(value: str) -> str:
    return value.strip().casefold().replace(" ", "_")


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    if isinstance(value, str) and _word(value) in _FEEDBACK_WORDS:
        return _FEEDBACK_WORDS[_word(value)]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def scale_of(values: Iterable[Any], *, is_rating: bool) -> Scale | None:
    """The narrowest scale that nine in ten of the first values of a column are on.

    None where they are no scores. A column called rating or stars whose values begin at 1 is
    never taken to be from -1 to 1.

    >>> scale_of(["5", "1", "3"], is_rating=True), scale_of([0.5, -1], is_rating=False)
    ('1 to 5', '-1 to 1')
    """
    present = [value for value in values if not is_missing(value)]
    numbers = [number for value in present if (number := _number(value)) is not None]
    if len(numbers) < 0.5 * len(present):
        return None
    for scale, (low, high) in SCALES.items():
        if scale == "-1 to 1" and is_rating and min(numbers, default=0.0) >= 1:
            continue
        if sum(low <= number <= high for number in numbers) >= 0.9 * len(numbers):
            return scale
    return None
