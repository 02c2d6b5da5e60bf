"""Several LoRA adapters on one linear layer of a CPU, for inference: nothing is copied or padded.

The tokens of an adapter that stand side by side are a segment, which has two products of its own;
`arrange` brings them together. Segments are shared out to threads.

Shape letters: T tokens, R rank, S segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.modeling.adapters.weights import LoraFactors
from tailorbird.modeling.compiled import compiled
from tailorbird.modeling.threads import in_threads

_LEAST = 128
"""Tokens that are worth another thread."""
_READING = 4
"""Tokens whose products take as long as reading one adapter."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens of one adapter."""

    adapter: int
    start: int  # the first token
    n_tokens: int


def share_out(lengths: Sequence[int], owners: Sequence[int], n: int) -> list[list[Segment]]:
    """Segments of texts with these *lengths* and *owners*, -1 for none, in *n* shares of like work.

    Fewer where there is little to do, one at least.

    >>> share_out([3, 1, 2, 4], [1, 0, 0, -1], 2)
    [[Segment(adapter=1, start=0, n_tokens=3), Segment(adapter=0, start=3, n_tokens=3)]]
    >>> [[one.adapter for one in share] for share in share_out([200, 99, 100], [0, 1, 2], 2)]
    [[0], [1, 2]]
    """
    segments, start = [], 0
    for owner, run in groupby(zip(owners, lengths, strict=True), lambda text: text[0]):
        n_tokens = sum(length for _, length in run)
        if owner >= 0:
            segments.append(Segment(owner, start, n_tokens))
        start += n_tokens
    work = sum(one.n_tokens + _READING for one in segments)
    n_shares = max(1, min(n, work // _LEAST))
    shares: list[list[Segment]] = [[] for _ in range(n_shares)]
    done = 0
    for one in segments:
        cost = one.n_tokens + _READING
        shares[n_shares * (2 * done + cost) // (2 * work)].append(one)  # by its middle
        done += cost
    return shares


def arrange(lengths: Sequence[int], owners: Sequence[int]) -> list[int]:
    """An order of texts in which each owner has one segment, short ones first, no owner last.

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


@dataclass(slots=True)
class _Work:
    """What a thread adds to one layer."""

    starts: list[int]  # (S,)
    n_tokens: list[int]  # (S,)
    down: list[Tensor]  # (S,) of (in, R)
    up: list[Tensor]  # (S,) of (R, out)
    scales: list[float]  # (S,)

    @classmethod
    def of(cls, factors: Sequence[LoraFactors | None], share: Sequence[Segment]) -> _Work:
        has = [(one, own) for one in share if (own := factors[one.adapter]) is not None]
        return cls(
            [one.start for one, _ in has],
            [one.n_tokens for one, _ in has],
            [own.down for _, own in has],
            [own.up for _, own in has],
            [own.scale for _, own in has],
        )


class SegmentedLora(nn.Module):
    """The ``adapter`` of a linear layer while several adapters share a batch; it adds in place."""

    knows_texts = True

    def __init__(
        self, factors: Sequence[LoraFactors | None], shares: Sequence[Sequence[Segment]]
    ) -> None:
        super().__init__()
        self.work = [_Work.of(factors, share) for share in shares]

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The layer's input *x* (T, in) and output *y* (T, out) → *y*, which is changed."""
        self.add_with([self], x, [y])
        return y

    def adds_with(self, others: Sequence[Any]) -> bool:
        """Whether `add_with` may add what *others*, and this, add to layers on the same input."""
        return all(isinstance(one, SegmentedLora) for one in others)

    def add_with(self, others: Sequence[SegmentedLora], x: Tensor, parts: Sequence[Tensor]) -> None:
        """Add to *parts* (T, out) what each of *others* adds, all of them reading *x* (T, in)."""

        def add(thread: int) -> None:
            for other, part in zip(others, parts, strict=True):
                own = other.work[thread]
                compiled(_add)(x, part, own.starts, own.n_tokens, own.down, own.up, own.scales)

        in_threads(add, range(len(self.work)))


def _add(
    x: Tensor,
    y: Tensor,
    starts: list[int],
    n_tokens: list[int],
    down: list[Tensor],
    up: list[Tensor],
    scales: list[float],
) -> None:
    """Add to rows of *y* (T, out) what adapters make of those rows of *x* (T, in)."""
    if len(up) > 0 and up[0].dtype != y.dtype:
        down = [one.to(x.dtype) for one in down]
        up = [one.to(y.dtype) for one in up]
    for i in range(len(starts)):
        low = torch.mm(x.narrow(0, starts[i], n_tokens[i]), down[i])
        y.narrow(0, starts[i], n_tokens[i]).addmm_(low, up[i], alpha=scales[i])


def own_linear(
    x: Tensor, runs: Sequence[slice], weights: Sequence[Tensor], biases: Sequence[Tensor]
) -> list[Tensor]:
    """Each of the *runs* of rows of *x* (B, in) through weights (C, in) and a bias (C,) of its own.

    They may differ in C. Stacking weights for one product would copy them all, and cost more.
    """
    n_threads = min(torch.get_num_threads(), len(runs)) if x.device.type == "cpu" else 1

    def of(share: slice) -> list[Tensor]:
        starts, n_rows = zip(
            *((run.start, run.stop - run.start) for run in runs[share]), strict=True
        )
        found: list[Tensor] = compiled(_own_linear)(
            x, starts, n_rows, weights[share], biases[share]
        )
        return found

    cuts = [len(runs) * n // n_threads for n in range(n_threads + 1)]
    shares = [slice(*cut) for cut in pairwise(cuts)]
    return list(chain.from_iterable(in_threads(of, shares)))


def _own_linear(
    x: Tensor,
    starts: list[int],
    n_rows: list[int],
    weights: list[Tensor],
    biases: list[Tensor],
) -> list[Tensor]:
    """See `own_linear`."""
    found: list[Tensor] = []
    for i in range(len(starts)):
        rows = x.narrow(0, starts[i], n_rows[i])
        found.append(torch.addmm(biases[i], rows, weights[i].t()))
    return found
