"""BIO tags over the words of a text, and the spans they stand for.

A span of three words is ``B-x I-x I-x``; other words are ``O`` (Ramshaw and Marcus 1995, in the
form of Tjong Kim Sang and Veenstra 1999, where each span begins with B). Legal is an I only after a
B or an I of its own label. Shape letters: N texts, L words of the longest, U words, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tailorbird.records import Span

CHUNK = 512
"""Texts decoded at once."""


@dataclass(frozen=True, slots=True)
class TaggedWords:
    """What is true of the words of a text that a model sees, U of them."""

    tags: tuple[str, ...]
    is_exact: tuple[bool, ...]
    """For the first word of a span: whether the span begins and ends where words do."""
    n_lost: int
    """Spans that no tags can give: cut off, within a word, or across another span."""


def tags_of(labels: Sequence[str]) -> list[str]:
    """Every tag of the labels of spans.

    >>> tags_of(["city"])
    ['O', 'B-city', 'I-city']
    """
    return ["O", *(f"{place}-{label}" for label in sorted(labels) for place in "BI")]


def tag_words(words: Sequence[tuple[int, int]], spans: Sequence[Span]) -> TaggedWords:
    """Tags of words at these places; a word that a span touches is of it.

    Of spans that share a word the first, and of those that begin together the longest, is tagged.

    >>> tag_words([(0, 2), (3, 5)], [Span(0, 5, "x"), Span(3, 5, "y"), Span(9, 12, "x")])
    TaggedWords(tags=('B-x', 'I-x'), is_exact=(True, False), n_lost=2)
    """
    tags, is_exact = ["O"] * len(words), [False] * len(words)
    n_right = 0
    for span in sorted(spans, key=lambda one: (one.start, -one.end, one.label)):
        at = [k for k, (start, end) in enumerate(words) if start < span.end and end > span.start]
        if not at or any(tags[k] != "O" for k in at):
            continue
        for k in at:
            tags[k] = f"I-{span.label}"
        tags[at[0]] = f"B-{span.label}"
        is_exact[at[0]] = (words[at[0]][0], words[at[-1]][1]) == (span.start, span.end)
        n_right += is_exact[at[0]]
    return TaggedWords(tuple(tags), tuple(is_exact), len(spans) - n_right)


def spans_between(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """(first word, one past the last, label) of each span of legal tags.

    >>> spans_between(["B-x", "I-x", "O", "B-x", "B-y"])
    [(0, 2, 'x'), (3, 4, 'x'), (4, 5, 'y')]
    """
    found: list[tuple[int, int, str]] = []
    for k, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((k, k + 1, tag[2:]))
        elif tag.startswith("I-"):
            first, _, label = found[-1]
            found[-1] = (first, k + 1, label)
    return found


def decode(log_p: Tensor, counts: Sequence[int], tags: Sequence[str]) -> list[list[int]]:
    """For each text the likeliest tags that are legal, as indices.

    The words' probabilities are independent; what is illegal is left out, exactly, by dynamic
    programming. Source: Viterbi 1967; as decoding of tags, Jurafsky and Martin, section 17.4.

    Args:
        log_p: (U, C) of the words of all texts, one after another.
        counts: how many words each of the N texts has.
        tags: the C tags.

    >>> log_p = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]).log()
    >>> decode(log_p, [2], ["O", "B-x", "I-x"])  # O I-x (0.30) is illegal; B-x I-x has 0.18
    [[1, 2]]
    """
    may_begin = torch.tensor([not tag.startswith("I-") for tag in tags])
    may_follow = torch.tensor(
        [
            [start or b[2:] == a[2:] != "" for b, start in zip(tags, may_begin, strict=True)]
            for a in tags
        ]
    )  # (C before, C after)
    never = torch.tensor(float("-inf"))
    found: list[list[int]] = []
    texts = log_p.split(list(counts))
    for begin in range(0, len(texts), CHUNK):
        some = texts[begin : begin + CHUNK]
        lengths = [len(text) for text in some]
        # (N, L, C); beyond the end of a text all tags are equal, so that nothing changes there
        padded = torch.nn.utils.rnn.pad_sequence(list(some), batch_first=True)
        best = torch.where(may_begin, padded[:, 0], never) if padded.shape[1] else padded.sum(1)
        back: list[Tensor] = []
        for k in range(1, padded.shape[1]):
            before, which = torch.where(may_follow, best[:, :, None], never).max(1)  # (N, C)
            best = before + padded[:, k]
            back.append(which)
        found += [_path(best[n], [w[n] for w in back], length) for n, length in enumerate(lengths)]
    return found


def _path(best: Tensor, back: Sequence[Tensor], length: int) -> list[int]:
    """Follow the pointers from the end; the first *length* tags are the text's."""
    if not length:
        return []
    tag = int(best.argmax())
    path = [tag]
    for which in reversed(back):
        tag = int(which[tag])
        path.append(tag)
    return path[::-1][:length]
