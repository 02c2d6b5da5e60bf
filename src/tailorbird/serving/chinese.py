"""Refusals in Chinese: a table of sentences, each with places for what was found."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

TABLE = "chinese.toml"
_PLACE = re.compile(r"\{(\d)\}")


def in_chinese(sentence: str) -> str:
    """*sentence* in Chinese; itself where the table does not have it.

    >>> in_chinese("is larger than 1,000 bytes"), in_chinese("no such sentence")
    ('超过 1,000 字节', 'no such sentence')
    """
    plain, patterns = _table()
    if sentence in plain:
        return plain[sentence]
    for pattern, chinese in patterns:
        match = pattern.fullmatch(sentence)
        if match:
            parts = _PLACE.split(chinese)  # text, place, text, place, …
            return "".join(match[f"_{one}"] if k % 2 else one for k, one in enumerate(parts))
    return sentence


@cache
def _table() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Sentences without places, and patterns of those with some, in the order of the file."""
    text = resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    pairs = list(tomllib.loads(text).items())
    plain = {english: chinese for english, chinese in pairs if not _PLACE.search(english)}
    return plain, [(_pattern(one), other) for one, other in pairs if _PLACE.search(one)]


def _pattern(english: str) -> re.Pattern[str]:
    parts = _PLACE.split(english)  # text, place, text, place, …
    made = [f"(?P<_{part}>.+?)" if k % 2 else re.escape(part) for k, part in enumerate(parts)]
    return re.compile("".join(made), re.DOTALL)
