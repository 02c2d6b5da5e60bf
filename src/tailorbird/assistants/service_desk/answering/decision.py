"""What the assistant said, and why: records that the files of the service desk share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

DecisionKind = Literal["template", "knowledge", "generated", "rule", "refusal", "hand_over"]


class Turn(Protocol):
    """One message of a conversation; a row of the table of turns is one."""

    @property
    def author(self) -> str:
        """``visitor``, ``assistant``, ``agent`` or ``system``."""
        ...

    @property
    def text(self) -> str:
        """As it was said."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """A turn that is in no table."""

    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, and what it rests on."""

    text: str
    source: str = ""
    """``document › heading``, or ``facts``; empty for a template or what the assistant says of
    itself."""
    passage: str = ""
    """The id of the passage."""


@dataclass(frozen=True)
class Decision:
    """What the assistant says to one message, and all that is known of why."""

    kind: DecisionKind
    text: str
    sentences: tuple[Sentence, ...]
    language: str
    """``zh`` or ``en``."""
    intent: str = ""
    confidence: float = 0.0
    """Calibrated probability of the intent, in [0, 1]."""
    rule: str = ""
    """The name of the rule that decided; empty: none."""
    bundle: str = ""
    adapter: str = ""
    """The hash of the user's adapter; empty: the shared assistant."""
    why: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready, and without any word of the visitor's: candidates, thresholds, passages, anger,
    and under ``sentence`` one for a person in each language."""
    suggestions: tuple[str, ...] = ()
    """Replies that whoever takes over may want to send, best first."""

    @property
    def is_unsure(self) -> bool:
        """Whether nothing could be answered: two of these in a row ask for a person."""
        return self.kind == "refusal"


def joined(sentences: tuple[Sentence, ...], language: str) -> str:
    """The text of an answer; Chinese sentences stand side by side, others have a space between.

    >>> joined((Sentence("Yes."), Sentence("In 5 days.")), "en")
    'Yes. In 5 days.'
    >>> joined((Sentence("可以。"), Sentence("五天内。")), "zh")
    '可以。五天内。'
    """
    return ("" if language == "zh" else " ").join(sentence.text for sentence in sentences)
