"""How likely people are to accept a reply to their question: what chooses among variants.

A model reads question and reply together; what it says is joined with the votes of the variant,

    p = σ(bias + votes · logit(rate) + reading · z),

with the three weights fitted to votes that the model has not seen. It is used for intents that have
votes enough, and follows what `accept_tuning` leaves in the workspace.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.data import mask_pii
from tailorbird.errors import StoreError
from tailorbird.store import Workspace

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

log = logging.getLogger(__name__)

FACTS = "acceptance.json"
MODEL = "model"


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much."""

    bias: float
    votes: float
    reading: float

    def probability(self, rate: float, reading: float) -> float:
        """Of acceptance, from a variant's smoothed *rate* and what the model says (a logit).

        >>> round(Weights(0.0, 1.0, 1.0).probability(0.5, math.log(3)), 2)
        0.75
        """
        z = self.bias + self.votes * logit(rate) + self.reading * reading
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))


def logit(p: float) -> float:
    """The log-odds of *p*, which is kept away from 0 and 1.

    >>> round(logit(0.75), 3), logit(0.0) == logit(0.01)
    (1.099, True)
    """
    p = max(0.01, min(0.99, p))
    return math.log(p / (1.0 - p))


class Acceptance:
    """A tuned model with its *weights*; threads may share it."""

    def __init__(self, model: TextModel, weights: Weights, intents: Sequence[str] = ()) -> None:
        self.model = model
        self.weights = weights
        self.intents = frozenset(intents)
        """Those with votes enough."""
        self._turn = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> Acceptance:
        """Read what `save` wrote; raises StoreError where it is damaged."""
        from tailorbird.modeling import load_model

        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            weights, intents = Weights(**facts["weights"]), list(facts["intents"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"does not hold what it should ({error})",
                where=str(folder / FACTS),
                cure="tailorbird knowledge tune-replies",
            ) from error
        return cls(load_model(folder / MODEL), weights, intents)

    def facts(self) -> dict[str, Any]:
        """JSON-ready: all of it but the model."""
        return {"weights": asdict(self.weights), "intents": sorted(self.intents)}

    def readings(self, questions: Sequence[str], replies: Sequence[str]) -> list[float]:
        """What the model alone says of each pair: the log-odds of acceptance."""
        if not questions:
            return []
        masked = [mask_pii(text) for text in (*questions, *replies)]
        with self._turn:
            tokens = self.model.tokenizer.pairs(masked[: len(questions)], masked[len(questions) :])
            disliked: list[float] = self.model.logits(tokens)[:, 0].tolist()
        return [-one for one in disliked]

    def probabilities(
        self, question: str, replies: Mapping[str, str], rates: Mapping[str, float]
    ) -> dict[str, float]:
        """Of each of the *replies*, by key; *rates* are the smoothed ones of their variants."""
        found = self.readings([question] * len(replies), list(replies.values()))
        return {
            key: round(self.weights.probability(rates.get(key, 0.5), reading), 4)
            for key, reading in zip(replies, found, strict=True)
        }


def folder_of(workspace: Workspace) -> Path:
    """Where the model of a workspace is, or will be."""
    return workspace.path / "encoders" / "acceptance"


class KeptAcceptance:
    """What *workspace* has, whichever process tuned it; loaded when it is first needed."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = folder_of(workspace)
        self._seen: tuple[int, frozenset[str]] = (0, frozenset())
        """The version of the facts, and the intents in them."""
        self._loaded: tuple[int, Acceptance] | None = None
        """The version it was loaded for, and the model."""
        self._turn = threading.Lock()

    def knows(self, intent: str) -> bool:
        """Whether there is a model with votes enough for *intent*; never waits for it."""
        return intent in self._follow()[1]

    def probabilities(
        self, question: str, replies: Mapping[str, str], rates: Mapping[str, float]
    ) -> dict[str, float]:
        """As `Acceptance.probabilities`; called in a worker thread.

        Empty where the model cannot be read: the log says why, and votes alone choose.
        """
        try:
            with self._turn:
                version, _ = self._follow()
                if self._loaded is None or self._loaded[0] != version:
                    self._loaded = (version, Acceptance.load(self._folder))
                model = self._loaded[1]
            return model.probabilities(question, replies, rates)
        except Exception:
            log.exception("what judges replies failed: votes alone choose")
            return {}

    def _follow(self) -> tuple[int, frozenset[str]]:
        try:
            version = (self._folder / FACTS).stat().st_mtime_ns
        except OSError:
            version = 0
        if version != self._seen[0]:
            self._seen = (version, self._read() if version else frozenset())
        return self._seen

    def _read(self) -> frozenset[str]:
        try:
            facts = json.loads((self._folder / FACTS).read_text(encoding="utf-8"))
            return frozenset(facts["intents"])
        except (OSError, ValueError, KeyError, TypeError):
            log.exception("what judges replies cannot be read: %s", self._folder)
            return frozenset()
