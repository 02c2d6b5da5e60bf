"""Writing on: one token after the other, with keys and values of what was read kept by layer.

Shape letters: B texts, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.heads import LanguageHead
from tailorbird.modeling.key_values import KeyValues
from tailorbird.modeling.packing import PackedBatch, pack


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen."""

    temperature: float = 0.0
    """0 takes the likeliest; above, logits are divided by it: the higher, the more varied."""
    top_p: float = 1.0
    """Only the fewest tokens whose probabilities reach this sum are drawn from."""
    seed: int = 0


GREEDY = Sampling()


def generate(
    backbone: PackedDecoder,
    head: LanguageHead,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling = GREEDY,
) -> list[list[int]]:
    """The tokens that follow each prompt, in evaluation mode.

    All prompts are read at once, packed; then each step computes one token a text, which sees the
    keys and values that were kept. A text is done at its first token of *stop*, which is not part
    of the answer, or at *max_new_tokens*.

    Args:
        backbone: with whatever is attached to it.
        head: of the same model.
        prompts: token ids, at least one each.
        max_new_tokens: the longest answer.
        stop: ids that end an answer, as of the end of a turn.
        sampling: how a token is chosen; the same seed and prompts give the same answers.

    Returns: B lists of token ids.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    open_texts = set(range(len(prompts)))
    with closing(_steps(backbone, head, prompts, max_new_tokens, sampling)) as steps:
        for chosen in steps:
            for text, token in enumerate(chosen):
                if text in open_texts and token not in stop:
                    answers[text].append(token)
                else:
                    open_texts.discard(text)
            if not open_texts:
                break
    return answers


def stream(
    backbone: PackedDecoder,
    head: LanguageHead,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling = GREEDY,
) -> Generator[int]:
    """The tokens of `generate` for one prompt, each as soon as it is chosen.

    Whoever closes it ends the writing; the backbone is in evaluation mode until then.
    """
    with closing(_steps(backbone, head, [prompt], max_new_tokens, sampling)) as steps:
        for (token,) in steps:
            if token in stop:
                return
            yield token


@torch.inference_mode()
def _steps(
    backbone: PackedDecoder,
    head: LanguageHead,
    prompts: Sequence[Sequence[int]],
    n_new: int,
    sampling: Sampling,
) -> Generator[list[int]]:
    """The next token of every text, *n_new* times; ended ones are written on as well."""
    device = backbone.words.weight.device
    draw = torch.Generator(device).manual_seed(sampling.seed)
    was_training = backbone.training
    backbone.eval()
    try:
        batch = pack([list(prompt) for prompt in prompts]).to(device)
        kept = _caches(backbone, batch, n_new)
        for _ in range(n_new):
            states = backbone(batch, kept)  # (T, D), from the second step on (B, D)
            last = torch.cumsum(batch.lengths, 0) - 1
            chosen = choose(head(states[last]), sampling, draw)  # (B,)
            yield chosen.tolist()
            batch = _next(batch, chosen, batch.positions[last] + 1)
    finally:
        backbone.train(was_training)


def choose(logits: Tensor, sampling: Sampling, draw: torch.Generator) -> Tensor:
    """(B, V) → (B,) the next token of each text.

    Source: Holtzman et al. 2020 (nucleus sampling), section 3.1.

    >>> logits = torch.tensor([[0.0, 3.0, 1.0]])
    >>> choose(logits, Sampling(), torch.Generator()).tolist()
    [1]
    >>> narrow = Sampling(temperature=1.0, top_p=0.8)  # the likeliest has 0.84 alone
    >>> [choose(logits, narrow, torch.Generator().manual_seed(s)).item() for s in range(4)]
    [1, 1, 1, 1]
    """
    if sampling.temperature <= 0:
        return logits.argmax(-1)
    probs = (logits / sampling.temperature).softmax(-1)
    ranked, order = probs.sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked  # what likelier tokens have; the likeliest always stays
    ranked = ranked.masked_fill(before >= sampling.top_p, 0.0)
    place = torch.multinomial(ranked, 1, generator=draw)
    return order.gather(-1, place)[:, 0]


def _caches(backbone: PackedDecoder, batch: PackedBatch, n_new: int) -> list[KeyValues]:
    """An empty `KeyValues` of each layer, with room for prompt rows, texts and answers."""
    rows = getattr(backbone.prompt, "n_rows", 0)
    capacity = rows + batch.max_length + n_new
    return [KeyValues(batch.n_texts, capacity) for _ in range(backbone.n_layers)]


def _next(batch: PackedBatch, tokens: Tensor, positions: Tensor) -> PackedBatch:
    """One token a text, each at its position."""
    texts = torch.arange(batch.n_texts, device=tokens.device)
    ones = torch.ones_like(texts)
    return replace(
        batch, token_ids=tokens, positions=positions, rows=texts, lengths=ones, max_length=1
    )
