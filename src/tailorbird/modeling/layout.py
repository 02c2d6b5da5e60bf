"""Where the tokens of a packed batch stand while attention works: texts of like length, padded.

Shape letters: T tokens, B texts of a batch, N texts of a group, L its longest text, S slots of all
groups, the sum of their N * L.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tailorbird.modeling.packing import PackedBatch

SHORTEST = 16
"""Texts are laid out this long at least on a CPU: torch takes the softmax of rows that do not fill
one vector of fp32 number by number, which is ten times slower."""

STEP = 8
"""In bf16 they are laid out in a multiple of it there: sizes come back, and products of a size that
was seen need no new code (`products.filled`)."""

WORTH = 2**17
"""Weights of attention that a group of its own has to save on a CPU: fewer take less time than its
own operations do. From 2^13 to 2^19 a step of tuning takes as long."""


@dataclass(frozen=True, slots=True)
class Group:
    """N texts that are padded to one length."""

    longest: int
    lengths: Tensor  # (N,)
    is_full: bool
    """Whether all of them are as long as that."""

    @property
    def n_slots(self) -> int:
        """N * L."""
        return len(self.lengths) * self.longest

    @property
    def is_padding(self) -> Tensor | None:
        """(N, L) True behind the end of a text; None where none ends early."""
        if self.is_full:
            return None
        return torch.arange(self.longest, device=self.lengths.device) >= self.lengths[:, None]


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of all groups, one group after another."""

    groups: Sequence[Group]
    places: tuple[Tensor, Tensor] | None = None
    """(S,) the token in each slot, after a text its last one again; (T,) the slot of each token.
    None: slots are the tokens."""


def layout_of(batch: PackedBatch, *, n_heads: int, dtype: torch.dtype) -> Layout:
    """How attention of *n_heads* heads in *dtype* reads the texts of *batch*.

    On a GPU they are one group, as a look at their lengths would wait for it.

    >>> from tailorbird.modeling.packing import pack
    >>> layout = layout_of(pack([[5] * 17, [7] * 16]), n_heads=1, dtype=torch.float32)
    >>> [len(part) for part in layout.places]
    [34, 33]
    >>> texts = [[1] * 100, *[[2] * 20] * 64]
    >>> [group.longest for group in layout_of(pack(texts), n_heads=12, dtype=torch.float32).groups]
    [20, 100]
    """
    bounds = [batch.max_length]
    if not batch.lengths.is_cuda:
        step = STEP if dtype == torch.bfloat16 else 1
        longest = _filled(batch.max_length, step)
        bounds = [longest]
        if n_heads * batch.n_texts * longest**2 > WORTH:
            lengths = Counter(_filled(length, step) for length in batch.lengths.tolist())
            bounds = _bounds(sorted(lengths.items()), WORTH / n_heads)
    if len(bounds) == 1:
        return _one_group(batch, bounds[0])
    return _laid_out(batch, bounds)


def _filled(length: int, step: int) -> int:
    return max(SHORTEST, -(-length // step) * step)


def _bounds(counts: Iterable[tuple[int, int]], worth: float) -> list[int]:
    """The lengths of groups, given how many texts there are of each length, shortest first.

    Shorter texts join longer ones until a group of their own would save *worth* weights a head.

    >>> _bounds([(16, 1), (24, 50), (32, 2), (64, 3)], worth=10_000)
    [24, 64]
    """
    bounds: list[int] = []
    n_texts = 0
    for length, n in counts:
        if n_texts and n_texts * (length**2 - bounds[-1] ** 2) >= worth:
            bounds.append(length)
            n_texts = n
        else:
            bounds[-1:] = [length]
            n_texts += n
    return bounds


def _one_group(batch: PackedBatch, longest: int) -> Layout:
    is_full = batch.n_tokens == batch.n_texts * longest
    groups = (Group(longest, batch.lengths, is_full),)
    if is_full:
        return Layout(groups)
    starts = torch.arange(batch.n_texts, device=batch.lengths.device) * longest
    return Layout(groups, (_sources(batch, longest), starts[batch.rows] + batch.positions))


def _laid_out(batch: PackedBatch, bounds: Sequence[int]) -> Layout:
    """Each text in the first group of *bounds* that is long enough for it."""
    which = torch.bucketize(batch.lengths, torch.tensor(bounds))  # (B,)
    starts = torch.empty_like(batch.lengths)
    groups, sources, n_slots = [], [], 0
    for k, longest in enumerate(bounds):
        texts = (which == k).nonzero()[:, 0]  # (N,)
        lengths = batch.lengths[texts]
        group = Group(longest, lengths, bool((lengths == longest).all()))
        starts[texts] = n_slots + torch.arange(len(texts)) * longest
        groups.append(group)
        sources.append(_sources(batch, longest, texts))
        n_slots += group.n_slots
    return Layout(groups, (torch.cat(sources), starts[batch.rows] + batch.positions))


def _sources(batch: PackedBatch, longest: int, texts: Tensor | None = None) -> Tensor:
    """(N * L,) the token in each slot of *texts*, or of all of them."""
    ends = torch.cumsum(batch.lengths, 0)
    starts = ends - batch.lengths
    if texts is not None:
        starts, ends = starts[texts], ends[texts]
    places = torch.arange(longest, device=ends.device)
    return torch.minimum(starts[:, None] + places, ends[:, None] - 1).flatten()
