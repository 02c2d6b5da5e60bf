"""The two languages of the console, and which of them a browser wants."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]
Words = dict[Language, dict[str, str]]
"""What one page says, by language and key."""


def preferred_language(accept_language: str) -> Language:
    """The language a browser's ``Accept-Language`` header asks for first.

    >>> preferred_language("zh-CN,zh;q=0.9,en;q=0.8"), preferred_language("de, en;q=0.5")
    ('zh', 'en')
    """
    for part in accept_language.split(","):
        language = part.partition(";")[0].strip().lower()
        if language.startswith("zh"):
            return "zh"
        if language.startswith("en"):
            return "en"
    return "en"
