"""Text facts that need no tokenizer: language and width."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff]")
_LETTER = re.compile(r"[^\W\d_]")


def han_fraction(texts: Iterable[str]) -> float:
    """Share of the letters that are Chinese characters, in [0, 1]; 0 where there are no letters.

    >>> han_fraction(["退款 ok"])
    0.5
    """
    n_han = n_letters = 0
    for text in texts:
        n_han += len(_HAN.findall(text))
        n_letters += len(_LETTER.findall(text))
    return n_han / n_letters if n_letters else 0.0


def language_of(text: str) -> str:
    """``"zh"`` where at least a fifth of the letters are Chinese characters, else ``"en"``.

    A Chinese sentence with an English product name stays Chinese: one Chinese character says
    about as much as three or four Latin letters.

    >>> language_of("我想退货"), language_of("I want a refund")
    ('zh', 'en')
    """
    return "zh" if han_fraction([text]) >= 0.2 else "en"


def shorten(text: str, width: int = 80) -> str:
    """The text on one line, cut to *width* characters with an ellipsis.

    >>> shorten("a long sentence", 8)
    'a long …'
    """
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
