"""How questions look: words that change nothing, ways to ask for yes or no, clauses."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENGLISH = """
a an the is are am was were be been do does did have has had can could will would should may might i
you he she it we they my your his her its our their this that these those me us them of for in on at
to with by from under about and or what which how long much many there here any some please tell
know say hi hello thanks thank want also still so ok get year month week day hour yuan s ll re ve m
isn aren doesn don didn t
"""
_CHINESE = (
    "的吗呢啊呀吧么嘛是有在能可以会要了这那个款我你您们他她它请问想知道多少长久时间几什怎样哪"
    "和与及跟对就还都也给为之到从用好下年月天小元块"
)
_PHRASES = "有没有 是不是 能不能 可不可以 会不会 要不要 一下 一般 是否 谢谢 你好 您好 麻烦 你们家"
FILLERS = (*_ENGLISH.split(), *_CHINESE, *_PHRASES.split())
"""They change nothing about what is asked. Every other word may: ``register the warranty``."""

_YES_NO_OPENINGS = (
    "is are am was were do does did has have had can could will would may isn aren doesn don"
)
_OPENS_YES_NO = frozenset(_YES_NO_OPENINGS.split())
_ASKS_WHAT = frozenset(("how", "what", "which", *"多几什怎哪"))
_ASKS_YES_NO = re.compile(r"吗|么$|么[?？]|有没有|是不是|能不能|可不可以|会不会|要不要|是否")
_CLAUSE = re.compile(r"[^。！!；;，,、\n?？.]+(?:\.(?=\w)[^。！!；;，,、\n?？.]+)*[?？]?")


def clauses(text: str) -> list[str]:
    """The parts of a message between its marks, each with its question mark.

    >>> clauses("It broke. 电饭煲V1.5保修多久，谢谢？")
    ['It broke', '电饭煲V1.5保修多久', '谢谢？']
    """
    parts = (found.group().strip() for found in _CLAUSE.finditer(text))
    return [part for part in parts if part]


def asks_what(words: Sequence[str]) -> bool:
    """Whether something is asked for, as ``how long`` and 多久 do."""
    return not _ASKS_WHAT.isdisjoint(words)


def asks_yes_no(words: Sequence[str], text: str) -> bool:
    """Whether it is asked if something is so.

    >>> asks_yes_no(["is", "it", "so"], "is it so"), asks_yes_no(["保", "修", "吗"], "保修吗")
    (True, True)
    """
    if asks_what(words):
        return False
    first = next((w for w in words if w not in ("hi", "hello", "please", ",", "and")), "")
    return first in _OPENS_YES_NO or bool(_ASKS_YES_NO.search(text))
