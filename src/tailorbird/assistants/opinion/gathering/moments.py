"""Times as sources write them, in any of the usual ways, made moments in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from tailorbird.errors import ConfigError, RowError

_WRITTEN = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
    r"(?:[T\s]*(\d{1,2})\s*[:：时点]\s*(\d{1,2})分?(?:[:：]?(\d{1,2})(?:[.,](\d{1,9}))?秒?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE | re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?")
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
"""What is older says rather that nothing is known: zero seconds since the epoch, the year 1."""


def zone_of(name: str) -> tzinfo:
    """The time zone *name*, as ``Asia/Shanghai`` or ``+08:00``; empty: UTC.

    >>> zone_of("+08:00").utcoffset(None)
    datetime.timedelta(seconds=28800)
    """
    if not name or name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if re.fullmatch(r"[+-]\d{2}:?\d{2}", name):
        return _offset(name)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"time_zone = {name!r} is unknown", cure="write it as Asia/Shanghai or +08:00"
        ) from error


def moment_of(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """The moment that *value* names, in UTC; None where it names none.

    ISO 8601, RFC 822 (as in RSS), ``2026年11月5日 9:30``, ``20261105``, and seconds or milliseconds
    since 1970. What names no zone of its own is meant in *zone*. RowError for anything else.

    >>> moment_of("2026-11-05 09:30", zone_of("Asia/Shanghai")).isoformat()
    '2026-11-05T01:30:00+00:00'
    >>> moment_of("Thu, 05 Nov 2026 09:30:00 -0500") == moment_of(1793889000)
    True
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _no_time(value)
    else:
        try:
            found = _read(value, zone)
        except (ValueError, OverflowError, TypeError) as error:
            raise _no_time(value) from error
    try:
        moment = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # at the very ends of the calendar, where zones lead beyond
    return moment if moment >= _EARLIEST else None


def _read(value: str | int | float, zone: tzinfo) -> datetime:
    """The datetime *value* is written as, with its zone where it names one."""
    if not isinstance(value, str):
        return _since_epoch(float(value))
    text = value.strip()
    if found := _COMPACT.fullmatch(text):
        return datetime(*(int(part) for part in found.groups("0")))  # type: ignore[arg-type]
    if re.fullmatch(r"\d{9,13}(\.\d+)?", text, re.ASCII):
        return _since_epoch(float(text))
    if found := _WRITTEN.fullmatch(text):
        year, month, day, hour, minute, second, fraction, mark = found.groups()
        micros = int((fraction or "0")[:6].ljust(6, "0"))
        clock = (int(part or 0) for part in (hour, minute, second))
        day_and_clock = (int(year), int(month), int(day), *clock, micros)
        return datetime(*day_and_clock, tzinfo=_offset(mark) if mark else None)  # type: ignore
    if text.endswith(" CST") and zone is not UTC:
        # China's standard time or Chicago's: whoever named the source's zone has said which.
        return parsedate_to_datetime(text.removesuffix("CST") + "-0000")
    return parsedate_to_datetime(text)


def _since_epoch(number: float) -> datetime:
    """Of seconds or, where that would be after the year 5138, of milliseconds."""
    return datetime.fromtimestamp(number / 1000 if abs(number) >= 1e11 else number, UTC)


def _offset(mark: str) -> timezone:
    if mark.upper() in ("Z", "UTC", "GMT"):
        return UTC
    sign = -1 if mark[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(mark[1:3]), minutes=int(mark[-2:])))


def _no_time(value: Any) -> RowError:
    return RowError(f"{str(value)[:60]!r} is no time", cure="write it as 2026-11-05T09:30:00+08:00")
