"""The language that refusals of one request are in: Chinese where the client asks for it first."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal

from tailorbird.errors import TailorbirdError
from tailorbird.serving.chinese import in_chinese

Language = Literal["zh", "en"]
LANGUAGE: ContextVar[Language] = ContextVar("language of refusals", default="en")
"""Of the request that is being answered; the guard sets it."""


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


def said(sentence: str, language: Language | None = None) -> str:
    """*sentence* in *language*, else in that of the request; English where nobody translated it.

    >>> said("is empty", "zh"), said("is empty")
    ('是空的', 'is empty')
    """
    return in_chinese(sentence) if (language or LANGUAGE.get()) == "zh" else sentence


def error_said(error: TailorbirdError, language: Language | None = None) -> str:
    """``where: what; cure`` of *error* in a language, as `str` gives it in English.

    >>> error_said(TailorbirdError("is empty", where="a.md"), "zh")
    'a.md：是空的'
    """
    if (language or LANGUAGE.get()) != "zh":
        return str(error)
    place = f"{error.where}：" if error.where else ""
    advice = f"；{in_chinese(error.cure)}" if error.cure else ""
    return f"{place}{in_chinese(error.what)}{advice}"
