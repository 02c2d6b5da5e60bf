"""The typed, frozen records that rooms hand to each other.

Interaction (one logged exchange) → Example (one training item) → StepReport (one optimizer
update) → EvalReport (one split, measured) → Verdict (candidate against current).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Event = Literal["step", "validation", "checkpoint", "stop"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; *role* is system, user or assistant."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """One logged exchange: what a person wrote and, where known, what was answered."""

    id: str
    """Stable within its source: the source's own id, or ``file:line[:turn]``."""
    text: str
    """The person's words."""
    reply: str | None = None
    """The answer they got."""
    label: str | None = None
    """The intent (or other class), where somebody or something labelled it."""
    user: str | None = None
    time: datetime | None = None
    """Timezone-aware; a time without a zone was taken as UTC."""
    split: SplitName | None = None
    """Set only where the source gives its own splits."""
    feedback: float | None = None
    """What the person thought of the reply, from -1 (bad) to 1 (good)."""
    history: tuple[Message, ...] = ()
    """Earlier turns of the same conversation, oldest first."""
    source: str = ""
    """``file:line`` or ``table:row`` it was read from."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping without empty fields; `from_json` is its inverse."""
        row = {key: value for key, value in asdict(self).items() if value not in (None, (), "")}
        row["text"] = self.text
        if self.time is not None:
            row["time"] = self.time.isoformat()
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Interaction:
        """Rebuild an interaction written by `to_json`."""
        values = dict(row)
        if "time" in values:
            values["time"] = datetime.fromisoformat(values["time"])
        values["history"] = tuple(Message(**turn) for turn in values.get("history", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Span:
    """A marked part of a text.

    >>> "from Berlin"[Span(5, 11, "city").start : Span(5, 11, "city").end]
    'Berlin'
    """

    start: int
    """Of the first character, from 0."""
    end: int
    """One past the last character, as Python slices."""
    label: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text that could answer a query."""

    text: str
    relevance: float
    """How well it does; higher is better, 0 is not at all."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training item: a text, what is to be learned of it, and where it came from.

    A task fills in the fields it learns from; the others stay empty.
    """

    text: str
    """The text; the first of a pair; the query; what a person said first in a dialogue."""
    label: str = ""
    """The class, where a row has exactly one."""
    interaction_id: str = ""
    user: str | None = None
    second: str = ""
    """The other text of a pair; the passage that answers a query."""
    labels: tuple[str, ...] = ()
    """Multi-label: all that apply, each once; there may be none."""
    value: float | None = None
    """Regression and similarity: the number to predict."""
    spans: tuple[Span, ...] = ()
    """Token classification: the marked parts, by their start."""
    candidates: tuple[Candidate, ...] = ()
    """Ranking: the texts to be ordered for this query."""
    messages: tuple[Message, ...] = ()
    """Dialogue: all turns, oldest first."""
    time: str = ""
    """When it was said: ISO 8601 in UTC, so that texts sort by time; empty: not known."""
    lacks: tuple[str, ...] = ()
    """Joint: parts that nothing is known of, as ``labels``; empty: what is not there is not so."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping without empty fields; `from_json` is its inverse."""
        row = {key: value for key, value in asdict(self).items() if value not in (None, (), "")}
        return {"text": self.text, **row}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Example:
        """Rebuild an example written by `to_json`.

        >>> Example.from_json({"text": "hi", "spans": [{"start": 0, "end": 2, "label": "x"}]}).spans
        (Span(start=0, end=2, label='x'),)
        """
        parts: dict[str, Callable[..., Any]] = {
            "spans": Span,
            "candidates": Candidate,
            "messages": Message,
        }
        values = dict(row)
        for key in ("labels", "lacks"):
            values[key] = tuple(values.get(key, ()))
        for key, build in parts.items():
            values[key] = tuple(build(**part) for part in values.get(key, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one event of a tuning run says; the loop yields it and does nothing else."""

    event: Event
    step: int
    """Optimizer updates done so far."""
    n_steps: int
    """Updates the whole run will take if it is not stopped early."""
    epoch: float
    loss: float
    """Mean training loss since the last report of the same event (validation loss for
    ``validation``)."""
    learning_rate: float
    n_tokens: int
    """Real (never padding) tokens seen so far."""
    elapsed_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Validation metrics by name; empty for other events."""
    note: str = ""
    """Why the run stopped, which rows were odd: a sentence for a person."""

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return self.step / self.n_steps if self.n_steps else 1.0

    @property
    def tokens_per_s(self) -> float:
        """Real tokens per second since the run (or its resumption) began."""
        return self.n_tokens / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap confidence interval around a value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One line of the per-class table."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class EvalReport:
    """One split, measured once."""

    split: SplitName
    n_rows: int
    loss: float
    """Mean negative log-likelihood, in nats, after calibration."""
    accuracy: Interval
    macro_f1: Interval
    ece: float
    """Expected calibration error after the temperature, in [0, 1]."""
    ece_before: float
    """The same before the temperature."""
    per_class: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones, in the order of *labels*."""
    labels: tuple[str, ...]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """``{"majority": {"accuracy": …, "macro_f1": …}, "tfidf_logreg": {…}}``."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the assistant makes of one text."""

    intent: str
    confidence: float
    """Calibrated probability of *intent*, in [0, 1]."""
    in_scope: bool
    """False where the scope score (or, in bundles without one, the confidence) is below the
    threshold chosen on validation."""
    answer: str | None
    """The template for the intent in the language of the text; None where there is none."""
    language: str
    """``zh`` or ``en``, of the text."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The next likely intents with their probabilities, best first."""
    scope_score: float = 1.0
    """Probability that the text is in scope, in [0, 1], where as many texts are as are not; of
    bundles without a scope part the confidence."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, and how well it fits a question."""

    id: str
    document: str
    """The name of the document."""
    heading: str
    """All headings above it, as ``Returns › How long``; empty: none."""
    text: str
    score: float
    """Higher is better; passages of one search compare with each other, and with nothing else."""
    support: float = 0.0
    """Calibrated probability that it answers the question, in [0, 1]."""
    question: str = ""
    """Of a question with its answer: the question."""
    cosine: float = 0.0
    """Of the vectors of the question asked and of what is searched, in [-1, 1]."""
    background: tuple[float, float] = field(default=(0.0, 0.0), compare=False)
    """Mean and standard deviation of the asked question's cosines with the pieces of the base."""
    eased: float = field(default=0.0, compare=False)
    """By how much the cosine grows where the question is asked without words the base never has."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may replace the current bundle, and why."""

    promote: bool
    reason: str
    metric: str
    candidate: float
    current: float | None
