"""Several LoRA adapters on one linear layer of a CPU, for inference: nothing of a text is copied.

Adapters with equally many tokens that stand side by side are a block, and one product each;
`arrange` brings them together. Blocks are shared out to threads.

Shape letters: T tokens, R rank, N adapters of a block, M tokens of each of them, L layers that have
the same input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, chain, groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.modeling.adapters.weights import LoraFactors
from tailorbird.modeling.threads import in_threads

_COPYING = 4
"""Tokens whose products take as long as bringing one adapter beside its neighbours."""
_LEAST = 128
"""Tokens that are worth another thread."""


@dataclass(frozen=True, slots=True)
class Block:
    """Adapters whose tokens stand one after another, equally many of each."""

    start: int  # the first token
    n_tokens: int  # of each adapter
    first: int  # adapter, as they are ordered
    n_adapters: int

    @property
    def adapters(self) -> slice:
        """Which of all, as they are ordered."""
        return slice(self.first, self.first + self.n_adapters)

    def rows(self, x: Tensor) -> Tensor:
        """(T, D) → (N, M, D): its rows of *x*, adapter by adapter."""
        end = self.start + self.n_adapters * self.n_tokens
        return x[self.start : end].view(self.n_adapters, self.n_tokens, x.shape[1])


@dataclass(frozen=True, slots=True)
class Shares:
    """How the adapters of a batch are shared out to threads."""

    order: list[int]  # of the adapters, as their tokens stand
    blocks: list[list[Block]]  # of each thread

    @classmethod
    def of(cls, lengths: Sequence[int], owners: Sequence[int], n_threads: int) -> Shares | None:
        """For texts with these *lengths* and *owners*, -1 for none: *n_threads* with equal work.

        Fewer where there is little to do. None where the texts of an owner do not all stand side
        by side.

        >>> shares = Shares.of([3, 1, 2, 4], [1, 0, 0, -1], 2)
        >>> shares.order, shares.blocks
        ([1, 0], [[Block(start=0, n_tokens=3, first=0, n_adapters=2)]])
        >>> [blocks[0].start for blocks in Shares.of([200, 100, 100], [0, 1, 2], 2).blocks]
        [0, 200]
        >>> Shares.of([3, 1, 2], [0, 1, 0], 1)
        """
        starts = [0, *accumulate(lengths)]
        runs = [list(run) for _, run in groupby(range(len(owners)), owners.__getitem__)]
        runs = [run for run in runs if owners[run[0]] >= 0]  # texts of an adapter
        order = [owners[run[0]] for run in runs]
        if len(set(order)) < len(order):
            return None
        work = sum(starts[run[-1] + 1] - starts[run[0]] + _COPYING for run in runs)
        n_shares = max(1, min(n_threads, work // _LEAST))
        blocks: list[list[Block]] = [[] for _ in range(n_shares)]
        done, end = 0, -1
        for number, run in enumerate(runs):
            start, n_tokens = starts[run[0]], starts[run[-1] + 1] - starts[run[0]]
            cost = n_tokens + _COPYING
            share = blocks[n_shares * (2 * done + cost) // (2 * work)]  # by its middle
            last = share[-1] if share else None
            if last is not None and last.n_tokens == n_tokens and end == start:
                share[-1] = replace(last, n_adapters=last.n_adapters + 1)
            else:
                share.append(Block(start, n_tokens, number, 1))
            done, end = done + cost, start + n_tokens
        return cls(order, blocks)


def arrange(lengths: Sequence[int], owners: Sequence[int]) -> list[int]:
    """An order of texts that makes few blocks: by owner, owners by their tokens, no owner last.

    >>> arrange([3, 5, 2, 4], [0, -1, 1, 1])
    [0, 2, 3, 1]
    """
    n_tokens: dict[int, int] = {}
    for length, owner in zip(lengths, owners, strict=True):
        n_tokens[owner] = n_tokens.get(owner, 0) + length
    return sorted(
        range(len(owners)),
        key=lambda text: (owners[text] < 0, n_tokens[owners[text]], owners[text]),
    )


def evened(factors: Sequence[LoraFactors | None], layer: nn.Linear) -> list[LoraFactors]:
    """*factors* on *layer* of one rank, filled up with zeros, and scale 1; None adds nothing."""
    rank = max((one.rank for one in factors if one is not None), default=1)
    weight = layer.weight
    none = LoraFactors(
        weight.new_zeros(rank, weight.size(1)), weight.new_zeros(weight.size(0), rank), 1.0
    )
    return [none if one is None else _filled(one, rank) for one in factors]


def _filled(one: LoraFactors, rank: int) -> LoraFactors:
    missing = rank - one.rank
    if one.scale == 1 and not missing:
        return one
    b = F.pad(one.b * one.scale, (0, missing))
    return LoraFactors(F.pad(one.a, (0, 0, 0, missing)), b, 1.0)


class BlockedLora(nn.Module):
    """The ``adapter`` of a linear layer while several adapters share a batch; it adds in place.

    *factors* are `evened`.
    """

    knows_texts = True

    def __init__(self, factors: Sequence[LoraFactors], shares: Shares) -> None:
        super().__init__()
        self.shares = shares
        self.a = [factors[adapter].a for adapter in shares.order]
        self.b = [factors[adapter].b for adapter in shares.order]

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The layer's input *x* (T, in) and output *y* (T, out) → *y*, which is changed."""
        self.add_with([self], x, [y])
        return y

    def adds_with(self, others: Sequence[Any]) -> bool:
        """Whether `add_with` may add what *others*, and this, add to layers on the same input."""
        alike = all(isinstance(one, BlockedLora) and one.shares is self.shares for one in others)
        return alike and len({len(one.a[0]) for one in others if one.a}) == 1

    def add_with(self, others: Sequence[BlockedLora], x: Tensor, parts: Sequence[Tensor]) -> None:
        """Add to *parts* (T, out) what each of *others* adds: they read *x* (T, in) once."""
        in_threads(partial(_add, others, x, parts), self.shares.blocks)


def _add(
    layers: Sequence[BlockedLora], x: Tensor, parts: Sequence[Tensor], blocks: Sequence[Block]
) -> None:
    for block in blocks:
        n_adapters = block.n_adapters
        # Copied here, not for all blocks at once: so they are still in the cache for the product.
        own = zip(*(layer.a[block.adapters] for layer in layers), strict=True)
        a = torch.cat(list(chain.from_iterable(own))).to(x.dtype)
        low = torch.bmm(block.rows(x), a.view(n_adapters, -1, x.shape[1]).mT)  # (N, M, L * R)
        for layer, part, its_low in zip(layers, parts, low.chunk(len(layers), 2), strict=True):
            b = torch.cat(layer.b[block.adapters]).to(x.dtype).view(n_adapters, part.shape[1], -1)
            _add_product(block.rows(part), its_low, b.mT)


def _add_product(y: Tensor, low: Tensor, high: Tensor) -> None:
    """Add (N, M, R) times (N, R, out) to *y* (N, M, out) in its place."""
    if y.is_contiguous():
        y.baddbmm_(low, high)
    else:  # columns of a wider product, into which torch would go adapter by adapter
        y += torch.bmm(low, high)
