"""The part of a text that speaks of one of those it names, with that name marked.

A text names several: "A rises, B falls". Who is meant decides what is said, so a model is shown the
sentence around a name, or where that names others too, the clauses up to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Place = tuple[int, int]
"""Where a name begins and ends in its text."""

OPEN, CLOSE = "«", "»"
"""Around the name that is asked about."""

_SENTENCE_END = re.compile(r"[。！？!?；;\n]+|\.(?=\s+[^a-z]|\s*$)")
_CLAUSE_END = re.compile(
    r"[，,：:]|(?<=\s)(?=(?:but|while|whereas|however|although|and)\s)"
    r"|(?=但|而|不过|然而|同时)",
    re.IGNORECASE,
)


def window(text: str, place: Place, others: Sequence[Place] = ()) -> tuple[str, Place]:
    """The sentence around *place*, or its clauses up to *others*; and where the name is there.

    >>> text = "大盘平稳。甲公司净利润大增，乙公司亏损扩大。明日再看"
    >>> window(text, (5, 8), [(14, 17)])
    ('甲公司净利润大增', (0, 3))
    >>> window("Oil fell. Acme, the maker, lost a third.", (10, 14))
    ('Acme, the maker, lost a third', (0, 4))
    """
    start, end = _between(_SENTENCE_END, text, place, (0, len(text)))
    within = [one for one in others if start <= one[0] and one[1] <= end and not _meet(one, place)]
    before = max((one[1] for one in within if one[1] <= place[0]), default=None)
    after = min((one[0] for one in within if one[0] >= place[1]), default=None)
    if before is not None:
        cuts = [found.end() for found in _CLAUSE_END.finditer(text, before, place[0])]
        start = cuts[0] if cuts else before
    if after is not None:
        cuts = [found.start() for found in _CLAUSE_END.finditer(text, place[1], after)]
        end = cuts[-1] if cuts else after
    while start < place[0] and text[start].isspace():
        start += 1
    part = text[start:end].rstrip()
    return part, (place[0] - start, place[1] - start)


def marked(text: str, place: Place) -> str:
    """The text with `OPEN` and `CLOSE` around the name at *place*.

    >>> marked("Acme fell", (0, 4))
    '«Acme» fell'
    """
    start, end = place
    return f"{text[:start]}{OPEN}{text[start:end]}{CLOSE}{text[end:]}"


def _between(ends: re.Pattern[str], text: str, place: Place, whole: Place) -> Place:
    """From the last of *ends* before *place* to the first after it."""
    start, end = whole
    for found in ends.finditer(text):
        if found.end() <= place[0]:
            start = found.end()
        elif found.start() >= place[1]:
            return start, found.start()
    return start, end


def _meet(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]
