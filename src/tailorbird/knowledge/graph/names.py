"""Names inside texts: the longest first, in any case and width, in any mixture of languages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tailorbird.text import cut_words

Kind = Literal["thing", "relation", "filler"]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A name that stands in a text, from word *start* up to word *end*."""

    start: int
    end: int
    kinds: tuple[tuple[Kind, str], ...]
    """What it may mean: a thing, relations, or nothing at all."""


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: without case, width and an English plural.

    >>> words_of("Are the Ｘ200 Headphones 保修吗?")
    ['are', 'the', 'x200', 'headphone', '保', '修', '吗', '?']
    """
    return [_compared(text[start:end]) for start, end in cut_words(text)]


def key_of(name: str) -> Key:
    """A name as it is looked up; two spellings of one name have the same key.

    >>> key_of("Gift  Cards") == key_of("gift card")
    True
    """
    return tuple(words_of(name))


def _compared(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word).casefold()
    is_plural = plain.isascii() and len(plain) > 3 and plain.endswith("s")
    return plain[:-1] if is_plural and not plain.endswith("ss") else plain


@dataclass(slots=True)
class Names:
    """All names of a graph, found in a text by one pass whatever their number."""

    _meanings: dict[Key, list[tuple[Kind, str]]] = field(default_factory=dict)
    _longest: int = 0

    def add(self, name: str, kind: Kind, means: str) -> None:
        """Let *name* stand for the thing or the relation that it *means*."""
        key = key_of(name)
        if not key:
            return
        meanings = self._meanings.setdefault(key, [])
        if (kind, means) not in meanings:
            meanings.append((kind, means))
        self._longest = max(self._longest, len(key))

    def meanings(self, name: str, kind: Kind) -> list[str]:
        """What a whole *name* stands for."""
        return [means for one, means in self._meanings.get(key_of(name), ()) if one == kind]

    def find(self, words: Sequence[str]) -> list[Mention]:
        """The names in a text that `words_of` has cut, in their order; none overlaps another.

        Where two overlap, the longer one is meant: ``gift card box`` is no ``gift card``.
        """
        taken = [False] * len(words)
        found = []
        for length in range(min(self._longest, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                end = start + length
                meanings = self._meanings.get(tuple(words[start:end]))
                if meanings and not any(taken[start:end]):
                    taken[start:end] = [True] * length
                    found.append(Mention(start, end, tuple(meanings)))
        return sorted(found, key=lambda mention: mention.start)


def named(mentions: Iterable[Mention], kind: Kind) -> list[str]:
    """All that the *mentions* mean of one kind, in their order, each once."""
    return list(dict.fromkeys(m for one in mentions for k, m in one.kinds if k == kind))
