"""Documents in pieces that are long enough to answer a question and short enough to be the answer.

>>> sentences("Returns are free, e.g. by post. How long? 7 days.")
['Returns are free, e.g. by post.', 'How long?', '7 days.']
>>> sentences("签收后7天内可以退货。运费10元！")
['签收后7天内可以退货。', '运费10元！']
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tailorbird.knowledge.documents import Document
from tailorbird.knowledge.parsing.parsed import BETWEEN, Section
from tailorbird.text import language_of

MAX_CHARS = {"zh": 240, "en": 720}
"""Of a piece: about 170 tokens of a multilingual model in either language, 8 to 10 sentences."""
MIN_FRACTION = 0.25
"""Of that: a last piece that is shorter joins the one before it."""

_CLOSING = "\"'”’」』）)\\]》"
_END = re.compile(
    rf"[。！？][。！？!?…]*[{_CLOSING}]*"  # Chinese ends with the sign, whatever follows
    rf"|[.!?…]+[{_CLOSING}]*(?=\s)"
    rf"|[!?…]+[{_CLOSING}]*(?=[\u3400-\u9fff])"
    r"|；(?=\S)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|vs|approx|mr|mrs|ms|dr|st|fig|incl|excl|tel|jan|feb|apr|jun|jul|aug|sept?"
    r"|oct|nov|dec)|\b[A-Z]|^\s*\d{1,3})\.$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\b(?:no|nos|sec|fig|p|pp)\.$", re.IGNORECASE)
_BREAK = re.compile(r"(?<=[，,、：:])|\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, as it is kept and found."""

    id: str
    """Of document, title, headings, question, text, and which of equal ones it is: a piece that
    was not edited keeps it."""
    number: int
    """Its place in the document, from 0."""
    heading: str
    question: str
    text: str
    searched: str
    """What its vector is made of: the question, or the text under its headings."""


def cut(document: Document) -> list[Piece]:
    """The pieces of a document, in its order.

    A piece never goes over a heading, and ends with a sentence where one is not longer than a
    piece by itself.
    """
    pieces: list[Piece] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for section in document.sections:
        for text in [section.text] if section.question else _texts(section):
            key = (section.heading, section.question, text)
            parts = (document.name, document.title, *key, str(seen[key]))
            identity = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
            seen[key] += 1
            searched = searched_text(document.title, *key)
            pieces.append(Piece(identity, len(pieces), *key, searched))
    return pieces


def searched_text(title: str, heading: str, question: str, text: str) -> str:
    """What a piece is found by.

    >>> searched_text("Returns", "How long", "", "7 days.")
    'Returns › How long\\n7 days.'
    """
    if question:
        return question
    above = [title] if title and not heading.startswith(title) else []
    lead = BETWEEN.join([*above, *([heading] if heading else [])])
    return f"{lead}\n{text}" if lead else text


def sentences(text: str) -> list[str]:
    """The sentences of a text, Chinese or English; a line ends one in any case."""
    return [sentence for line in text.split("\n") for sentence in _sentences(line)]


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(line):
        candidate = line[start : match.end()]
        if match[0] == "." and _goes_on(candidate, line[match.end() :].lstrip()[:1]):
            continue
        if candidate.strip():
            yield candidate.strip()
        start = match.end()
    if line[start:].strip():
        yield line[start:].strip()


def _goes_on(sentence: str, following: str) -> bool:
    """Whether the full stop at its end is that of a shortened word."""
    if following.islower() or _ABBREVIATION.search(sentence):
        return True
    return following.isdigit() and _NUMBERED.search(sentence) is not None


def _texts(section: Section) -> list[str]:
    """The text of a section in parts of at most the size of its language."""
    size = MAX_CHARS[language_of(section.text)]
    if len(section.text) <= size:
        return [section.text]
    texts: list[str] = []
    for line in section.text.split("\n"):
        for number, sentence in enumerate(_sentences(line)):
            for part in _short(sentence, size):
                joint = "\n" if number == 0 else _joint(texts[-1] if texts else "", part)
                if texts and len(texts[-1]) + len(joint) + len(part) <= size:
                    texts[-1] += joint + part
                else:
                    texts.append(part)
    if len(texts) > 1 and len(texts[-1]) < MIN_FRACTION * size:
        last = texts.pop()
        texts[-1] += _joint(texts[-1], last) + last
    return texts


def _joint(before: str, after: str) -> str:
    """A space between words that have spaces; none beside Chinese signs."""
    return "" if _is_wide(before[-1:]) or _is_wide(after[:1]) else " "


def _is_wide(character: str) -> bool:
    return "\u2e80" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"


def _short(sentence: str, size: int) -> Sequence[str]:
    """The sentence, cut at commas and spaces where it is longer than a piece may be."""
    if len(sentence) <= size:
        return [sentence]
    parts = [""]
    for word in _BREAK.split(sentence):
        for piece in [word[i : i + size] for i in range(0, len(word), size)]:
            joint = _joint(parts[-1], piece) if parts[-1] else ""
            if len(parts[-1]) + len(joint) + len(piece) <= size:
                parts[-1] += joint + piece
            else:
                parts.append(piece)
    return [part for part in parts if part]
