"""What speaks for a passage answering a question: eleven numbers that a person can look at.

They compare with each other across bases, languages and encoders: cosines are taken against the
question's own background in the base, and words count by how rarely the base has them. Shape
letters: P passages of one search, F features.
"""

from __future__ import annotations

import math
import re
from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tailorbird.knowledge.chunking import sentences
from tailorbird.records import Passage
from tailorbird.text import cut_words, language_of

Floats = NDArray[np.float64]

FEATURES: tuple[tuple[str, str], ...] = (
    ("nearness", "the cosine, where 0 is the mean of the base and 1 the same direction"),
    ("height", "the cosine above that mean, in fives of standard deviations"),
    ("lead", "its nearness above that of the best other passage, at most 0.5"),
    ("echo", "share of the other passages found that say the same, for other questions"),
    ("coverage", "share of the question's words that the passage has, rare ones counting more"),
    ("match", "Dice of the question's words and those of what the passage answers"),
    ("shape", "the same of pairs of characters, which forgives typing errors"),
    ("unseen", "share of the question's words that the base never has"),
    ("eased", "how much nearer it is to the question without such words, 0 to 0.5"),
    ("length", "how long the question is: log(1 + words) / 3"),
    ("chinese", "1 where the question is Chinese"),
)
"""Name and meaning, in the order of the columns."""

_COMMON = (
    "a an and are at be by can could do does for from have how i in is it me my of on or please "
    "that the there this to want was what when where which will with would you your hi hello "
    "的 了 吗 呢 啊 哦 亲 呀 么 是 我 你 您 请问 一下 这个 那个 你们 我们 什么 怎么 可以 有没 没有 "
    "的话 一个 就是 还是 不是 是不"
)
COMMON = frozenset(_COMMON.split())
"""Words that say little; all that is known of how telling words are before there is a base."""
COMMON_WEIGHT = 0.25
N_REMEMBERED = 4096
"""Texts whose words are remembered: the same passages are found again and again."""

_HAN = re.compile(r"[\u3400-\u9fff]")


@lru_cache(maxsize=N_REMEMBERED)
def terms(text: str) -> tuple[str, ...]:
    """Latin words and numbers in lower case, Chinese as pairs of characters.

    >>> terms("iPhone 15 发货吗")
    ('iphone', '15', '发货', '货吗')
    """
    found: list[str] = []
    run = ""
    for start, end in cut_words(text):
        word = text[start:end].lower()
        if _HAN.match(word):
            run += word
            continue
        found += _pairs(run)
        run = ""
        if word[0].isalnum():
            found.append(word)
    return (*found, *_pairs(run))


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or ([run] if run else [])


@dataclass(frozen=True, slots=True)
class Words:
    """How telling each word is: the fewer pieces of a base have it, the more."""

    n_pieces: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    """Pieces that have the word."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Words:
        """Count the words of the pieces of a base."""
        counts: Counter[str] = Counter()
        n_pieces = 0
        for text in texts:
            counts.update(set(terms(text)))
            n_pieces += 1
        return cls(n_pieces, dict(counts))

    def without(self, pieces: Iterable[Passage]) -> Words:
        """The same where the *pieces* were taken away: what was theirs alone is a strange word.

        What stays is shared, not copied: a fit keeps hundreds of these.
        """
        gone: Counter[str] = Counter()
        n_pieces = self.n_pieces
        for one in pieces:
            gone.update(set(terms(f"{one.question} {one.heading} {one.text}")))
            n_pieces -= 1
        fewer = {term: max(0, self.counts.get(term, 0) - n) for term, n in gone.items()}
        return Words(n_pieces, ChainMap(fewer, self.counts))  # type: ignore[arg-type]  # only read

    def weight(self, term: str) -> float:
        """In [0, 1]: the inverse document frequency of BM25 over the most it can be.

        Robertson and Zaragoza 2009, *The Probabilistic Relevance Framework*, equation 3.3 with 1
        added inside the logarithm, so that nothing weighs less than 0.

        >>> words = Words.of(["send it back", "send it", "send"])
        >>> round(words.weight("send"), 2), round(words.weight("back"), 2), words.weight("new")
        (0.06, 0.47, 1.0)
        """
        if not self.n_pieces:
            return COMMON_WEIGHT if term in COMMON else 1.0
        n = self.counts.get(term, 0)
        top = math.log(1.0 + (self.n_pieces + 0.5) / 0.5)
        return math.log(1.0 + (self.n_pieces - n + 0.5) / (n + 0.5)) / top

    def total(self, those: Iterable[str]) -> float:
        """The weights of *those*, added up."""
        return sum(map(self.weight, those))

    def has(self, term: str) -> bool:
        """Whether the base has it; before there is a base, everything may be there."""
        return not self.n_pieces or self.counts.get(term, 0) > 0


def evidence(question: str, passages: Sequence[Passage], words: Words) -> Floats:
    """(P, F) what speaks for each of the *passages* of one search, by `FEATURES`."""
    asked = set(terms(question))
    weight = words.total(asked) or 1.0
    unseen = words.total(term for term in asked if not words.has(term)) / weight
    about = [math.log1p(len(asked)) / 3, float(language_of(question) == "zh")]
    near = [_nearness(passage) for passage in passages]
    rows = []
    for k, passage in enumerate(passages):
        others = [n for i, n in enumerate(near) if i != k and passages[i].text != passage.text]
        lead = float(np.clip(near[k] - max(others, default=0.0), -0.5, 0.5))
        echo = (len(passages) - 1 - len(others)) / max(1, len(passages) - 1)
        mean, spread = passage.background
        height = (passage.cosine - mean) / (5 * spread) if spread > 0 else near[k]
        all_terms = set(terms(f"{passage.question} {passage.heading} {passage.text}"))
        coverage = words.total(asked & all_terms) / weight
        match, shape = _likeness(question, asked, passage, words)
        eased = float(np.clip(passage.eased / max(1e-3, 1.0 - mean), 0.0, 0.5))
        odd = [unseen, eased]
        rows.append([near[k], height, lead, echo, coverage, match, shape, *odd, *about])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))


def _nearness(passage: Passage) -> float:
    mean = passage.background[0]
    return (passage.cosine - mean) / max(1e-3, 1.0 - mean)


def _likeness(
    question: str, asked: set[str], passage: Passage, words: Words
) -> tuple[float, float]:
    """Dice of words and of pairs of characters, with whatever of the passage is most alike.

    That is the question it answers; where it is no answer, its last heading or one of its
    sentences.
    """
    parts = [passage.question] if passage.question else _parts(passage)
    best = (0.0, 0.0)
    for part in parts:
        other = set(terms(part))
        both = words.total(asked) + words.total(other)
        match = 2 * words.total(asked & other) / both if both else 0.0
        best = max(best, (match, _dice(_shape(question), _shape(part))))
    return best


def _parts(passage: Passage) -> list[str]:
    heading = passage.heading.split(" › ")[-1]
    return [part for part in (heading, *sentences(passage.text)) if part.strip()]


@lru_cache(maxsize=N_REMEMBERED)
def _shape(text: str) -> frozenset[str]:
    """Pairs of neighbouring letters, digits and Chinese characters."""
    signs = "".join(sign for sign in text.lower() if sign.isalnum())
    return frozenset(signs[i : i + 2] for i in range(len(signs) - 1)) or frozenset([signs])


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other))
