"""Words that are hidden in texts: how an encoder goes on learning a language, or a trade's words.

Of each text 15 % of the tokens are looked at, whole words at a time; of these 80 % become the mask,
10 % another token of the texts, 10 % stay (Devlin et al. 2019, section 3.1; whole words: Cui et al.
2019). A word is a run of letters and digits, or what a dictionary takes for one in Chinese, where
`rjieba` is installed; else one character. Texts are packed as in every task: nothing is padded.

Which words are hidden hangs on the text alone, and on how often it came before: the same rows give
the same batches, and rows that are given twice are seen twice with other words hidden.

Shape letters: T tokens, U tokens that are looked at, V vocabulary.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tailorbird.errors import TuningError
from tailorbird.modeling import TextModel
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.records import Example
from tailorbird.text import cut_words, han_fraction
from tailorbird.tuning.tasks.classes import cross_entropy
from tailorbird.tuning.tasks.dialogue import head_loss, measure, scores
from tailorbird.tuning.tasks.task import EncodedExamples, Task

MASKED_FRACTION = 0.15
"""Of the tokens of a text; at least one."""
HIDDEN, CHANGED = 0.8, 0.1
"""Shares of these that become the mask, and another token; the rest stays."""

Token = tuple[int, int, int]
"""Its id, and where it begins and ends in the text."""


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends; Chinese by a dictionary, where there is one.

    >>> word_places("buy 3 cars")
    [(0, 3), (4, 5), (6, 10)]
    """
    if not han_fraction([text]):
        return cut_words(text)
    try:
        import rjieba
    except ImportError:  # single characters are words as well
        return cut_words(text)
    places, start = [], 0
    for word in rjieba.cut(text):
        end = start + len(word)
        if word.strip():
            places.append((start, end))
        start = end
    return places


def words_of_tokens(tokens: Sequence[Token], text: str) -> list[list[int]]:
    """The tokens of each word, by their place in *tokens*; those of no word are left out.

    A token is of the word that its last character is of: pieces may begin with the space before.

    >>> words_of_tokens([(2, 0, 0), (7, 0, 2), (8, 2, 3), (9, 3, 5), (3, 0, 0)], "buy 3")
    [[1, 2], [3]]
    """
    owner = np.full(len(text) + 1, -1)
    for number, (start, end) in enumerate(word_places(text)):
        owner[start:end] = number
    found: dict[int, list[int]] = {}
    for place, (_, start, end) in enumerate(tokens):
        if end > start and owner[end - 1] >= 0:
            found.setdefault(int(owner[end - 1]), []).append(place)
    return list(found.values())


def chosen(words: Sequence[Sequence[int]], n_tokens: int, rng: np.random.Generator) -> list[int]:
    """The places of about `MASKED_FRACTION` of *n_tokens* tokens, whole words, in order.

    A word that would go beyond it is passed over, unless nothing else was chosen.
    """
    wanted = max(1, round(MASKED_FRACTION * n_tokens))
    places: list[int] = []
    for number in rng.permutation(len(words)):
        if len(places) >= wanted:
            break
        if not places or len(places) + len(words[number]) <= wanted:
            places += words[number]
    return sorted(places)


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Texts with hidden words; targets (U,) are the tokens that stood there.

    Raises TuningError where the tokenizer has no mask.
    """
    mask_id = model.tokenizer.mask_id
    if mask_id is None:
        raise TuningError(
            "the tokenizer has no [MASK] and no <mask>",
            where="the task masked",
            cure="use an encoder that was pretrained with one, as e5 or minilm",
        )
    texts = [example.text for example in examples]
    pieces: list[list[Token]] = model.tokenizer.pieces(texts)
    seen = np.unique([token for tokens in pieces for token, start, end in tokens if end > start])
    times: Counter[str] = Counter()
    ids: list[list[int]] = []
    picked: list[list[bool]] = []
    targets: list[int] = []
    for text, tokens in zip(texts, pieces, strict=True):
        rng = np.random.default_rng([zlib.crc32(text.encode()), times[text]])
        times[text] += 1
        words = words_of_tokens(tokens, text)
        places = chosen(words, sum(map(len, words)), rng)
        row = [token for token, _, _ in tokens]
        targets += [row[place] for place in places]
        for place, draw in zip(places, rng.random(len(places)), strict=True):
            if draw < HIDDEN:
                row[place] = mask_id
            elif draw < HIDDEN + CHANGED:
                row[place] = int(rng.choice(seen))
        ids.append(row)
        is_picked = [False] * len(row)
        for place in places:
            is_picked[place] = True
        picked.append(is_picked)
    tokens_of_all = TokenizedTexts.from_lists(ids, picked=picked)
    return EncodedExamples(tokens_of_all, torch.tensor(targets, dtype=torch.int64))


def prepare(model: TextModel, examples: Sequence[Example]) -> None:
    """Tell a head that the backbone came without how frequent words are."""
    if model.head.is_fresh:
        tokens = model.tokenizer([example.text for example in examples])
        model.head.know_frequencies(tokens.flat)


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """How well the words of each text can be told from the rest of it: mean nll in nats."""
    rows = encode(model, examples)
    counts = rows.tokens.n_units.tolist()
    states = model.features(rows.tokens).split(counts)
    words = rows.targets.split(counts)
    with torch.inference_mode():
        return [
            {"nll": model.head.nll(z.to(model.device), w.to(model.device)).item(), "n_words": n}
            for z, w, n in zip(states, words, counts, strict=True)
        ]


def bits(model: TextModel) -> tuple[float, str]:
    """A hidden word tells much, but what is pretrained should move little."""
    return 1.0, "hidden words, which count as 2 labels: what is pretrained is to move little"


MASKED = Task(
    "masked",
    "words that are hidden in a text: continued pretraining on texts without labels",
    {"cross_entropy": cross_entropy},
    scores,
    encode,
    predict,
    head="masked",
    pooling="picked",
    prepare=prepare,
    bits=bits,
    counts_rows=False,
    starts_from_features=True,
    head_loss=head_loss,
    measure=measure,
)
