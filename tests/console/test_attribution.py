"""Which words: what is drawn, and what is said where they cannot be weighed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from nicegui import Client, ui

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.console.attribution import pieces, show_reasons
from tailorbird.console.words import WORDS
from tailorbird.console.words.language import Language
from tailorbird.evaluation.explaining import Explanation, WordWeight
from tailorbird.evaluation.neighbours import Neighbour
from tailorbird.serving.explainer import Reasons
from tailorbird.testing import KeywordPredictor

TEXT = "where is <b>my</b> parcel?"
WEIGHTS = {"where": 0.5, "is": -0.01, "my": -1.5, "parcel": 3.0}
FOUND = Explanation(
    TEXT,
    "shipping",
    0.9,
    tuple(
        WordWeight(word, TEXT.index(word), TEXT.index(word) + len(word), weight)
        for word, weight in WEIGHTS.items()
    ),
    rest=0.0,
    total=1.99,
    gap=0.0,
)
NEAR = (Neighbour("<i>my</i> package", "shipping", 0.876),)


@pytest.fixture(scope="module")
def running() -> Iterator[TestClient]:
    with TestClient(create_app(None, KeywordPredictor(), ServingSettings())) as made:
        yield made


def drawn(running: TestClient, reasons: Reasons, language: Language = "en") -> list[ui.element]:
    async def draw() -> list[ui.element]:
        with Client(ui.page("/reasons"), request=None) as client:
            show_reasons(reasons, WORDS[language])
            return list(client.elements.values())

    assert running.portal is not None
    return running.portal.call(draw)


def texts(elements: list[ui.element]) -> str:
    return "\n".join(str(one._props.get("innerHTML", "")) for one in elements)


def test_the_text_is_whole_and_only_words_have_weights() -> None:
    parts = list(pieces(FOUND))
    assert "".join(piece for piece, _ in parts) == TEXT
    assert [word.text for _, word in parts if word is not None] == list(WEIGHTS)


def test_colours_follow_the_weights_and_numbers_stand_under_the_pointer(
    running: TestClient,
) -> None:
    elements = drawn(running, Reasons("b1", FOUND, NEAR))
    words = {one._props["innerHTML"]: one for one in elements if "tb-word" in one._classes}
    assert list(words) == list(WEIGHTS)
    assert "tb-for" in words["parcel"]._classes
    assert "tb-against" in words["my"]._classes
    assert not {"tb-for", "tb-against"} & set(words["is"]._classes)  # next to nothing
    assert words["my"]._style["--share"] == "0.500"
    assert words["my"]._props["title"] == "−1.50 nats of log-odds"
    told = texts(elements)
    assert "speaks against it −3.00" in told
    assert "+3.00 speaks for it" in told
    assert "&lt;i&gt;my&lt;/i&gt; package" in told
    assert "0.88" in told


@pytest.mark.parametrize(
    ("language", "word"), [("en", "once the extra “explain” is installed"), ("zh", "安装附加包")]
)
def test_without_the_extra_it_says_what_to_install_and_shows_near_rows(
    running: TestClient, language: Language, word: str
) -> None:
    told = texts(drawn(running, Reasons("b1", None, NEAR, "extra", "…"), language))
    assert word in told
    assert "pip install 'tailorbird[explain]'" in told
    assert "0.88" in told


def test_another_kind_of_assistant_says_that_it_cannot_be_explained(running: TestClient) -> None:
    told = texts(drawn(running, Reasons("b1", None, problem="model", sentence="…")))
    assert "The words cannot be weighed" in told
    assert "pip" not in told
