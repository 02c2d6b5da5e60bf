"""Which words speak for an intent, and which against it: integrated gradients over one text.

Shape letters: S steps of the path, T tokens, D width, C classes.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tailorbird.errors import ConfigError, missing_extra
from tailorbird.modeling import TextModel
from tailorbird.modeling.packing import pack
from tailorbird.text import cut_words, shorten

N_STEPS = 32
MAX_TOKENS_AT_ONCE = 4096
NOTHING = ("[MASK]", "<mask>", "[PAD]", "<pad>")
"""What stands for a word that is not there, the first that the tokenizer has."""


@dataclass(frozen=True, slots=True)
class WordWeight:
    """A word, and what it adds to the log-odds of the label."""

    text: str
    start: int
    """Of its first character in the text."""
    end: int
    weight: float
    """In nats; above 0 it speaks for the label."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a text has its label: what its words add up to."""

    text: str
    label: str
    probability: float
    """Of *label*, calibrated where a temperature was given."""
    words: tuple[WordWeight, ...]
    """In the order of the text."""
    rest: float
    """What marks of the tokenizer add, that are no words of the text."""
    total: float
    """Log-odds of the text less those of as many empty words; the sum of all the weights."""
    gap: float
    """By how much the sum misses *total*: small, or the path had too few steps."""

    def top(self, k: int) -> list[WordWeight]:
        """The *k* words that speak most for the label, the first one most."""
        return sorted(self.words, key=lambda word: -word.weight)[:k]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


def explain(
    model: TextModel,
    text: str,
    *,
    label: str = "",
    temperature: float = 1.0,
    n_steps: int = N_STEPS,
) -> Explanation:
    """Share the log-odds of a label out among the words of a text.

    ``w_t = Σ_d (x_td - x'_td) ∫ ∂f(x' + α (x - x')) / ∂x_td dα`` over α from 0 to 1, with x the
    embeddings of the text, x' those of a text of empty words of the same length, and f the
    log-odds ``z_label - log Σ_other exp z``. The weights sum to ``f(x) - f(x')``; pieces of a
    word are added up, and Chinese characters that the tokenizer takes together stay together.

    Args:
        model: a packed encoder that gives a text one label.
        text: what is explained.
        label: empty: the most likely one.
        temperature: logits are divided by it, as where the model is served.
        n_steps: points of the path (Gauss-Legendre).

    Raises ConfigError for another kind of model or an unknown label, MissingExtraError without
    captum.

    Source: Sundararajan et al. 2017, section 3.
    """
    _check(model, label)
    ids, spans = _tokens(model, text)
    was_training = model.training
    model.eval()
    try:
        logits = model.logits([text])[0] / temperature  # (C,)
        index = model.labels.index(label) if label else int(logits.argmax())
        path = _Path(model, ids, _emptied(model, ids, spans), index, temperature)
        weights, total = path.attribute(n_steps)  # (T,)
    finally:
        model.train(was_training)
    words, rest = _of_words(text, spans, weights.tolist())
    return Explanation(
        text=text,
        label=model.labels[index],
        probability=float(logits.softmax(-1)[index]),
        words=words,
        rest=rest,
        total=total,
        gap=total - float(weights.sum()),
    )


@dataclass(frozen=True, slots=True)
class _Path:
    """The straight line from empty words to a text, and what a model makes of its points."""

    model: TextModel
    ids: list[int]
    """T tokens of the text."""
    empty: list[int]
    """T tokens that say nothing."""
    index: int
    """Of the label."""
    temperature: float

    def attribute(self, n_steps: int) -> tuple[Tensor, float]:
        """(T,) what each token adds to the log-odds, and what they should add up to."""
        try:
            captum: Any = importlib.import_module("captum.attr")
        except ModuleNotFoundError as error:
            raise missing_extra("captum", extra="explain") from error
        with torch.no_grad():
            text, empty = (self._embedded(ids)[None] for ids in (self.ids, self.empty))
            ends = self._log_odds(torch.cat([text, empty]))
        at_once = max(1, MAX_TOKENS_AT_ONCE // len(self.ids))
        with torch.enable_grad():
            found = captum.IntegratedGradients(self._log_odds).attribute(
                text,
                empty,
                n_steps=n_steps,
                internal_batch_size=at_once if at_once < n_steps else None,
            )  # (1, T, D)
        weights: Tensor = found[0].detach().sum(-1)
        return weights, float(ends[0] - ends[1])

    def _log_odds(self, path: Tensor) -> Tensor:
        """(S, T, D) → (S,): how much likelier the label is than all the others together, in nats.

        Positions and attention are those of the text at every point of the path.
        """
        copies = pack([self.ids] * len(path)).to(path.device)
        outputs = self.model(replace(copies, states=path.flatten(0, 1)))
        logits = outputs.float() / self.temperature  # (S, C)
        others = torch.cat([logits[:, : self.index], logits[:, self.index + 1 :]], 1)
        odds: Tensor = logits[:, self.index] - others.logsumexp(1)
        return odds

    def _embedded(self, ids: Sequence[int]) -> Tensor:
        """(T, D) what enters the first layer that is not frozen."""
        backbone: Any = self.model.backbone
        states: Tensor = backbone.trunk(pack([ids]).to(self.model.device))
        return states


@dataclass(frozen=True, slots=True)
class Deletion:
    """What it costs a label when words are taken out of its texts."""

    n_texts: int
    top: float
    """Mean loss of probability where the words with the largest weights go."""
    random: float
    """The same where any words go."""


def deletion_test(
    model: TextModel,
    texts: Sequence[str],
    *,
    n_removed: int = 1,
    n_draws: int = 8,
    seed: int = 0,
) -> Deletion:
    """Whether weights say what matters: the words they name are missed more than others are.

    Texts of no more than *n_removed* words are left out. Source: DeYoung et al. 2020 (ERASER),
    section 4 (comprehensiveness).
    """
    draw = random.Random(seed)
    losses: list[tuple[float, float]] = []
    for text in texts:
        found = explain(model, text)
        if len(found.words) <= n_removed:
            continue
        chosen = [found.top(n_removed)]
        chosen += [draw.sample(found.words, n_removed) for _ in range(n_draws)]
        shorter = [_without(text, words) for words in chosen]
        index = model.labels.index(found.label)
        probs = model.logits([text, *shorter]).softmax(-1)[:, index]
        lost = (probs[0] - probs[1:]).tolist()
        losses.append((lost[0], sum(lost[1:]) / n_draws))
    n_texts = max(1, len(losses))
    return Deletion(
        len(losses),
        sum(top for top, _ in losses) / n_texts,
        sum(any_ for _, any_ in losses) / n_texts,
    )


def _check(model: TextModel, label: str) -> None:
    backbone = getattr(model, "backbone", None)
    if not hasattr(backbone, "trunk") or model.spec.task != "single_label":
        raise ConfigError(
            "only a packed encoder that gives each text one label can be explained",
            where="explain",
            cure="build it with a backbone of the BERT family: minilm, e5",
        )
    if len(model.labels) < 2:
        raise ConfigError("a model of one label has nothing to explain", where="explain")
    if label and label not in model.labels:
        raise ConfigError(
            f"{label!r} is no label of the model",
            where="explain",
            cure=f"known: {shorten(', '.join(model.labels), 200)}",
        )


def _tokens(model: TextModel, text: str) -> tuple[list[int], list[tuple[int, int] | None]]:
    """The T tokens of a text, and the characters each stands for; None: no part of the text."""
    prefix = model.tokenizer.prefix
    encoding = model.tokenizer.tokenizer.encode(prefix + text)
    spans: list[tuple[int, int] | None] = []
    for (start, end), is_mark in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        start, end = start - len(prefix), end - len(prefix)
        spans.append(None if is_mark or end <= 0 else (max(start, 0), end))
    return list(encoding.ids), spans


def _emptied(
    model: TextModel, ids: Sequence[int], spans: Sequence[tuple[int, int] | None]
) -> list[int]:
    """The same tokens with nothing in place of the text."""
    known = (model.tokenizer.tokenizer.token_to_id(token) for token in NOTHING)
    empty = next((token_id for token_id in known if token_id is not None), 0)
    return [token_id if span is None else empty for token_id, span in zip(ids, spans, strict=True)]


def _of_words(
    text: str, spans: Sequence[tuple[int, int] | None], weights: Sequence[float]
) -> tuple[tuple[WordWeight, ...], float]:
    """Weights of tokens as weights of words, and what belongs to none.

    A token that covers several words (Chinese characters are words here) makes one of them.

    >>> words, rest = _of_words("我的包裹", [None, (0, 2), (2, 3), (3, 4)], [0.1, 1.0, 2.0, 3.0])
    >>> [(word.text, word.weight) for word in words], rest
    ([('我的', 1.0), ('包', 2.0), ('裹', 3.0)], 0.1)
    """
    places = cut_words(text)
    starts_anew = [True] * len(places)
    touched: list[range] = []
    for span in spans:
        covered = [
            n for n, (a, b) in enumerate(places) if span is not None and a < span[1] and span[0] < b
        ]
        touched.append(range(covered[0], covered[-1] + 1) if covered else range(0))
        for n in covered[1:]:
            starts_anew[n] = False
    groups: list[tuple[int, int]] = []
    group_of: list[int] = []
    for (a, b), is_new in zip(places, starts_anew, strict=True):
        if is_new:
            groups.append((a, b))
        else:
            groups[-1] = (groups[-1][0], b)
        group_of.append(len(groups) - 1)
    sums, rest = [0.0] * len(groups), 0.0
    for covered_words, weight in zip(touched, weights, strict=True):
        if covered_words:
            sums[group_of[covered_words[0]]] += weight
        else:
            rest += weight
    words = [
        WordWeight(text[a:b], a, b, weight) for (a, b), weight in zip(groups, sums, strict=True)
    ]
    return tuple(words), rest


def _without(text: str, words: Sequence[WordWeight]) -> str:
    for word in sorted(words, key=lambda word: -word.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())
