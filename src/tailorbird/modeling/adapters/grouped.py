"""Several LoRA adapters on one backbone at once: each text of a batch has its own.

With gradients, or on a GPU, tokens are laid out padded for one product of all adapters. Without, on
a CPU, nothing is padded or copied: adapters with equally many tokens that stand side by side are a
block, and one product each; `arrange` brings them together.

Shape letters: T tokens, B texts, G adapters of a batch, M most tokens of one of them, R rank, N
adapters of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.weights import LoraFactors
from tailorbird.modeling.packing import PackedBatch


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each token stands once the tokens of each adapter are put together, padded to M."""

    n_adapters: int
    sources: Tensor  # (G * M,) a token for each slot; where an adapter has fewer, its last again
    tokens: Tensor | None  # (U,) the tokens that have an adapter; None: all, in their order
    slots: Tensor  # (U,) where each of them stands among the G * M

    @classmethod
    def of(cls, batch: PackedBatch, owners: Tensor, n_adapters: int) -> Layout:
        """*owners* (B,): which adapter each text has, -1 for none.

        >>> from tailorbird.modeling.packing import pack
        >>> layout = Layout.of(pack([[7, 7], [8], [9]]), torch.tensor([1, -1, 0]), 2)
        >>> layout.sources.tolist(), layout.tokens.tolist(), layout.slots.tolist()
        ([3, 3, 0, 1], [0, 1, 3], [2, 3, 0])
        """
        owner = owners.to(batch.rows.device)[batch.rows]  # (T,)
        order = torch.argsort(owner, stable=True)
        order = order[int((owner < 0).sum()) :]  # (U,) tokens, adapter by adapter
        counts = torch.bincount(owner[order], minlength=n_adapters)  # (G,)
        longest = int(counts.max()) if len(order) else 0
        starts = torch.cumsum(counts, 0) - counts
        of_order = owner[order]
        within = torch.arange(len(order), device=order.device) - starts[of_order]
        places = torch.arange(longest, device=order.device)
        last = (starts + counts - 1).clamp(min=0)[:, None]
        picked = torch.minimum(starts[:, None] + places, last).flatten()  # (G * M,)
        slots = torch.empty_like(owner)
        slots[order] = of_order * longest + within
        has = owner >= 0
        tokens = None if bool(has.all()) else has.nonzero()[:, 0]
        return cls(n_adapters, order[picked], tokens, slots if tokens is None else slots[tokens])


@dataclass(frozen=True, slots=True)
class Stack:
    """The factors of G adapters on one linear layer; lower ranks are filled up with zeros."""

    a: Tensor  # (G, R, in)
    b: Tensor  # (G, out, R), times the scale of each

    @classmethod
    def of(cls, factors: Sequence[LoraFactors | None], layer: nn.Linear) -> Stack:
        """Gradients flow through to each factor; None adds nothing."""
        rank = max((len(one.a) for one in factors if one is not None), default=1)
        a, b = [], []
        for one in factors:
            if one is None:
                a.append(layer.weight.new_zeros(rank, layer.in_features))
                b.append(layer.weight.new_zeros(layer.out_features, rank))
            else:
                missing = rank - len(one.a)
                a.append(F.pad(one.a, (0, 0, 0, missing)) if missing else one.a)
                wide = F.pad(one.b, (0, missing)) if missing else one.b
                b.append(wide if one.scale == 1 else wide * one.scale)
        return cls(torch.stack(a), torch.stack(b))


@dataclass(frozen=True, slots=True)
class Block:
    """Adapters whose tokens stand one after another, equally many of each."""

    start: int  # the first token
    n_tokens: int  # of each adapter
    adapters: tuple[int, ...]

    @property
    def end(self) -> int:
        """One past the last token."""
        return self.start + self.n_tokens * len(self.adapters)


def blocks_of(lengths: Sequence[int], owners: Sequence[int]) -> list[Block] | None:
    """The blocks of texts with these *lengths* and *owners*, -1 for none.

    None where the texts of an owner do not all stand side by side.

    >>> blocks_of([3, 1, 2, 4], [0, 1, 1, -1])
    [Block(start=0, n_tokens=3, adapters=(0, 1))]
    >>> blocks_of([3, 1, 2], [0, 1, 0])
    """
    runs: list[list[int]] = []  # (owner, start, tokens)
    start = 0
    for length, owner in zip(lengths, owners, strict=True):
        if runs and runs[-1][0] == owner:
            runs[-1][2] += length
        else:
            runs.append([owner, start, length])
        start += length
    own = [run for run in runs if run[0] >= 0]
    if len({owner for owner, _, _ in own}) < len(own):
        return None
    blocks: list[Block] = []
    for owner, start, n_tokens in own:
        last = blocks[-1] if blocks else None
        if last is not None and last.n_tokens == n_tokens and last.end == start:
            blocks[-1] = Block(last.start, n_tokens, (*last.adapters, owner))
        else:
            blocks.append(Block(start, n_tokens, (owner,)))
    return blocks


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


class GroupedLora(nn.Module):
    """The ``adapter`` of a linear layer while several adapters share a batch."""

    knows_texts = True

    def __init__(self, stack: Stack, layout: Layout) -> None:
        super().__init__()
        self.stack = stack
        self.layout = layout

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The layer's input *x* (T, in) and output *y* (T, out) → (T, out)."""
        stack, layout = self.stack, self.layout
        if not len(layout.slots):
            return y
        some = x[layout.sources].view(layout.n_adapters, -1, x.shape[1])  # (G, M, in)
        low = torch.bmm(some, stack.a.to(x.dtype).transpose(1, 2))  # (G, M, R)
        high = torch.bmm(low, stack.b.to(x.dtype).transpose(1, 2))  # (G, M, out)
        term = high.flatten(0, 1)[layout.slots]  # (U, out)
        return y + term if layout.tokens is None else y.index_add(0, layout.tokens, term)


class BlockedLora(nn.Module):
    """The same block by block, in place; for inference."""

    knows_texts = True

    def __init__(self, factors: Sequence[LoraFactors | None], blocks: Sequence[Block]) -> None:
        super().__init__()
        self.own = factors
        self.blocks = blocks
        kinds = {(0, 0.0) if one is None else (one.a.shape[0], one.scale) for one in factors}
        self.is_uniform = len(kinds) == 1 and all(rank and scale == 1 for rank, scale in kinds)

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """As `GroupedLora.forward`; *y* is changed."""
        with _one_thread():
            if self.is_uniform:
                self._add([self], x, [y])
                return y
            for block in self.blocks:
                own = [self.own[adapter] for adapter in block.adapters]
                if any(own):
                    stack = Stack.of(own, layer)
                    low = torch.bmm(_rows(x, block), stack.a.to(x.dtype).transpose(1, 2))
                    _add_to(_rows(y, block), low, stack.b.to(x.dtype))
        return y

    def adds_with(self, others: Sequence[Any]) -> bool:
        """Whether `add_with` may add what *others*, and this, add to layers on the same input."""
        alike = all(isinstance(one, BlockedLora) and one.blocks is self.blocks for one in others)
        return alike and len({one.rank for one in others}) == 1 and self.rank > 0

    def add_with(self, others: Sequence[BlockedLora], x: Tensor, parts: Sequence[Tensor]) -> None:
        """Add to *parts* (T, out) what each of *others* adds: a third of the products with *x*."""
        with _one_thread():
            self._add(others, x, parts)

    @property
    def rank(self) -> int:
        """R of all adapters; 0 where they differ."""
        return self.own[0].a.shape[0] if self.is_uniform and self.own[0] is not None else 0

    def _add(self, others: Sequence[BlockedLora], x: Tensor, parts: Sequence[Tensor]) -> None:
        for block in self.blocks:
            # Stacked here, not all at once: what was copied is still in the cache for the product.
            own: list[Any] = [one.own[adapter] for adapter in block.adapters for one in others]
            a = torch.stack([one.a for one in own]).to(x.dtype)  # (N * L, R, in), L layers
            b = [torch.stack([one.b for one in own[k :: len(others)]]) for k in range(len(others))]
            n_adapters = len(block.adapters)
            wide = a.view(n_adapters, -1, a.shape[2])  # (N, L * R, in)
            low = torch.bmm(_rows(x, block), wide.transpose(1, 2))  # (N, M, L * R)
            for part, one_low, one_b in zip(parts, low.chunk(len(others), 2), b, strict=True):
                _add_to(_rows(part, block), one_low, one_b.to(x.dtype))


def _rows(x: Tensor, block: Block) -> Tensor:
    """(N, M, D) the rows of a block, adapter by adapter."""
    rows: Tensor = x[block.start : block.end].unflatten(0, (len(block.adapters), block.n_tokens))
    return rows


def _add_to(part: Tensor, low: Tensor, b: Tensor) -> None:
    """Add ``low bᵀ`` to *part* (N, M, out) in its place."""
    if part.is_contiguous():
        part.baddbmm_(low, b.transpose(1, 2))
    else:  # columns of a wider product, into which torch would go adapter by adapter
        part += torch.bmm(low, b.transpose(1, 2))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Products so small take longer where threads have to be woken for each."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


class LoraGroup:
    """Puts adapters on a backbone for the time of a forward pass, as many as a batch has.

    Each text is computed as with its own adapter alone: nothing of its neighbours reaches it. The
    backbone must have no adapter of its own.

    >>> # with group.using(adapters, batch, owners): states = backbone(batch)
    """

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone

    @contextmanager
    def using(
        self,
        adapters: Sequence[Mapping[str, LoraFactors]],
        batch: PackedBatch,
        owners: Tensor,
    ) -> Iterator[None]:
        """Within the block, ``backbone(batch)`` gives each text the adapter of its owner.

        Args:
            adapters: factors by the name of the linear layer, as `AdapterWeights.lora`.
            batch: what is going to be computed.
            owners: (B,) which of *adapters* each text has; -1 for none.

        Raises ConfigError where a layer is to be recomputed in the backward pass, or has an
        adapter already.
        """
        if self.backbone.recompute:
            raise ConfigError(
                "adapters of several owners cannot share a batch with tuning.recompute",
                cure="set tuning.recompute=false",
            )
        places = dict.fromkeys(name for one in adapters for name in one)
        blocks = None
        if not torch.is_grad_enabled() and batch.rows.device.type == "cpu":
            blocks = blocks_of(batch.lengths.tolist(), owners.tolist())
        modules: dict[str, nn.Module] = {}
        layout = Layout.of(batch, owners, len(adapters)) if blocks is None else None
        for place in places:
            factors = [one.get(place) for one in adapters]
            if blocks is not None:
                modules[place] = BlockedLora(factors, blocks)
            elif layout is not None:
                stack = Stack.of(factors, self.backbone.get_submodule(place))
                modules[place] = GroupedLora(stack, layout)
        with self._attached(modules):
            yield

    @contextmanager
    def _attached(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        layers: dict[str, Any] = {place: self.backbone.get_submodule(place) for place in modules}
        for place, layer in layers.items():
            if getattr(layer, "adapter", None) is not None:
                raise ConfigError(f"{place} has an adapter of its own", cure="detach it first")
        try:
            for place, layer in layers.items():
                layer.adapter = modules[place]
            yield
        finally:
            for layer in layers.values():
                layer.adapter = None
