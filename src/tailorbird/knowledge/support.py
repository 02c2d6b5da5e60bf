"""How probable it is that a passage answers a question: a logistic regression one can read.

`LearnedSupport.default` has coefficients that were fitted on public questions (where from is in
its `provenance`); `support_fitting.fit_support` fits them to a base, without any label. Below the
`threshold` nothing is answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.evidence import FEATURES, Floats, Words, evidence
from tailorbird.records import Passage

DEFAULT_FILE = "support.json"


@dataclass(frozen=True, slots=True)
class LearnedSupport:
    """Probabilities that passages answer a question; the same question gets the same ones."""

    weights: Mapping[str, float]
    """By the name of the feature, see `evidence.FEATURES`."""
    bias: float
    threshold: float
    """A search whose best passage is below it answers nothing."""
    words: Words = field(default_factory=Words)
    """Of the base; empty: nothing is known of it."""
    provenance: str = ""
    """What the weights were fitted on."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """``refused_answerable`` and ``refused_unanswerable`` on what they were fitted on."""

    @classmethod
    def default(cls) -> LearnedSupport:
        """The coefficients that come with the package.

        >>> sure = Passage("1", "faq", "", "In 3 days.", 1.0, question="When do you deliver?",
        ...                cosine=0.97, background=(0.2, 0.1))
        >>> odd = Passage("2", "faq", "", "Red or blue.", 1.0, question="Which colours are there?",
        ...               cosine=0.25, background=(0.2, 0.1))
        >>> support = LearnedSupport.default()
        >>> good, bad = support.probabilities("when do you deliver", [sure, odd])
        >>> good > support.threshold > bad
        True
        """
        text = resources.files(__package__).joinpath(DEFAULT_FILE).read_text(encoding="utf-8")
        return cls.from_json(json.loads(text), where=DEFAULT_FILE)

    def knowing(self, pieces: Iterable[Passage]) -> LearnedSupport:
        """The same that knows which words the pieces of a base have, and how many of them."""
        texts = (f"{one.question} {one.heading} {one.text}" for one in pieces)
        return replace(self, words=Words.of(texts))

    def probabilities(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """In [0, 1], one for each of the *passages* of one search for the *question*."""
        if not passages:
            return []
        logits = evidence(question, passages, self.words) @ self.vector + self.bias  # (P,)
        return sigmoid(logits).tolist()  # type: ignore[no-any-return]

    def contributions(self, question: str, passages: Sequence[Passage]) -> list[dict[str, float]]:
        """What each feature adds to the logit of each passage; with the bias they sum up to it."""
        parts = evidence(question, passages, self.words) * self.vector
        names = [name for name, _ in FEATURES]
        return [dict(zip(names, row, strict=True)) for row in parts.tolist()]

    @property
    def vector(self) -> Floats:
        """(F,) the weights in the order of the features."""
        return np.array([self.weights[name] for name, _ in FEATURES])

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; `from_json` is its inverse."""
        return {
            "weights": {name: self.weights[name] for name, _ in FEATURES},
            "bias": self.bias,
            "threshold": self.threshold,
            "provenance": self.provenance,
            "expected": dict(self.expected),
            "n_pieces": self.words.n_pieces,
            "counts": dict(self.words.counts),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any], *, where: str = "") -> LearnedSupport:
        """Rebuild what `to_json` wrote.

        Raises KnowledgeError where it was written with other features.
        """
        names = [name for name, _ in FEATURES]
        if sorted(row["weights"]) != sorted(names):
            raise KnowledgeError(
                f"has weights of {', '.join(row['weights'])}, not of {', '.join(names)}",
                where=where or "support",
                cure="fit it again: it was written by another version",
            )
        words = Words(row.get("n_pieces", 0), row.get("counts", {}))
        return cls(
            dict(row["weights"]),
            row["bias"],
            row["threshold"],
            words,
            row.get("provenance", ""),
            dict(row.get("expected", {})),
        )

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> LearnedSupport:
        """Read what `save` wrote; KnowledgeError where it is of another version."""
        return cls.from_json(json.loads(path.read_text(encoding="utf-8")), where=str(path))


def sigmoid(logits: Floats) -> Floats:
    """``1 / (1 + exp(-x))`` without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0])).tolist()
    [0.0, 0.5]
    """
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))
