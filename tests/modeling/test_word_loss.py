"""The loss over a vocabulary, some rows at a time, is the loss of all logits at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.causal import load_decoder, load_language_head
from tailorbird.modeling.packing import pack
from tailorbird.modeling.word_loss import ROWS, word_nll
from tailorbird.testing import write_tiny_decoder


def of_all(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, cap: float
) -> Tensor:
    logits = F.linear(states.to(weight.dtype), weight, bias).float()
    bounded = cap * torch.tanh(logits / cap) if cap else logits
    return F.cross_entropy(bounded, targets)


@pytest.mark.parametrize("n_states", [1, ROWS, 2 * ROWS + 3])
@pytest.mark.parametrize("cap", [0.0, 2.0])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_those_of_all_logits_at_once(
    n_states: int, cap: float, has_bias: bool, dtype: torch.dtype
) -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(50, 8, generator=draw).to(dtype)
    bias = torch.randn(50, generator=draw).to(dtype) if has_bias else None
    states = torch.randn(n_states, 8, generator=draw).requires_grad_()
    targets = torch.randint(50, (n_states,), generator=draw)
    found = []
    for way in (word_nll, of_all):
        loss = 0.5 * way(states, weight, bias, targets, cap)
        found.append((loss.detach(), *torch.autograd.grad(loss, states)))
    (loss, gradient), (expected, of_states) = found
    assert abs(loss - expected) < 1e-6 * abs(expected)
    tolerance = 1e-6 if dtype == torch.float32 else 5e-3
    assert (gradient - of_states).norm() < tolerance * of_states.norm()


def test_no_state_has_no_loss_and_no_gradient() -> None:
    states = torch.zeros(0, 8, requires_grad=True)
    loss = word_nll(states, torch.ones(5, 8), None, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert states.grad is not None
    assert states.grad.shape == (0, 8)


@pytest.mark.parametrize("are_tuned", [True, False])
def test_a_head_gives_its_words_a_gradient_where_they_are_tuned(
    are_tuned: bool, tmp_path: Path
) -> None:
    folder = write_tiny_decoder(tmp_path, tie_word_embeddings=True)
    decoder = load_decoder(folder)
    head = load_language_head(folder, decoder)
    decoder.words.requires_grad_(are_tuned)
    states = decoder(pack([[2, 7, 8, 9, 3]]))
    targets = torch.tensor([7, 8, 9, 3, 2])
    loss = head.nll(states, targets)
    assert torch.allclose(loss, F.cross_entropy(head(states), targets), atol=1e-6)
    loss.backward()
    assert (decoder.words.weight.grad is not None) is are_tuned
