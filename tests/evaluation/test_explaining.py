"""Attributions: they add up, they name the words that matter, and they are shown."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.errors import ConfigError
from tailorbird.evaluation.explaining import _of_words, deletion_test, explain
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Example
from tailorbird.testing import write_tiny_decoder
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"hello": ("hello", "hi"), "parcel": ("parcel", "包裹"), "refund": ("refund", "退款")}
FRAMES = ("where is", "my", "please", "give me the", "I want a", "我的", "想查")


def texts_of(words: dict[str, tuple[str, ...]], n: int, seed: int) -> list[Example]:
    draw = random.Random(seed)
    return [
        Example(f"{draw.choice(FRAMES)} {draw.choice(choices)} {draw.choice(FRAMES)}", label)
        for _ in range(n)
        for label, choices in words.items()
    ]


@pytest.fixture(scope="module")
def model(tiny_backbone: Path) -> TextModel:
    """A tiny encoder that has learned the three words."""
    settings = Settings(
        model=ModelSettings(dropout=0.0, encoder_dropout=0.0),
        tuning=TuningSettings(
            dtype="float32", n_epochs=5, batch_size=16, learning_rate=3e-3, patience=0
        ),
    )
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    made = build_model(backbone, sorted(WORDS), settings=settings.model)
    rows, few = texts_of(WORDS, 60, 0), texts_of(WORDS, 8, 1)
    run = TuningRun(made, plan_tuning(made, len(rows), settings)[0])
    for report in tune(run, encode_examples(made, rows), encode_examples(made, few)):
        last = report
    assert last.metrics["accuracy"] > 0.9
    return made


def log_odds(model: TextModel, text: str, label: str) -> float:
    probs = model.logits([text])[0].double().softmax(-1)
    p = float(probs[model.labels.index(label)])
    return float(torch.tensor(p / (1 - p)).log())


@pytest.mark.parametrize("label", ["", "hello"])
@pytest.mark.parametrize("text", ["where is my parcel", "我的退款", "hi", "parcel or refund?"])
def test_the_weights_of_all_words_add_up(model: TextModel, text: str, label: str) -> None:
    found = explain(model, text, label=label)
    total = sum(word.weight for word in found.words) + found.rest
    assert total == pytest.approx(found.total, abs=1e-3)
    assert abs(found.gap) < 1e-3
    empty = " ".join("[MASK]" for _ in text.replace(" ", ""))
    expected = log_odds(model, text, found.label) - log_odds(model, empty, found.label)
    assert found.total == pytest.approx(expected, abs=1e-3)


def test_the_word_that_decides_weighs_most(model: TextModel) -> None:
    for text, label, words in (
        ("where is my parcel please", "parcel", {"parcel"}),
        ("我的 退款", "refund", {"退", "款"}),
    ):
        found = explain(model, text)
        assert found.label == label
        assert {word.text for word in found.top(len(words))} == words
        assert [text[word.start : word.end] for word in found.words] == [
            word.text for word in found.words
        ]


def test_a_word_for_one_label_speaks_against_another(model: TextModel) -> None:
    words = {w.text: w.weight for w in explain(model, "refund me", label="parcel").words}
    assert words["refund"] < 0
    assert words["refund"] < words["me"]


def test_words_that_weigh_most_are_missed_most(model: TextModel) -> None:
    rows = texts_of(WORDS, 10, 2)
    found = deletion_test(model, [row.text for row in rows])
    assert found.n_texts == 30
    assert found.top > 2 * found.random  # 0.42 and 0.11 as measured


def test_the_probability_is_that_of_the_model(model: TextModel) -> None:
    text = "where is my parcel"
    found = explain(model, text, temperature=2.0)
    assert found.probability == pytest.approx(
        float((model.logits([text])[0] / 2).softmax(-1).max()), abs=1e-6
    )


def test_explaining_changes_nothing(model: TextModel) -> None:
    before = model.logits(["my parcel"])
    model.train()
    explain(model, "my parcel")
    assert model.training
    model.eval()
    assert torch.equal(model.logits(["my parcel"]), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_texts_without_words_have_no_weights(model: TextModel) -> None:
    for text in ("", "   "):
        found = explain(model, text)
        assert (found.words, found.total) == ((), 0.0)


def test_words_beyond_the_longest_input_weigh_nothing(model: TextModel) -> None:
    text = "parcel " * 60  # of single characters, and 128 are read
    found = explain(model, text, n_steps=4)
    assert len(found.words) == 60
    assert found.words[0].weight != 0
    assert found.words[-1].weight == 0


def test_many_steps_of_a_long_text_are_taken_in_parts(model: TextModel) -> None:
    text = "where is my parcel " * 4
    whole, parts = (explain(model, text, n_steps=n).to_json()["words"] for n in (32, 96))
    assert [w["weight"] for w in whole] == pytest.approx([w["weight"] for w in parts], abs=1e-3)


def test_pieces_of_a_word_are_one_and_joined_characters_stay_joined() -> None:
    words, rest = _of_words(
        "my 包裹, unhappy", [None, (0, 2), (3, 5), (5, 6), (7, 9), (9, 14), None], [1.0] * 7
    )
    assert [(word.text, word.weight) for word in words] == [
        *(("my", 1.0), ("包裹", 1.0), (",", 1.0), ("unhappy", 2.0)),
    ]
    assert rest == 2.0


def test_an_explanation_is_json(model: TextModel) -> None:
    found = json.loads(json.dumps(explain(model, "我的 parcel").to_json()))
    assert [word["text"] for word in found["words"]] == ["我", "的", "parcel"]
    assert set(found) == {"text", "label", "probability", "words", "rest", "total", "gap"}


def test_what_cannot_be_explained_is_said(model: TextModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'parcle' is no label of the model"):
        explain(model, "my parcel", label="parcle")
    other: Any = SimpleNamespace(labels=("a", "b"))
    with pytest.raises(ConfigError, match="only a packed encoder"):
        explain(other, "my parcel")
    decoder = write_tiny_decoder(tmp_path / "decoder")
    chat = build_model(
        resolve_backbone(str(decoder), cache=tmp_path), ["a"], settings=ModelSettings()
    )
    with pytest.raises(ConfigError):
        explain(chat, "my parcel")


@pytest.mark.weights
@pytest.mark.parametrize(("name", "language"), [("minilm", "en"), ("e5", "zh")])
def test_pretrained_encoders_are_explained(name: str, language: str, weights_cache: Path) -> None:
    sets = {
        "en": {
            "parcel": "where is my parcel|my package has not arrived yet|track the delivery",
            "refund": "I want my money back|please refund this order|when do I get my money",
            "login": "I forgot my password|my account is locked|the login does not work",
        },
        "zh": {
            "parcel": "我的包裹怎么还没到|帮我查一下物流|快递到哪里了",
            "refund": "我要退款|把钱退给我|退的钱什么时候到账",
            "login": "忘记密码了|账号被锁了|登录不上去",
        },
    }[language]
    rows = [(text, label) for label, texts in sets.items() for text in texts.split("|")]
    backbone = resolve_backbone(name, cache=weights_cache)
    model = build_model(backbone, sorted(sets), settings=ModelSettings()).eval()
    texts = [text for text, _ in rows]
    targets = torch.tensor([model.labels.index(label) for _, label in rows])
    model.head.start_from_features(model.features(texts), targets)
    for text in texts[::3]:
        found = explain(model, text)
        assert found.total > 1
        assert abs(found.gap) < 0.02 * found.total
    loss = deletion_test(model, texts, n_draws=4)
    assert loss.top > 1.5 * loss.random
