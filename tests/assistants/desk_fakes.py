"""What the service desk needs of others, without weights, documents or rules on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailorbird.assistants.service_desk.answering.decision import Said
from tailorbird.records import Passage
from tailorbird.serving import Answer
from tailorbird.testing import KeywordPredictor

TEMPLATES = {
    "refund": {
        "en": ["The money is back within 5 days.", "Refunds arrive within 5 days."],
        "zh": ["退款将在 5 天内到账。"],
    },
    "shipping": {
        "en": ["Order {order} is on its way to you."],
        "zh": ["订单 {order} 正在路上。"],
    },
    "greeting": {"en": ["Hello! How can I help?"], "zh": ["您好，请问有什么可以帮您？"]},
}
SHOP = {
    "refund": ("refund", "money back", "退款", "退钱"),
    "shipping": ("parcel", "package", "delivery", "包裹", "快递"),
    "greeting": ("hello", "good morning", "你好"),
    "talk_to_human": ("somebody in charge", "值班"),
}
WARRANTY = Passage(
    "w1",
    "terms.md",
    "Warranty › How long",
    "The warranty of headphones is two years. It covers defects of the battery. "
    "It does not cover water damage. Send the invoice with the headphones.",
    score=0.9,
)
RETURNS = Passage(
    "r1",
    "退货.md",
    "退货 › 期限",
    "签收后七天内可以无理由退货。定制商品不支持退货。运费由买家承担。",
    score=0.8,
)
CLEANING = Passage(
    "q1",
    "faq.csv",
    "",
    "Use a dry cloth. Never use alcohol.",
    score=0.7,
    question="How do I clean the headphones?",
)


def visitor(*texts: str) -> list[Said]:
    """Turns of a visitor who was not answered yet."""
    return [Said("visitor", text) for text in texts]


@dataclass
class FakeService:
    """Predicts by keywords, as a service does."""

    predictor: KeywordPredictor = field(default_factory=lambda: KeywordPredictor(keywords=SHOP))
    asked: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)
    adapters: tuple[str, ...] = ()

    async def predict(self, texts: Sequence[str], *, user: str | None = None) -> Answer:
        self.asked.append((tuple(texts), user))
        found = self.predictor.predict(texts)
        return Answer("bundle1", tuple(found), self.adapters[: len(texts)])


@dataclass
class FakeKnowledge:
    """Gives the passages that share a word with the question."""

    passages: Sequence[Passage] = (WARRANTY, RETURNS, CLEANING)
    asked: list[str] = field(default_factory=list)

    def search(self, question: str, /, *, k: int = 5) -> list[Passage]:
        self.asked.append(question)
        return list(self.passages)[:k]


@dataclass(frozen=True)
class FakeRule:
    name: str
    action: str = "answer"


@dataclass(frozen=True)
class FakeRuling:
    rule: FakeRule | None = None
    text: str = ""
    triples: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class FakeFact:
    text: str
    triples: Sequence[str]


@dataclass
class FakeRules:
    """One rule, which holds where its word stands in the text; and one fact."""

    word: str = ""
    ruling: FakeRuling = FakeRuling()
    fact: FakeFact | None = None
    version: int = 3
    seen: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def facts(self) -> FakeRules:
        return self

    def ask(self, text: str, language: str, /, *, about: str = "") -> FakeFact | None:
        return self.fact if "X200" in text or "X200" in about else None

    def decide(self, values: Mapping[str, Any], /) -> FakeRuling:
        self.seen.append(values)
        return self.ruling if self.word and self.word in values["text"] else FakeRuling()


@dataclass
class FakeModel:
    """A language model that writes what it was told to, in pieces of three characters."""

    text: str
    languages: frozenset[str] = frozenset({"en"})
    asked: list[str] = field(default_factory=list)

    def write(
        self, question: str, passages: Sequence[Passage], /, *, language: str
    ) -> Iterator[str]:
        self.asked.append(question)
        for start in range(0, len(self.text), 3):
            yield self.text[start : start + 3]
