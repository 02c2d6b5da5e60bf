"""Ragged batches without padding: all tokens of a batch one after another.

Shape letters: N texts, B texts of a batch, T tokens of a batch, L longest text of a batch, U units
of a batch: what a head sees one by one, texts or picked tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailorbird.modeling.states import States


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """B texts as one row of T tokens, with what attention needs to tell them apart."""

    token_ids: Tensor  # (T,) int64
    positions: Tensor  # (T,) int64, from 0 within each text
    rows: Tensor  # (T,) int64, the text each token belongs to
    lengths: Tensor  # (B,) int64
    max_length: int
    states: Tensor | None = None  # (T, D) what the frozen layers made of it, where that is cached
    types: Tensor | None = None  # (T,) int64, 1 in the second text of a pair; None: all 0
    picked: Tensor | None = None  # (U,) int64, the tokens a head looks at; None: at texts as wholes

    @property
    def n_tokens(self) -> int:
        """T: real tokens, never padding."""
        return int(self.token_ids.shape[0])

    @property
    def n_texts(self) -> int:
        """B."""
        return int(self.lengths.shape[0])

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on *device*."""
        moved: dict[str, Any] = {
            part.name: value.to(device)
            for part in fields(self)
            if isinstance(value := getattr(self, part.name), Tensor)
        }
        return replace(self, **moved)


def pack(texts: Sequence[Sequence[int]] | Sequence[Tensor]) -> PackedBatch:
    """Pack token ids of several texts.

    >>> batch = pack([[5, 6], [7]])
    >>> batch.token_ids.tolist(), batch.positions.tolist(), batch.rows.tolist()
    ([5, 6, 7], [0, 1, 0], [0, 0, 1])
    """
    lengths = torch.tensor([len(text) for text in texts])
    token_ids = torch.cat([torch.as_tensor(text, dtype=torch.int64) for text in texts])
    rows, positions = map(torch.from_numpy, _places(lengths.numpy()))
    return PackedBatch(token_ids, positions, rows, lengths, int(lengths.max()))


def join(batches: Sequence[PackedBatch]) -> PackedBatch:
    """The texts of several batches as one batch, in their order.

    >>> join([pack([[5, 6]]), pack([[7], [8]])]).rows.tolist()
    [0, 0, 1, 2]
    """
    if len(batches) == 1:
        return batches[0]

    def shifted(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
        """Each part moved on by what comes before it."""
        starts = accumulate(sizes, initial=0)
        return torch.cat([part + start for part, start in zip(parts, starts, strict=False)])

    n_texts, n_tokens = [b.n_texts for b in batches], [b.n_tokens for b in batches]
    states = [b.states for b in batches if b.states is not None]
    picked = [b.picked for b in batches if b.picked is not None]
    types = [torch.zeros_like(b.rows) if b.types is None else b.types for b in batches]
    has_types = any(b.types is not None for b in batches)
    return PackedBatch(
        torch.cat([b.token_ids for b in batches]),
        torch.cat([b.positions for b in batches]),
        shifted([b.rows for b in batches], n_texts),
        torch.cat([b.lengths for b in batches]),
        max(b.max_length for b in batches),
        torch.cat(states) if len(states) == len(batches) else None,
        torch.cat(types) if has_types else None,
        shifted(picked, n_tokens) if len(picked) == len(batches) else None,
    )


def _places(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(B,) → the text of each token and its position within it, both (T,).

    In numpy: for so little torch wakes its threads up, which takes longer than the work.
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return rows, np.arange(len(rows)) - before[rows]


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """Token ids of N texts, held flat: four bytes a token instead of a list a text."""

    flat: Tensor  # (all tokens,) int32
    offsets: Tensor  # (N + 1,) int64
    states: States | None = None  # what the frozen layers make of the N texts, where cached
    types: Tensor | None = None  # (all tokens,) int8, 1 in the second text of a pair
    picked: Tensor | None = None  # (all tokens,) bool, the tokens a head looks at

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        lengths: list[int] = torch.diff(self.offsets).tolist()
        return lengths

    @property
    def n_units(self) -> Tensor:
        """(N,) what a head sees of each text: its picked tokens, or 1 where it is the text."""
        if self.picked is None:
            return torch.ones(len(self), dtype=torch.int64)
        before = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cumsum(self.picked, 0)])
        return torch.diff(before[self.offsets])

    def take(self, indices: Sequence[int] | Tensor) -> PackedBatch:
        """Pack the texts at *indices*, with all that is known of their tokens."""
        at, rows, positions, lengths = self._places(indices)
        return PackedBatch(
            torch.from_numpy(self.flat.numpy()[at].astype(np.int64)),
            positions,
            rows,
            lengths,
            int(lengths.max()),
            None if self.states is None else self.states.take(_as_list(indices)),
            None if self.types is None else self.types[at].to(torch.int64),
            None if self.picked is None else self.picked[at].nonzero()[:, 0],
        )

    def subset(self, indices: Sequence[int] | Tensor) -> TokenizedTexts:
        """The texts at *indices* alone, in that order."""
        at, _, _, lengths = self._places(indices)
        states = None if self.states is None else self.states.subset(_as_list(indices))
        kept = (None if part is None else part[at] for part in (self.types, self.picked))
        return TokenizedTexts(self.flat[at], offsets_of(lengths), states, *kept)

    def _places(
        self, indices: Sequence[int] | Tensor
    ) -> tuple[NDArray[np.int64], Tensor, Tensor, Tensor]:
        """Where the tokens of *indices* stand, their texts, positions, and the texts' lengths."""
        chosen, offsets = np.asarray(indices, dtype=np.int64), self.offsets.numpy()
        starts = offsets[chosen]
        lengths = offsets[chosen + 1] - starts
        rows, positions = _places(lengths)
        at = starts[rows] + positions
        as_tensor = torch.from_numpy
        return at, as_tensor(rows), as_tensor(positions), as_tensor(lengths)

    @classmethod
    def from_lists(
        cls,
        texts: Sequence[Sequence[int]],
        *,
        types: Sequence[Sequence[int]] | None = None,
        picked: Sequence[Sequence[bool]] | None = None,
    ) -> TokenizedTexts:
        """Lay lists of ids out flat; *types* and *picked* have a value for each of them.

        >>> tokens = TokenizedTexts.from_lists([[5, 6], [7]], picked=[[False, True], [True]])
        >>> tokens.take([1, 0]).picked.tolist(), tokens.n_units.tolist()
        ([0, 2], [1, 1])
        """
        return cls(
            _flat(texts, torch.int32),
            offsets_of(torch.tensor([len(text) for text in texts], dtype=torch.int64)),
            types=None if types is None else _flat(types, torch.int8),
            picked=None if picked is None else _flat(picked, torch.bool),
        )


def offsets_of(counts: Tensor) -> Tensor:
    """(N,) how many each has → (N + 1,) where each begins, and where the last one ends.

    >>> offsets_of(torch.tensor([2, 0, 1])).tolist()
    [0, 2, 2, 3]
    """
    return torch.cat([torch.zeros(1, dtype=torch.int64), torch.cumsum(counts, 0)])


def _as_list(indices: Sequence[int] | Tensor) -> Sequence[int]:
    return indices.tolist() if isinstance(indices, Tensor) else indices


def _flat(lists: Sequence[Sequence[int]], dtype: torch.dtype) -> Tensor:
    return torch.tensor([value for values in lists for value in values], dtype=dtype)


def inference_batches(lengths: Sequence[int], budget_tokens: int = 4096) -> Iterator[list[int]]:
    """Indices in order of length, cut where ``texts x longest`` would exceed the budget.

    >>> list(inference_batches([3, 1, 2], budget_tokens=4))
    [[1, 2], [0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > budget_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
