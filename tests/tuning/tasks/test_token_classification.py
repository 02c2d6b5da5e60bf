"""Spans to tags and back: words of any language, legal paths, what was cut off is missed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.config import LossSettings
from tailorbird.modeling import TextModel
from tailorbird.records import Example, Span
from tailorbird.text import cut_words
from tailorbird.tuning.tasks import TASKS
from tailorbird.tuning.tasks.bio import decode, spans_between, tag_words, tags_of
from tailorbird.tuning.tasks.task import Truth

ModelOf = Callable[..., TextModel]
TAGS = tags_of(["x", "y"])
TASK = TASKS["token_classification"]
ROWS = [Example("where is my parcel", spans=(Span(12, 18, "thing"),)), Example("hello")]


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in cut_words(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("退款100元", ["退", "款", "100", "元"]),
        ("it's at 10:30!", ["it", "'", "s", "at", "10", ":", "30", "!"]),
        ("a_b  Müller\n", ["a", "_", "b", "Müller"]),
        ("cafe\u0301 ok", ["cafe\u0301", "ok"]),
        ("カタ한국 ok", ["カ", "タ", "한국", "ok"]),
        ("👍🏽", ["👍", "🏽"]),
        ("  ", []),
    ],
)
def test_words_are_runs_of_letters_and_single_signs(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


@given(st.text(max_size=40))
def test_words_cover_everything_but_spaces_in_order(text: str) -> None:
    places = cut_words(text)
    assert all(a < b for a, b in places)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))
    assert "".join(words(text)) == "".join(char for char in text if not char.isspace())


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["x", "y", ""])), max_size=6))
def test_spans_come_back_from_their_tags(runs: list[tuple[int, str]]) -> None:
    places, spans, at = [], [], 0
    for length, label in runs:
        first = at
        for _ in range(length):
            places.append((at, at + 2))
            at += 3
        if label:
            spans.append(Span(first, at - 1, label))
    tagged = tag_words(places, spans)
    found = spans_between(tagged.tags)
    assert [Span(places[a][0], places[b - 1][1], label) for a, b, label in found] == spans
    assert tagged.n_lost == 0


def is_legal(path: tuple[int, ...]) -> bool:
    before = "O"
    for k in path:
        if TAGS[k].startswith("I-") and before[2:] != TAGS[k][2:]:
            return False
        before = TAGS[k]
    return True


def test_decoding_gives_the_likeliest_of_all_legal_paths() -> None:
    torch.manual_seed(0)
    counts = [3, 0, 1, 4]
    log_p = torch.randn(sum(counts), len(TAGS)).log_softmax(-1)
    found = decode(log_p, counts, TAGS)
    assert list(map(len, found)) == counts
    for path, p in zip(found, log_p.split(counts), strict=True):
        sums = {
            one: sum(p[k, tag].item() for k, tag in enumerate(one))
            for one in itertools.product(range(len(TAGS)), repeat=len(p))
            if is_legal(one)
        }
        assert tuple(path) == max(sums, key=sums.__getitem__)


def outputs_of(truth: Truth) -> torch.Tensor:
    """What a model that knows the tags gives out."""
    return 20 * torch.nn.functional.one_hot(truth.targets[:, 0], 3).float()


def test_spans_of_words_that_were_cut_off_are_missed(model_of: ModelOf) -> None:
    model = model_of("token_classification", ROWS, max_tokens=10)
    for text, recall in (("parcel", 1.0), ("where is my parcel", 0.0)):
        at = text.index("parcel")
        rows = TASK.encode(model, [Example(text, spans=(Span(at, at + 6, "thing"),))])
        truth = rows.truth([0])
        assert TASK.scores(outputs_of(truth), truth, model)["span_recall"] == recall


def test_a_span_within_a_word_cannot_be_right(model_of: ModelOf) -> None:
    model = model_of("token_classification", ROWS)
    rows = TASK.encode(model, [Example("parcels", spans=(Span(0, 6, "thing"),)), ROWS[0]])
    truth = rows.truth([0, 1])
    scores = TASK.scores(outputs_of(truth), truth, model)
    assert scores == {"span_f1": 0.5, "span_precision": 0.5, "span_recall": 0.5}


def test_a_text_without_words_has_no_spans_and_no_say(model_of: ModelOf) -> None:
    model = model_of("token_classification", ROWS)
    rows = TASK.encode(model, [Example(" "), ROWS[0]])
    assert rows.units.tolist() == [0, 0, 4]
    loss = TASK.loss("auto")(model(rows.batch([0])), rows.truth([0]), LossSettings())
    assert loss.item() == 0.0
    said = TASK.predict(model, [Example(" "), ROWS[0]])
    assert said[0] == {"spans": []}
    assert all(ROWS[0].text[s["start"] : s["end"]] == s["text"] for s in said[1]["spans"])
