"""Several LoRA adapters on one backbone at once: each text of a batch has its own.

With gradients, or on a GPU, tokens are laid out padded for one product of all adapters. Without, on
a CPU, no token is padded or copied: see `segmented`.

Shape letters: T tokens, B texts, G adapters of a batch, M most tokens of one of them, R rank.
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
from tailorbird.modeling.adapters.segmented import SegmentedLora, share_out
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
            missing = rank - (len(one.a) if one else 0)
            own_a = one.a if one else layer.weight.new_zeros(0, layer.in_features)
            own_b = one.scale * one.b if one else layer.weight.new_zeros(layer.out_features, 0)
            a.append(F.pad(own_a, (0, 0, 0, missing)))
            b.append(F.pad(own_b, (0, missing)))
        return cls(torch.stack(a), torch.stack(b))


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
        shares = None
        if not torch.is_grad_enabled() and batch.rows.device.type == "cpu":
            n_threads = torch.get_num_threads()
            shares = share_out(batch.lengths.tolist(), owners.tolist(), n_threads)
        modules: dict[str, nn.Module] = {}
        layout = Layout.of(batch, owners, len(adapters)) if shares is None else None
        for place in places:
            factors = [one.get(place) for one in adapters]
            layer = self.backbone.get_submodule(place)
            if shares is not None:
                modules[place] = SegmentedLora(factors, shares)
            elif layout is not None:
                modules[place] = GroupedLora(Stack.of(factors, layer), layout)
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
