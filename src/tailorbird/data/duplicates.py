"""Texts that say the same: exactly, or nearly so by shared runs of characters.

Near duplicates are found by MinHash and locality-sensitive hashing (Broder 1997, "On the
resemblance and containment of documents"; Leskovec et al., "Mining of Massive Datasets", ch. 3)
and every candidate pair is verified by the true Jaccard similarity of its shingles.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from tailorbird.errors import ConfigError

N_PERMUTATIONS = 96
"""Hash functions of a sketch; more find near duplicates more surely, in proportionate time."""

_NO_LETTERS = re.compile(r"[\W_]+")


def same_text_key(text: str) -> str:
    """What two texts share that are the same but for case and white space.

    >>> same_text_key(" Where  is it?") == same_text_key("where is it?")
    True
    """
    return " ".join(text.casefold().split())


def letters_of(text: str) -> str:
    """The letters and digits without case; the text itself where it has none.

    >>> letters_of("Cash-back!"), letters_of("??")
    ('cashback', '??')
    """
    return _NO_LETTERS.sub("", text.casefold()) or text


def shingles(text: str) -> frozenset[str]:
    """All runs of three letters or digits, without case, punctuation and spaces.

    Three characters are part of a word in English and a word or two in Chinese. A text of three
    letters or fewer is its own only shingle.

    >>> sorted(shingles("Re-fund"))
    ['efu', 'fun', 'ref', 'und']
    """
    bare = letters_of(text)
    if len(bare) < 4:
        return frozenset((bare,))
    return frozenset(map("".join, zip(bare, bare[1:], bare[2:], strict=False)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Shared shingles over all shingles, in [0, 1].

    >>> jaccard(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    n_shared = len(first & second)
    return n_shared / (len(first) + len(second) - n_shared)


@dataclass(frozen=True, slots=True)
class Sketch:
    """The shingles of a text and their MinHash."""

    shingles: frozenset[str]
    minhash: Any


class NearDuplicateIndex:
    """Finds the texts added before that are at least *threshold* similar to another."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHash, MinHashLSH

        if not 0 < threshold <= 1:
            raise ConfigError(
                f"near_duplicate = {threshold} is not a similarity", cure="use a value in (0, 1]"
            )
        self.threshold = threshold
        # A missed pair costs more than a candidate that is verified in vain.
        self._lsh = MinHashLSH(threshold=threshold, num_perm=N_PERMUTATIONS, weights=(0.1, 0.9))
        self._empty = MinHash(num_perm=N_PERMUTATIONS, hashfunc=_stable_hash, seed=1)
        self._shingles: dict[int, frozenset[str]] = {}

    def sketch(self, text: str) -> Sketch:
        """What `similar` and `add` compare, computed once."""
        own = shingles(text)
        minhash = self._empty.copy()
        minhash.update_batch(own)
        return Sketch(own, minhash)

    def similar(
        self, sketch: Sketch, skip: Callable[[int], bool] = lambda number: False
    ) -> Iterator[int]:
        """The numbers of similar texts, in order, each verified unless it is to be skipped."""
        for number in sorted(self._lsh.query(sketch.minhash)):
            if not skip(number) and self._is_similar(sketch, number):
                yield number

    def add(self, number: int, sketch: Sketch) -> None:
        """Let later calls of `similar` find this text as *number*."""
        self._lsh.insert(number, sketch.minhash, check_duplication=False)
        self._shingles[number] = sketch.shingles

    def _is_similar(self, sketch: Sketch, number: int) -> bool:
        return jaccard(sketch.shingles, self._shingles[number]) >= self.threshold


def _stable_hash(shingle: str) -> int:
    """The same in every process, unlike `hash`."""
    return zlib.crc32(shingle.encode("utf-8", "surrogatepass"))


class Groups:
    """Numbers 0 to n - 1 joined into groups (union-find with path halving).

    >>> groups = Groups(4)
    >>> groups.join(0, 2)
    >>> groups.members()
    [[0, 2], [1], [3]]
    """

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, item: int) -> int:
        """The number that stands for the group of *item*."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    def join(self, first: int, second: int) -> None:
        """Make the groups of two numbers one."""
        low, high = sorted((self.root(first), self.root(second)))
        self._parent[high] = low

    def is_joined(self, first: int, second: int) -> bool:
        """Whether two numbers are in one group."""
        return self.root(first) == self.root(second)

    def members(self) -> list[list[int]]:
        """All groups, each in order, by their first member."""
        found: dict[int, list[int]] = {}
        for item in range(len(self._parent)):
            found.setdefault(self.root(item), []).append(item)
        return list(found.values())


def join_near_duplicates(texts: Sequence[str], groups: Groups, threshold: float) -> None:
    """Join the groups of all texts that have the same letters or are *threshold* similar."""
    same: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        same.setdefault(letters_of(text), []).append(number)
    index = NearDuplicateIndex(threshold)
    for numbers in same.values():
        for first, second in pairwise(numbers):
            groups.join(first, second)
        own = numbers[0]
        sketch = index.sketch(texts[own])
        for other in index.similar(sketch, partial(groups.is_joined, own)):
            groups.join(other, own)
        index.add(own, sketch)


def near_duplicates_across(
    texts: Sequence[str], others: Sequence[str], threshold: float
) -> Iterator[tuple[int, int]]:
    """For each of *texts* that is near one of *others*: the numbers of both."""
    index = NearDuplicateIndex(threshold)
    same: dict[str, int] = {}
    for number, text in enumerate(others):
        if same.setdefault(letters_of(text), number) == number:
            index.add(number, index.sketch(text))
    for number, text in enumerate(texts):
        found = same.get(letters_of(text))
        if found is None:
            found = next(index.similar(index.sketch(text)), None)
        if found is not None:
            yield number, found
