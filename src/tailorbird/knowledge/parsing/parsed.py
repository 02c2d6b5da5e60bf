"""What every parser gives: texts under their headings, without what nobody can see."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

BETWEEN = " › "
"""Between a heading and the one below it."""

# Controls, marks of direction, joiners of width zero, and the tag characters in which text can be
# hidden that people do not see and models read.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff\U000e0000-\U000e0fff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")


@dataclass(frozen=True, slots=True)
class Section:
    """A text and the headings above it."""

    text: str
    """Paragraphs, one a line."""
    heading: str = ""
    """All headings above, joined by `BETWEEN`."""
    question: str = ""
    """Of a question with its answer: the question; the text is the answer."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The texts of one document, in its order."""

    sections: tuple[Section, ...]
    title: str = ""


def cleaned(text: str) -> str:
    """The text as people see it: composed, without invisible characters and needless space.

    >>> cleaned("free\\u200b  returns\\r\\n\\r\\n\\r\\n within 7\\u00a0days ")
    'free returns\\nwithin 7 days'
    """
    text = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text))
    lines = _SPACES.sub(" ", _INVISIBLE.sub("", text)).split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())


@dataclass(slots=True)
class Outline:
    """Collects paragraphs under the headings that are open where they stand."""

    title: str = ""
    sections: list[Section] = field(default_factory=list)
    _open: list[tuple[int, str]] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def head(self, level: int, text: str) -> None:
        """A heading: it closes those of its level and below."""
        text = " ".join(cleaned(text).split())
        self.close()
        self._open = [one for one in self._open if one[0] < level]
        if text:
            self._open.append((level, text))
            self.title = self.title or text

    def add(self, text: str) -> None:
        """A paragraph."""
        text = cleaned(text)
        if text:
            self._lines.append(text)

    def close(self) -> None:
        """What was collected is a section."""
        if self._lines:
            heading = BETWEEN.join(text for _, text in self._open)
            self.sections.append(Section("\n".join(self._lines), heading))
            self._lines = []

    def parsed(self) -> Parsed:
        """All of it."""
        self.close()
        return Parsed(tuple(self.sections), self.title)
