"""Named stretches of a text: people, products, amounts; tags over words, spans out.

Words are those of `cut_words`, the same for every backbone and language; the head looks at the
first token of each. Shape letters: U words, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.metrics.spans import span_scores
from tailorbird.modeling import TextModel
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.records import Example, Span
from tailorbird.text import cut_words
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.bio import decode, spans_between, tag_words, tags_of
from tailorbird.tuning.tasks.classes import unknown_label
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, label_bits, missing

TAG, EXACT, LOST = range(3)
"""Columns of the targets: the tag; 1 where a span begins that tags can give; the spans that they
cannot give, counted at the last word of their text."""


def labels_of(examples: Sequence[Example]) -> list[str]:
    """The tags of every label that a span has.

    Raises TuningError where no example has a span: then there is nothing to learn.
    """
    found = {span.label for example in examples for span in example.spans}
    if not found and examples:
        raise missing("token_classification", examples[0], "spans, in some rows at least")
    return tags_of(sorted(found))


def words_of(
    model: TextModel, examples: Sequence[Example]
) -> tuple[TokenizedTexts, list[list[tuple[int, int]]]]:
    """The tokens, and where the words that there is a token for begin and end."""
    places = [cut_words(example.text) for example in examples]
    texts = [
        [example.text[a:b] for a, b in of_text]
        for example, of_text in zip(examples, places, strict=True)
    ]
    tokens, found = model.tokenizer.words(texts)
    kept = [[of[k] for k in seen] for of, seen in zip(places, found, strict=True)]
    return tokens, kept


def trimmed(span: Span, text: str) -> Span:
    """The same without spaces at its ends.

    >>> trimmed(Span(2, 7, "city"), "to Rome ")
    Span(start=3, end=7, label='city')
    """
    inside = text[span.start : span.end]
    start = span.end - len(inside.lstrip())
    return Span(start, max(start, span.start + len(inside.rstrip())), span.label)


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """(U, 3) tag, exactness and lost spans; a row without a span is one of ``O`` alone."""
    index_of = {tag: index for index, tag in enumerate(model.labels)}
    tokens, places = words_of(model, examples)
    targets: list[list[int]] = []
    n_homeless = 0  # spans of texts without a word that is seen
    for example, words in zip(examples, places, strict=True):
        for span in example.spans:
            if f"B-{span.label}" not in index_of:
                raise unknown_label(model, example, span.label)
        tagged = tag_words(words, [trimmed(span, example.text) for span in example.spans])
        rows = zip(tagged.tags, tagged.is_exact, strict=True)
        targets += [[index_of[tag], int(is_exact), 0] for tag, is_exact in rows]
        n_homeless += tagged.n_lost
        if words:
            targets[-1][LOST] += n_homeless
            n_homeless = 0
    if targets:
        targets[-1][LOST] += n_homeless
    return EncodedExamples(tokens, torch.tensor(targets, dtype=torch.int64).reshape(-1, 3))


def cross_entropy(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """Mean over words of ``-log p(tag)``."""
    if not len(outputs):
        return outputs.sum()  # 0, with a gradient of 0: texts without words
    return losses.cross_entropy(outputs, truth.targets[:, TAG])


def focal(outputs: Tensor, truth: Truth, settings: LossSettings) -> Tensor:
    """The same, and hardly counts words that are right: most are ``O``."""
    if not len(outputs):
        return outputs.sum()
    return losses.focal(outputs, truth.targets[:, TAG], gamma=settings.focal_gamma)


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """F1, precision and recall of spans: right is one with the same begin, end and label.

    Spans of words that were cut off, or within a word, are counted as missed.
    """
    counts = torch.bincount(truth.rows, minlength=truth.n_rows).tolist()
    decoded = decode(outputs.log_softmax(-1), counts, model.labels)
    true, found = [], []
    for path, of_text in zip(decoded, truth.targets.split(counts), strict=True):
        tags = [model.labels[k] for k in of_text[:, TAG].tolist()]
        is_exact = of_text[:, EXACT].tolist()
        n_lost = int(of_text[:, LOST].sum())
        # A lost span ends before it begins, so that no found one is like it.
        lost = [Span(k + 1, 0, "") for k in range(n_lost)]
        true.append([*(Span(*s) for s in spans_between(tags) if is_exact[s[0]]), *lost])
        found.append([Span(*s) for s in spans_between([model.labels[k] for k in path])])
    of_all = span_scores(true, found)
    return {
        "span_f1": of_all.f1,
        "span_precision": of_all.precision,
        "span_recall": of_all.recall,
    }


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Spans in characters; a span is as probable as the least probable tag of its words."""
    tokens, places = words_of(model, examples)
    probs = model.logits(tokens).softmax(-1)
    counts = [len(words) for words in places]
    decoded = decode(probs.log(), counts, model.labels)
    answers: list[dict[str, Any]] = []
    of_texts = probs.split(counts)
    for example, words, path, p in zip(examples, places, decoded, of_texts, strict=True):
        spans = []
        for first, after, label in spans_between([model.labels[k] for k in path]):
            start, end = words[first][0], words[after - 1][1]
            sure = min(p[k, path[k]].item() for k in range(first, after))
            text = example.text[start:end]
            one = {"start": start, "end": end, "label": label, "text": text, "probability": sure}
            spans.append(one)
        answers.append({"spans": spans})
    return answers


def bits(model: TextModel) -> tuple[float, str]:
    """Each word is one tag of several."""
    bits, _ = label_bits(model)
    return bits, f"{len(model.labels)} tags a word"


TOKEN_CLASSIFICATION = Task(
    "token_classification",
    "named stretches of a text: people, products, amounts",
    {"cross_entropy": cross_entropy, "focal": focal},
    scores,
    encode,
    predict,
    labels_of,
    pooling="picked",
    counts_rows=False,
    bits=bits,
)
