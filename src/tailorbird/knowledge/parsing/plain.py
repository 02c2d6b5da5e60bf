"""Plain text, in whatever encoding it was written."""

from __future__ import annotations

import codecs

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Outline, Parsed

ENCODINGS = ["gb18030", "big5", "cp1252", "shift_jis", "euc_kr", "cp1251"]
"""What is guessed among, where a text is not UTF-8."""
_CHINESE = ("gb18030", "big5")
_COMMON = frozenset(
    "的一是不了在人有我他这個们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过"
    "发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本"
    "前开但因只从想实日问题答退货款请订单这来时说会对过发后里种经么学现当没动还进样前开从实间钱"
    "這們來為國說時會對過發後裡種經麼學現當沒動還進樣開從實間錢問題貨請訂單"
)
MIN_COMMON_FRACTION = 0.2
"""Of Chinese characters that are among the commonest, in a text that was decoded rightly; about
half of them are in running text, one in thirty where a wrong encoding made characters up."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins its mark
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
MAX_ODD_FRACTION = 0.01
"""Of control and replacement characters, above which it is no text."""
_USUAL_CONTROLS = "\n\r\t\f\v\x85"


def parse(content: bytes, limits: Limits) -> Parsed:
    """Paragraphs without headings."""
    outline = Outline()
    for line in decode(content).splitlines():
        outline.add(line)
    return outline.parsed()


def decode(content: bytes) -> str:
    """The text in *content*: by its byte order mark, as UTF-8, or as what it looks most like.

    Raises KnowledgeError where it is no text.

    >>> decode("退货".encode("gb18030")), decode(b"Le caf\\xe9 est livr\\xe9 demain.")
    ('退货', 'Le café est livré demain.')
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return _checked(content.removeprefix(mark if encoding == "utf-8" else b""), encoding)
    if b"\0" in content:
        raise _no_text()
    try:
        return _checked(content, "utf-8")
    except UnicodeDecodeError:
        return _checked(content, _guessed(content))


def _guessed(content: bytes) -> str:
    common = {encoding: _common_fraction(content, encoding) for encoding in _CHINESE}
    likely = max(_CHINESE, key=lambda encoding: common[encoding])
    if common[likely] >= MIN_COMMON_FRACTION:  # which tells from very few characters
        return likely
    from charset_normalizer import from_bytes

    best = from_bytes(content, cp_isolation=ENCODINGS).best()
    if best is None:
        raise _no_text()
    return best.encoding


def _common_fraction(content: bytes, encoding: str) -> float:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    wide = [character for character in text if "\u3400" <= character <= "\u9fff"]
    return sum(character in _COMMON for character in wide) / len(wide) if wide else 0.0


def _checked(content: bytes, encoding: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise
        raise _no_text() from error
    n_odd = sum(
        character == "\ufffd"
        or ((character < " " or "\x7f" <= character < "\xa0") and character not in _USUAL_CONTROLS)
        for character in text
    )
    if n_odd > MAX_ODD_FRACTION * len(text):
        raise _no_text()
    return text


def _no_text() -> KnowledgeError:
    return KnowledgeError(
        "is no text in any encoding that is known here",
        cure="save it as UTF-8, or as the kind of document that it is",
    )
