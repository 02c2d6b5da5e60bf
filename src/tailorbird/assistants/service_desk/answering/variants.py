"""Which of an intent's templates is given: one that can be filled, and that people accept.

A variant's rate is the share of accepted ones among its rated replies, pulled towards the rate of
all variants of the intent by `PRIOR_VOTES` votes: one thumb moves it by a seventh of the way, fifty
settle it. Those within `TOLERANCE` of the best are equals, and a conversation always
gets the same one of them. So few votes change nothing, and a reply that people dislike goes away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tailorbird.assistants.service_desk.answering.phrases import ASK
from tailorbird.assistants.service_desk.answering.slots import fill, holes

PRIOR_VOTES = 6.0
TOLERANCE = 0.15
JUDGED_TOLERANCE = 0.03
"""The same between probabilities of one model for one question."""

Votes = Mapping[str, tuple[int, int]]
"""How many accepted and how many disliked it, by `variant_key`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How probable it is that each variant is accepted for this question, by `variant_key`."""

    probabilities: Mapping[str, float]


class JudgesReplies(Protocol):
    """What foretells whether a reply is accepted."""

    def knows(self, intent: str, /) -> bool:
        """Whether it may choose among the templates of *intent*; at once."""
        ...

    def probabilities(
        self, question: str, replies: Mapping[str, str], rates: Mapping[str, float], /
    ) -> Mapping[str, float]:
        """By key, for *replies* and the smoothed rates of their variants; in a worker thread.

        Nothing where it cannot say."""
        ...


class CountsVotes(Protocol):
    """What people thought of replies."""

    @property
    def is_stale(self) -> bool:
        """Whether `refresh` would read anything."""
        ...

    def refresh(self) -> None:
        """Read what was voted meanwhile; called in a worker thread."""
        ...

    def votes(self, intent: str, /) -> Votes:
        """Of the templates of *intent*, at once: it is asked in the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class Variant:
    """A template that was chosen, and why."""

    text: str
    """Filled; empty where a slot is missing."""
    key: str
    missing: str = ""
    """The slot that nobody has said."""
    rate: float = 0.0
    """Smoothed share of acceptance, in [0, 1]."""
    n_equal: int = 1
    """Variants that were as good."""
    by: str = "votes"
    """``votes``, or ``model`` where that chose."""


def variant_key(template: str) -> str:
    """Names a template, whatever list it stands in.

    >>> len(variant_key("Hello."))
    12
    """
    return hashlib.blake2b(template.encode(), digest_size=6).hexdigest()


def rates(keys: Sequence[str], votes: Votes) -> dict[str, float]:
    """The smoothed acceptance of each variant.

    >>> rates(["a", "b"], {"a": (6, 0), "b": (0, 6)})
    {'a': 0.75, 'b': 0.25}
    >>> rates(["a", "b"], {})
    {'a': 0.5, 'b': 0.5}
    """
    counts = {key: votes.get(key, (0, 0)) for key in keys}
    n_accepted = sum(accepted for accepted, _ in counts.values())
    n_all = n_accepted + sum(disliked for _, disliked in counts.values())
    prior = n_accepted / n_all if n_all else 0.5
    return {
        key: round((accepted + PRIOR_VOTES * prior) / (accepted + disliked + PRIOR_VOTES), 4)
        for key, (accepted, disliked) in counts.items()
    }


def choose_variant(
    templates: Sequence[str],
    values: Mapping[str, str],
    *,
    conversation: str,
    votes: Votes | Judgement | None = None,
    said: Sequence[str] = (),
    may_ask: bool = True,
) -> Variant | None:
    """The template for this *conversation*, filled with the *values* of slots.

    Preferred are those that can be filled, then those that were not *said* before. Where none can
    be filled, and the assistant *may_ask*, the variant says which slot is `missing`. None where
    there is nothing to say.
    """
    by_key = {variant_key(template): template for template in templates}
    whole = [key for key, text in by_key.items() if all(name in values for name in holes(text))]
    is_judged = isinstance(votes, Judgement)
    if isinstance(votes, Judgement):
        rate = {key: votes.probabilities.get(key, 0.0) for key in by_key}
    else:
        rate = rates(list(by_key), votes or {})
    if not whole:
        return _asking(by_key, values, rate) if may_ask else None
    new = [key for key in whole if fill(by_key[key], values) not in said]
    able = new or whole
    best = max(rate[key] for key in able)
    tolerance = JUDGED_TOLERANCE if is_judged else TOLERANCE
    equal = [key for key in able if rate[key] >= best - tolerance]
    key = equal[_draw(conversation, len(equal))]
    by = "model" if is_judged else "votes"
    return Variant(fill(by_key[key], values), key, rate=rate[key], n_equal=len(equal), by=by)


def fillable(templates: Sequence[str], values: Mapping[str, str]) -> dict[str, str]:
    """The templates that *values* fill, filled, by key.

    >>> list(fillable(["Hello.", "Order {order}."], {}).values())
    ['Hello.']
    """
    return {
        variant_key(template): fill(template, values)
        for template in templates
        if all(name in values for name in holes(template))
    }


def _asking(
    by_key: Mapping[str, str], values: Mapping[str, str], rate: Mapping[str, float]
) -> Variant | None:
    """The first that lacks only what can be asked for."""
    for key, template in by_key.items():
        missing = [name for name in holes(template) if name not in values]
        if all(name in ASK for name in missing):
            return Variant("", key, missing=missing[0], rate=rate[key])
    return None


def _draw(conversation: str, n: int) -> int:
    """A number below *n* that is the same whenever the conversation is."""
    digest = hashlib.blake2b(conversation.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n
