"""Ragged batches without padding: all tokens of a batch one after another.

Shape letters: N texts, B texts of a batch, T tokens of a batch, L longest text of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """B texts as one row of T tokens, with what attention needs to tell them apart."""

    token_ids: Tensor  # (T,) int64
    positions: Tensor  # (T,) int64, from 0 within each text
    rows: Tensor  # (T,) int64, the text each token belongs to
    lengths: Tensor  # (B,) int64
    max_length: int
    states: Tensor | None = None  # (T, D) what the frozen layers made of it, where that is cached

    @property
    def n_tokens(self) -> int:
        """T: real tokens, never padding."""
        return int(self.token_ids.shape[0])

    @property
    def n_texts(self) -> int:
        """B."""
        return int(self.lengths.shape[0])

    @property
    def slots(self) -> Tensor:
        """(T,) where each token stands in the padded ``(B * L)`` layout."""
        return self.rows * self.max_length + self.positions

    @property
    def is_rectangular(self) -> bool:
        """Whether all texts are equally long, so that padded and packed are the same."""
        return self.n_tokens == self.n_texts * self.max_length

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on *device*."""
        return PackedBatch(
            self.token_ids.to(device),
            self.positions.to(device),
            self.rows.to(device),
            self.lengths.to(device),
            self.max_length,
            None if self.states is None else self.states.to(device),
        )


def pack(texts: Sequence[Sequence[int]] | Sequence[Tensor]) -> PackedBatch:
    """Pack token ids of several texts.

    >>> batch = pack([[5, 6], [7]])
    >>> batch.token_ids.tolist(), batch.positions.tolist(), batch.rows.tolist()
    ([5, 6, 7], [0, 1, 0], [0, 0, 1])
    """
    lengths = torch.tensor([len(text) for text in texts])
    token_ids = torch.cat([torch.as_tensor(text, dtype=torch.int64) for text in texts])
    rows = torch.repeat_interleave(torch.arange(len(texts)), lengths)
    starts = torch.cumsum(lengths, 0) - lengths
    positions = torch.arange(len(token_ids)) - starts[rows]
    return PackedBatch(token_ids, positions, rows, lengths, int(lengths.max()))


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """Token ids of N texts, held flat: four bytes a token instead of a list a text."""

    flat: Tensor  # (all tokens,) int32
    offsets: Tensor  # (N + 1,) int64
    states: Tensor | None = None  # (all tokens, D) of the frozen layers, where cached

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        lengths: list[int] = torch.diff(self.offsets).tolist()
        return lengths

    def lengths_of(self, indices: Sequence[int]) -> list[int]:
        """Tokens of the texts at *indices*."""
        at = torch.as_tensor(indices)
        lengths: list[int] = (self.offsets[at + 1] - self.offsets[at]).tolist()
        return lengths

    def take(self, indices: Sequence[int]) -> PackedBatch:
        """Pack the texts at *indices*, with their cached states."""
        batch = pack([self.flat[self.offsets[i] : self.offsets[i + 1]] for i in indices])
        if self.states is None:
            return batch
        cached = [self.states[self.offsets[i] : self.offsets[i + 1]] for i in indices]
        return replace(batch, states=torch.cat(cached))

    def subset(self, indices: Sequence[int]) -> TokenizedTexts:
        """The texts at *indices* alone, in that order."""
        batch = self.take(indices)
        offsets = torch.zeros(len(indices) + 1, dtype=torch.int64)
        offsets[1:] = torch.cumsum(batch.lengths, 0)
        return TokenizedTexts(batch.token_ids.to(torch.int32), offsets, batch.states)

    @classmethod
    def from_lists(cls, texts: Sequence[Sequence[int]]) -> TokenizedTexts:
        """Lay lists of ids out flat."""
        offsets = torch.zeros(len(texts) + 1, dtype=torch.int64)
        offsets[1:] = torch.cumsum(
            torch.tensor([len(text) for text in texts], dtype=torch.int64), 0
        )
        flat = torch.tensor([token for text in texts for token in text], dtype=torch.int32)
        return cls(flat, offsets)


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
