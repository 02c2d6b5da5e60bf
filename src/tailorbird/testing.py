"""Public fakes for tests of your own: small, exact, and of the same shape as the real thing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        )


def write_tiny_backbone(folder: Path, *, n_layers: int = 2, seed: int = 0) -> Path:
    """A random two-layer BERT of 32 dimensions in hub form, with a tokenizer of single characters.

    Loads in milliseconds by `tailorbird.modeling` and by `AutoModel.from_pretrained`, and learns
    small tasks; returns *folder*, a value for ``model.backbone``.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)] + list("我的包裹退款还没到钱要想查订单")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: index for index, token in enumerate([*specials, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
