"""Answers are those of transformers, whatever else is in the batch; the same seed says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tailorbird.config import MethodSettings
from tailorbird.modeling import adapters
from tailorbird.modeling.causal import load_decoder, load_language_head
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.generation import Sampling, choose, generate
from tailorbird.modeling.heads import LanguageHead
from tailorbird.modeling.packing import pack
from tailorbird.testing import write_tiny_decoder

PROMPTS = [[2, 7, 8, 9], [2], [2, 11, 12, 13, 14, 15, 16, 17, 18]]
ALTERNATING = ["sliding_attention", "full_attention"]
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("mistral", {"sliding_window": 4}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen3", {"head_dim": 12}),
    ("gemma3_text", {"head_dim": 12, "sliding_window": 5, "layer_types": ALTERNATING}),
]


def loaded(folder: Path) -> tuple[PackedDecoder, LanguageHead]:
    decoder = load_decoder(folder)
    assert isinstance(decoder, PackedDecoder)
    return decoder, load_language_head(folder, decoder)


def read_again(decoder: PackedDecoder, head: LanguageHead, prompt: list[int], n: int) -> list[int]:
    """Greedy answers the slow way: the whole text is read for each new token."""
    text = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            text.append(int(head(decoder.eval()(pack([text]))[-1:]).argmax()))
    return text[len(prompt) :]


@pytest.mark.parametrize(("kind", "options"), FAMILIES, ids=str)
def test_greedy_answers_are_those_of_transformers(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_tiny_decoder(tmp_path, kind, **options)
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    answers = generate(*loaded(folder), PROMPTS, max_new_tokens=20)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        whole = theirs.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=-1,
            pad_token_id=0,
        )
        assert answer == whole[0, len(prompt) :].tolist()
    assert len(set(map(tuple, answers))) == 3


def test_an_answer_ends_before_a_stop_token(tmp_path: Path) -> None:
    model = loaded(write_tiny_decoder(tmp_path))
    free = generate(*model, PROMPTS, max_new_tokens=12)
    stop = free[0][4]
    stopped = generate(*model, PROMPTS, max_new_tokens=12, stop={stop})
    for answer, whole in zip(stopped, free, strict=True):
        assert answer == whole[: whole.index(stop) if stop in whole else 12]
    assert len(stopped[0]) <= 4


@pytest.mark.parametrize("name", ["lora", "bottleneck", "prefix", "prompt"])
@pytest.mark.parametrize("n_frozen", [0, 1])
def test_answers_with_something_attached_are_those_of_reading_anew(
    name: str, n_frozen: int, tmp_path: Path
) -> None:
    decoder, head = loaded(
        write_tiny_decoder(tmp_path, "gemma3_text", sliding_window=4, layer_types=ALTERNATING)
    )
    decoder.freeze(n_frozen)
    torch.manual_seed(0)
    attachment = adapters.attach(decoder, MethodSettings(name=name, n_prefix=3))
    with torch.no_grad():
        for tensor in attachment.tensors().values():
            tensor.add_(0.2 * torch.randn_like(tensor))
    answers = generate(decoder, head, PROMPTS, max_new_tokens=9)
    assert answers == [read_again(decoder, head, prompt, 9) for prompt in PROMPTS]


def test_the_same_seed_draws_the_same_answer(tmp_path: Path) -> None:
    model = loaded(write_tiny_decoder(tmp_path))
    one, same, other = (
        generate(*model, PROMPTS, max_new_tokens=15, sampling=Sampling(1.0, 0.9, seed))
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_tokens_outside_the_nucleus_are_never_drawn() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(2000, -1)
    drawn = choose(logits, Sampling(1.0, 0.7), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / 2000
    assert shares[2:].tolist() == [0.0, 0.0]
    assert abs(shares[0].item() - 0.5 / 0.8) < 0.04


def test_a_low_temperature_takes_the_likeliest() -> None:
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    drawn = choose(logits, Sampling(0.001), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, logits.argmax(-1))


def test_the_mode_of_training_is_left_as_it_was(tmp_path: Path) -> None:
    decoder, head = loaded(write_tiny_decoder(tmp_path))
    decoder.dropout = 0.5
    decoder.train()
    first = generate(decoder, head, PROMPTS, max_new_tokens=5)
    assert first == generate(decoder, head, PROMPTS, max_new_tokens=5)
    assert decoder.training
