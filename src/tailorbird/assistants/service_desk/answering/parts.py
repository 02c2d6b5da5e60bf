"""What an attendant works with; all of it may be missing but the predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tailorbird.assistants.service_desk.answering.composing import Embeds
from tailorbird.assistants.service_desk.answering.generating import Scribe
from tailorbird.assistants.service_desk.answering.slots import FindsSlots
from tailorbird.assistants.service_desk.answering.variants import CountsVotes, JudgesReplies
from tailorbird.records import Passage

Templates = Mapping[str, Mapping[str, Sequence[str]]]
"""``{intent: {"zh": [answer, …], "en": […]}}``."""

MIN_SUPPORT = 0.5


class Searches(Protocol):
    """Documents that can be searched; called in a worker thread."""

    def search(self, question: str, /, *, k: int = 5) -> list[Passage]:
        """The passages that fit best, best first."""
        ...


class Rule(Protocol):
    """One rule of the house."""

    @property
    def name(self) -> str:
        """Shown wherever it decided."""
        ...

    @property
    def action(self) -> str:
        """``answer``, ``hand_over`` or ``intent:NAME``."""
        ...


class Ruling(Protocol):
    """What the rules say to a message."""

    @property
    def rule(self) -> Rule | None:
        """The one that fits; None: none does."""
        ...

    @property
    def text(self) -> str:
        """Its answer, ready to be said; empty where it has none."""
        ...

    @property
    def triples(self) -> Sequence[Any]:
        """The facts in it."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Rules that were put aside, and why."""
        ...


class FactAnswer(Protocol):
    """What facts say to a question."""

    @property
    def text(self) -> str:
        """A sentence in the language that was asked for."""
        ...

    @property
    def triples(self) -> Sequence[Any]:
        """The facts it rests on."""
        ...


class Facts(Protocol):
    """Facts that can be asked."""

    def ask(self, text: str, language: str, /, *, about: str = "") -> FactAnswer | None:
        """The answer to *text*, which may be about what is named in *about*; None: none."""
        ...


class Rules(Protocol):
    """The rules and facts that hold now."""

    @property
    def version(self) -> int:
        """Named in the explanation."""
        ...

    @property
    def facts(self) -> Facts:
        """Asked where no template answers."""
        ...

    def decide(self, values: Mapping[str, Any], /) -> Ruling:
        """What the first rule that holds for *values* says."""
        ...


@dataclass(frozen=True)
class Parts:
    """What an attendant may use beside the predictions."""

    templates: Callable[[], Templates] = dict
    """Of the bundle that is live; `templates_of` gives them for a service. Without, the one answer
    that comes with a prediction is given."""
    knowledge: Searches | None = None
    rules: Callable[[], Rules | None] | None = None
    """Called in a worker thread for each message: whoever gives it keeps what has not changed."""
    scribe: Scribe | None = None
    encoder: Embeds | None = None
    """Compares sentences of passages with the question; without it words alone do."""
    votes: CountsVotes | None = None
    acceptance: JudgesReplies | None = None
    """Chooses among variants by the question, where it knows the intent; else votes do."""
    finder: FindsSlots | None = None
    has_desk: bool = True
    """Whether a hand-over reaches a person; where it does not, the visitor is not told it does."""
    clock: Callable[[], datetime] = datetime.now
    """Local time, for rules about hours and weekdays."""


def min_support_of(knowledge: Searches | None, wanted: float) -> float:
    """The probability of support from which a passage answers: *wanted*, where that is above 0.

    Else it is the threshold that the support model of *knowledge* was given when it was fitted.

    >>> min_support_of(None, 0.7), min_support_of(None, 0.0)
    (0.7, 0.5)
    """
    judge = getattr(knowledge, "support", None)
    return wanted if wanted > 0 else float(getattr(judge, "threshold", MIN_SUPPORT))


def templates_of(service: Any) -> Callable[[], Templates]:
    """Gives the templates of whatever *service* serves at the time, with or without users.

    A predictor without templates (a fake, a plug-in's) has none.
    """

    def current() -> Templates:
        predictor = service.engine.predictor
        bundle = getattr(predictor, "bundle", predictor)  # that of a personal bundle
        templates: Templates = getattr(bundle, "templates", None) or {}
        return templates

    return current
