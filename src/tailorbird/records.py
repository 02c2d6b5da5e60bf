"""The typed, frozen records that rooms hand to each other.

Interaction (one logged exchange) → Example (one training item) → StepReport (one optimizer
update) → EvalReport (one split, measured) → Verdict (candidate against current).
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """A named stretch of a text: characters from *start* up to, not including, *end*."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several texts to be ranked for a query, and how well it fits (higher is better)."""

    text: str
    relevance: float


@dataclass(frozen=True, slots=True)
class Example:
    """One training item: a text, what is true of it, and where it came from.

    Which field holds the truth depends on the task; the others stay empty.
    """

    text: str
    label: str = ""
    """Its one class (single label, binary, pairs)."""
    interaction_id: str = ""
    user: str | None = None
    second: str = ""
    """The other text of a pair; the passage that answers a query."""
    labels: tuple[str, ...] = ()
    """Every label that holds (multi-label)."""
    value: float | None = None
    """A number: a rating, a similarity (regression)."""
    spans: tuple[Span, ...] = ()
    """Named stretches of the text (token classification)."""
    candidates: tuple[Candidate, ...] = ()
    """Texts to be ranked for this one (ranking)."""
    messages: tuple[Message, ...] = ()
    """A conversation, the assistant's turns to be learned (dialogue)."""


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
    """False where the confidence is below the threshold chosen on validation."""
    answer: str | None
    """The template for the intent in the language of the text; None where there is none."""
    language: str
    """``zh`` or ``en``, of the text."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The next likely intents with their probabilities, best first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may replace the current bundle, and why."""

    promote: bool
    reason: str
    metric: str
    candidate: float
    current: float | None
