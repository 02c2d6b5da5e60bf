"""The loss over a whole vocabulary without ever holding all of its logits.

With 50,000 words the logits of a batch are its largest tensor, and cross-entropy goes over them
six times. Here some rows at a time are multiplied, compared and multiplied back while they are in
the processor's cache; what is kept is the gradient of the states, (U, D) rather than (U, V).

Shape letters: D width, U states before the words that count, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 128
"""States at once. Fewer read the word table too often, more leave the cache (measured with 49,152
words: 64, 128 and 256 take 696, 613 and 677 ms, all rows at once 910)."""

GPU_ROWS = 2048
"""The same on a GPU, whose caches hold no logits anyway: 1.2 GB of them with 150,000 words."""


class _WordNll(torch.autograd.Function):
    """The gradient is found with the loss, as each row's logits are there once only."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        soft_cap: float,
    ) -> Tensor:
        n_states = max(1, len(states))
        total = torch.zeros((), device=states.device)
        gradients: list[Tensor] = []
        n_rows = GPU_ROWS if states.is_cuda else ROWS
        for z, words in zip(states.split(n_rows), targets.split(n_rows), strict=True):
            logits = F.linear(z.to(weight.dtype), weight, bias).float()  # (≤ n_rows, V)
            bounded = soft_cap * torch.tanh(logits / soft_cap) if soft_cap else logits
            log_p = bounded.log_softmax(-1)
            total -= log_p.gather(1, words[:, None]).sum()
            if not ctx.needs_input_grad[0]:
                continue
            slope = log_p.exp_()
            slope.scatter_add_(1, words[:, None], slope.new_full((len(words), 1), -1.0))
            if soft_cap:
                slope *= 1 - (bounded / soft_cap).square_()
            slope /= n_states
            gradients.append((slope.to(weight.dtype) @ weight).to(states.dtype))
        ctx.save_for_backward(torch.cat(gradients) if gradients else torch.zeros_like(states))
        return total / n_states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (of_states,) = ctx.saved_tensors
        return grad * of_states, None, None, None, None


_word_nll: Callable[..., Tensor] = _WordNll.apply


def word_nll(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, soft_cap: float = 0.0
) -> Tensor:
    """Mean ``-log softmax(z Wᵀ + b)[target]`` in nats; 0 where there is no state.

    Args:
        states: (U, D); they alone get a gradient.
        weight: (V, D) frozen words; products run in its type.
        bias: (V,) of that type, or none.
        targets: (U,) the words that came.
        soft_cap: bound of the logits, ``cap · tanh(logits / cap)``; 0: none.

    >>> round(word_nll(torch.ones(1, 2), torch.zeros(4, 2), None, torch.tensor([2])).item(), 4)
    1.3863
    """
    return _word_nll(states, weight, bias, targets, soft_cap)
