"""Finds ten thousand names in a text at once: Chinese and English, longest first."""

from __future__ import annotations

from collections.abc import Iterable

# Full-width signs as half-width, and all blanks as one, character for character.
_AS_ONE = {0x3000: 0x20, 0xA0: 0x20, 0x0A: 0x20, 0x0D: 0x20, 0x09: 0x20, 0x2019: 0x27} | {
    code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)
}
_N_HEAD = 2
"""Characters by which the names that may begin somewhere are looked up."""
MAX_ACRONYM = 4
"""Names in capitals of up to so many letters count in capitals alone: IT is not it."""


class NameFinder:
    """Finds names in texts in one pass over their characters.

    For each pair of characters it knows how long the names are that begin so; a text costs one
    look-up a character, whatever the number of names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._heads: dict[str, list[int]] = {}
        self._names: dict[str, str] = {}
        """Name as it is compared → as it was given."""
        self._acronyms: dict[str, str] = {}
        for name in names:
            self._add(name)
        for lengths in self._heads.values():
            lengths.sort(reverse=True)

    def _add(self, name: str) -> None:
        spaced = " ".join(name.translate(_AS_ONE).split())
        if not spaced:
            return
        as_compared = folded(spaced)
        if is_acronym(spaced):
            self._acronyms[spaced] = name
        else:
            self._names.setdefault(as_compared, name)
        lengths = self._heads.setdefault(as_compared[:_N_HEAD], [])
        if len(spaced) not in lengths:
            lengths.append(len(spaced))

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, name as given) of each name in *text*, in order, without overlaps.

        Of names that overlap the one that begins first counts, of those the longest. A name of
        Latin letters or digits counts as a word of its own only.

        >>> finder = NameFinder(["Apple", "苹果", "苹果公司", "IT"])
        >>> finder.find("苹果公司 is apple, not a pineapple; it is IT.")
        [(0, 4, '苹果公司'), (8, 13, 'Apple'), (38, 40, 'IT')]
        """
        plain = text.translate(_AS_ONE)
        lowered = folded(plain)
        found: list[tuple[int, int, str]] = []
        heads = self._heads
        position = 0
        while position < len(lowered):
            lengths = heads.get(lowered[position : position + _N_HEAD])
            single = heads.get(lowered[position]) if len(lowered) - position > 1 else None
            for length in (*(lengths or ()), *(single or ())):
                end = position + length
                name = self._names.get(lowered[position:end]) or self._acronyms.get(
                    plain[position:end]
                )
                if name is not None and _is_whole(lowered, position, end):
                    found.append((position, end, name))
                    position = end - 1
                    break
            position += 1
        return found


def folded(text: str) -> str:
    """*text* without case and of the same length, so that places stay what they are.

    >>> folded("İBM"), len(folded("İBM"))
    ('İbm', 3)
    """
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def is_acronym(name: str) -> bool:
    """Whether *name* counts in capitals only.

    >>> is_acronym("GE"), is_acronym("HUAWEI"), is_acronym("Ge")
    (True, False, False)
    """
    return len(name) <= MAX_ACRONYM and name.isascii() and name.isalpha() and name.isupper()


def _is_whole(text: str, start: int, end: int) -> bool:
    """False where a Latin name is a part of a longer word."""
    if start and _is_joining(text[start]) and _is_joining(text[start - 1]):
        return False
    return not (end < len(text) and _is_joining(text[end - 1]) and _is_joining(text[end]))


def _is_joining(character: str) -> bool:
    """A letter or digit of a script that puts spaces between words."""
    return character.isalnum() and character < "\u2e80"
