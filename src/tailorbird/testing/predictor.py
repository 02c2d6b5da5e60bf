"""A predictor without weights, for tests of whatever serves one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tailorbird.records import Prediction
from tailorbird.text import language_of

SHOP: Mapping[str, tuple[str, ...]] = {
    "refund": ("refund", "money back", "退款", "退钱"),
    "shipping": ("parcel", "package", "delivery", "包裹", "快递"),
    "greeting": ("hello", "good morning", "你好"),
}
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "refund": {"en": "The money is back within 5 days.", "zh": "退款将在 5 天内到账。"},
    "shipping": {"en": "Your parcel is on its way.", "zh": "您的包裹正在路上。"},
    "greeting": {"en": "Hello! How can I help?", "zh": "您好，请问有什么可以帮您？"},
}


@dataclass(eq=False)
class KeywordPredictor:
    """A predictor that looks for keywords: what the service needs of a bundle, without weights.

    An intent's confidence is its share of the keywords found, half of one keyword being spread
    over all intents so that no probability is 0. A text without any keyword is out of scope.

    >>> prediction, = KeywordPredictor().predict(["I want my money back"])
    >>> prediction.intent, prediction.in_scope, prediction.answer
    ('refund', True, 'The money is back within 5 days.')
    """

    id: str = "keywords"
    keywords: Mapping[str, Sequence[str]] = field(default_factory=lambda: SHOP)
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: ANSWERS)
    poison: str = ""
    """A text that contains this makes the whole call fail, as a bad input to a model may."""
    gate: threading.Event | None = None
    """Where given, `predict` waits for it: a slow model that a test can hold and let go."""
    batches: list[tuple[str, ...]] = field(default_factory=list)
    """The texts of every call so far, warm-up included."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in their order; ValueError where one holds the *poison*."""
        self.batches.append(tuple(texts))
        if self.gate is not None:
            self.gate.wait()
        if self.poison and any(self.poison in text for text in texts):
            raise ValueError(f"cannot digest {self.poison!r}")
        return [self._predict_one(text) for text in texts]

    def _predict_one(self, text: str) -> Prediction:
        n_found = {
            intent: sum(word in text.lower() for word in words)
            for intent, words in self.keywords.items()
        }
        n_all = sum(n_found.values()) + 0.5
        share = 0.5 / len(n_found)
        ranked = sorted(
            ((intent, (n + share) / n_all) for intent, n in n_found.items()),
            key=lambda pair: -pair[1],
        )
        intent, confidence = ranked[0]
        language = language_of(text)
        return Prediction(
            intent=intent,
            confidence=confidence,
            in_scope=n_found[intent] > 0,
            answer=self.answers.get(intent, {}).get(language),
            language=language,
            alternatives=tuple(ranked[1:4]),
            scope_score=float(n_found[intent] > 0),
        )
