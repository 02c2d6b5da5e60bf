"""Texts that say the same: exactly, or nearly so by shared runs of characters.

Near duplicates are found by MinHash and locality-sensitive hashing (Broder 1997, "On the
resemblance and containment of documents"; Leskovec et al., "Mining of Massive Datasets", ch. 3)
and every candidate pair is verified by the true Jaccard similarity of its shingles.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any

from tailorbird.errors import ConfigError

N_PERMUTATIONS = 96
"""Hash functions of a sketch; more find near duplicates more surely, in proportionate time."""
MAX_TEXTS_A_BAND = 100
"""Texts that are compared because of one band; bounds the work on texts of one template."""
ESTIMATE_ERROR = 0.12
"""How far below the similarity its estimate is believed to fall; four deviations at 0.9."""

_NO_LETTERS = re.compile(r"[\W_]+")


def same_text_key(text: str) -> str:
    """What two texts share that are the same but for case and white space.

    >>> same_text_key(" Where  is it?") == same_text_key("where is it?")
    True
    """
    return " ".join(text.casefold().split())


@lru_cache(maxsize=65_536)
def letters_of(text: str) -> str:
    """The letters and digits without case; the text itself where it has none.

    >>> letters_of("Cash-back!"), letters_of("??")
    ('cashback', '??')
    """
    return _NO_LETTERS.sub("", text.casefold()) or text


def shingles(text: str) -> frozenset[int]:
    """All runs of three letters or digits, without case, punctuation and spaces.

    Each run is packed into one number, 21 bits a character. Three characters are part of a word
    in English and a word or two in Chinese; a shorter text is its own only shingle.

    >>> len(shingles("Re-fund")), shingles("re fund") == shingles("REFUND!")
    (4, True)
    """
    return frozenset(_packed(letters_of(text)).tolist())


def _packed(letters: str) -> Any:
    import numpy

    codes = numpy.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    codes = codes.astype(numpy.uint64)
    if len(codes) < 3:
        codes = numpy.pad(codes, (0, 3 - len(codes)))
    return codes[:-2] | codes[1:-1] << 21 | codes[2:] << 42  # (characters - 2,)


def jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    """Shared shingles over all shingles, in [0, 1].

    >>> jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4}))
    0.5
    """
    n_shared = len(first & second)
    return n_shared / (len(first) + len(second) - n_shared)


@lru_cache(maxsize=65_536)
def _sketch(letters: str) -> Any:
    """The MinHash of a text (N_PERMUTATIONS,); cleaning and splitting compare the same ones."""
    import numpy

    # Multiplicative hashing to the 32 bits a sketch works with: the same in every process,
    # unlike `hash`. Knuth, "The Art of Computer Programming", vol. 3, section 6.4.
    hashes = _packed(letters) * numpy.uint64(0x9E3779B97F4A7C15) >> numpy.uint64(32)
    minhash = _empty_minhash()
    minhash.update_batch(hashes.tolist())
    return minhash.hashvalues.astype(numpy.uint32)


_OWN = threading.local()


def _empty_minhash() -> Any:
    """The one of this thread, emptied: to check a new one's numbers takes longer than a sketch."""
    from datasketch import MinHash

    if not hasattr(_OWN, "minhash"):
        _OWN.minhash = MinHash(num_perm=N_PERMUTATIONS, hashfunc=int, seed=1)
    _OWN.minhash.clear()
    return _OWN.minhash


@cache
def _multipliers() -> Any:
    """Odd random numbers that turn the rows of each band into one number."""
    import numpy

    low, high = 0, 2**64 - 1
    random = numpy.random.default_rng(1)
    return random.integers(low, high, N_PERMUTATIONS, dtype=numpy.uint64) | numpy.uint64(1)


def _bands(similarity: float) -> tuple[int, int]:
    """How many bands of how many rows a sketch is cut into, to find similar texts.

    A pair is found where one band is equal: with probability 1 - (1 - s^rows)^bands. More rows
    mean fewer candidates in vain; the most rows are taken that still find 99 pairs of 100.

    >>> _bands(0.9)
    (10, 9)
    """
    for rows in range(N_PERMUTATIONS // 2, 1, -1):
        bands = N_PERMUTATIONS // rows
        if 1 - (1 - similarity**rows) ** bands >= 0.99:
            return bands, rows
    return N_PERMUTATIONS, 1


class NearDuplicateIndex:
    """Finds the texts added before that are at least *threshold* similar to another.

    Candidates share a band with the text; of a band that very many texts share, as those written
    from one template do, only the first MAX_TEXTS_A_BAND are candidates, so that the time grows
    with the number of texts and not with its square.
    """

    def __init__(self, threshold: float) -> None:
        import numpy

        if not 0 < threshold <= 1:
            raise ConfigError(
                f"near_duplicate = {threshold} is not a similarity", cure="use a value in (0, 1]"
            )
        self.threshold = threshold
        self._shape = _bands(threshold)
        self._buckets: dict[int, list[int]] = {}
        """Places of the texts by each of their bands."""
        self._numbers: list[int] = []
        self._texts: list[str] = []
        self._sketches = numpy.empty((64, N_PERMUTATIONS), dtype=numpy.uint32)

    def add(self, number: int, text: str) -> None:
        """Let later calls of `similar` find this text as *number*."""
        import numpy

        place, sketch = len(self._texts), _sketch(letters_of(text))
        if place == len(self._sketches):
            self._sketches = numpy.concatenate([self._sketches, self._sketches])
        self._sketches[place] = sketch
        self._numbers.append(number)
        self._texts.append(text)
        for key in self._keys(sketch):
            bucket = self._buckets.setdefault(key, [])
            if len(bucket) < MAX_TEXTS_A_BAND:
                bucket.append(place)

    def similar(
        self, text: str, skip: Callable[[int], bool] = lambda number: False
    ) -> Iterator[int]:
        """The numbers of similar texts, first added first; each verified unless skipped."""
        sketch = _sketch(letters_of(text))
        sharing = {n for key in self._keys(sketch) for n in self._buckets.get(key, ())}
        if not sharing:
            return
        candidates = sorted(sharing)
        # The share of equal hashes estimates the similarity: what is far off needs no more work.
        estimates = (self._sketches[candidates] == sketch).mean(axis=1)  # (candidates,)
        own = shingles(text)
        for place, estimate in zip(candidates, estimates.tolist(), strict=True):
            number = self._numbers[place]
            if estimate < self.threshold - ESTIMATE_ERROR or skip(number):
                continue
            if jaccard(own, shingles(self._texts[place])) >= self.threshold:
                yield number

    def _keys(self, sketch: Any) -> list[int]:
        """One number for each band of the sketch."""
        bands, rows = self._shape
        products = sketch[: bands * rows] * _multipliers()[: bands * rows]
        keys: list[int] = products.reshape(bands, rows).sum(axis=1).tolist()
        return keys


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
        for other in index.similar(texts[own], partial(groups.is_joined, own)):
            groups.join(other, own)
        index.add(own, texts[own])


def near_duplicates_across(
    texts: Sequence[str], others: Sequence[str], threshold: float
) -> Iterator[tuple[int, int]]:
    """For each of *texts* that is near one of *others*: the numbers of both."""
    index = NearDuplicateIndex(threshold)
    same: dict[str, int] = {}
    for number, text in enumerate(others):
        if same.setdefault(letters_of(text), number) == number:
            index.add(number, text)
    for number, text in enumerate(texts):
        found = same.get(letters_of(text))
        if found is None:
            found = next(index.similar(text), None)
        if found is not None:
            yield number, found
