"""The texts that explain a rise: most typical of it, no two alike.

A feature is a word, or two neighbouring Chinese characters. It speaks for the rise by how much more
often it stands in the texts of the rise than in those before (class-based TF-IDF; Grootendorst
2022, BERTopic, section 3.3, with documents instead of words). Texts are taken one by one, the
highest first; what a text has said counts less in the next.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tailorbird.text import cut_words

_ALIKE = 0.5
"""Share of common features from which on two texts tell the same."""
_SAID = 0.3
"""What a feature counts after a text has it."""
_MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Told:
    """A negative post of a rise."""

    id: str
    time: datetime
    title: str
    text: str
    url: str = ""
    entities: tuple[str, ...] = field(default=())

    @property
    def whole(self) -> str:
        """What it says, as far as is needed."""
        return f"{self.title} {self.text}"[:_MAX_CHARACTERS]


def features(text: str) -> frozenset[str]:
    """Words in lower case, and pairs of neighbouring Chinese characters.

    >>> sorted(features("奶粉召回, Recall now"))
    ['now', 'recall', '召回', '奶粉', '粉召']
    """
    found, last_end, last = set(), -1, ""
    for start, end in cut_words(text):
        word = text[start:end].lower()
        if len(word) > 1 and not word.isdigit():
            found.add(word)
        elif word.isalpha():
            if last and start == last_end:
                found.add(last + word)
            last, last_end = word, end
            continue
        last = ""
    return frozenset(found)


def weights(rise: Sequence[frozenset[str]], before: Sequence[frozenset[str]]) -> dict[str, float]:
    """How strongly each feature speaks for the rise; those that do not are left out."""
    inside = Counter(one for text in rise for one in text)
    outside = Counter(one for text in before for one in text)
    found = {}
    for name, n in inside.items():
        share, usual = n / len(rise), (outside[name] + 0.5) / (len(before) + 1)
        if n > 1 and share > usual:
            found[name] = share * math.log(share / usual)
    return found


def choose(rise: Sequence[Told], before: Iterable[Told], n: int) -> tuple[list[Told], list[str]]:
    """At most *n* texts that explain the rise, and the words that speak for it most.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> posts = [Told(str(k), at, f"milk recall in town {k}", "") for k in range(3)]
    >>> posts.append(Told("9", at, "milk prices", ""))
    >>> [one.id for one in choose(posts, [], 2)[0]]
    ['0', '9']
    """
    cut = [features(one.whole) for one in rise]
    strength = weights(cut, [features(one.whole) for one in before])
    words = _whole_words(strength)
    left, chosen = dict(strength), list[int]()
    candidates = list(range(len(rise)))
    while candidates and len(chosen) < n:
        # The earlier one where two say as much: the list comes sorted.
        best = max(candidates, key=lambda k: (_strength(cut[k], left), -k))
        chosen.append(best)
        for name in cut[best]:
            left[name] = left.get(name, 0.0) * _SAID
        candidates = [k for k in candidates if k != best and _alike(cut[k], cut[best]) < _ALIKE]
    return [rise[k] for k in chosen], words


def _strength(cut: frozenset[str], left: dict[str, float]) -> float:
    # By the root of the length: a long text is not typical because it says everything.
    return sum(left.get(name, 0.0) for name in sorted(cut)) / math.sqrt(len(cut) + 1)


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def _whole_words(strength: dict[str, float], n: int = 6) -> list[str]:
    """The strongest, without the pairs of characters that overlap one that was taken."""
    chosen: list[str] = []
    for name, _ in sorted(strength.items(), key=lambda pair: (-pair[1], pair[0])):
        overlaps = len(name) == 2 and any(set(name) & set(one) for one in chosen if len(one) == 2)
        if len(chosen) < n and not (overlaps and not name.isascii()):
            chosen.append(name)
    return chosen
