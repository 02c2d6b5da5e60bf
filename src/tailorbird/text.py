"""Text facts that need no tokenizer: language and width."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff]")
_LETTER = re.compile(r"[^\W\d_]")
_ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff"
# Han and kana stand alone; letters, digits and the accents upon them in runs; other signs alone.
_WORD = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}][\u0300-\u036f]*)+|\S")


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


def cut_words(text: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends, for any mixture of languages.

    A word is a run of letters and digits, one Chinese or Japanese character, or one other sign
    that is no space: names in Chinese have no spaces around them, and a tokenizer's pieces would
    differ between backbones.

    >>> [text[a:b] for text in ["买iPhone 15, 退款"] for a, b in cut_words(text)]
    ['买', 'iPhone', '15', ',', '退', '款']
    """
    return [match.span() for match in _WORD.finditer(text)]


def shorten(text: str, width: int = 80) -> str:
    """The text on one line, cut to *width* characters with an ellipsis.

    >>> shorten("a long sentence", 8)
    'a long …'
    """
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
