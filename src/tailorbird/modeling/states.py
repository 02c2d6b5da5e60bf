"""States of texts that were computed before: in memory, in a file, or some here and some there.

Shape letters: N texts, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class States(Protocol):
    """What frozen layers made of N texts, to be gathered a batch at a time."""

    def take(self, texts: Sequence[int]) -> Tensor:
        """(T, D) fp32, the texts at these indices one after another."""

    def subset(self, texts: Sequence[int]) -> States:
        """The states of these texts alone, in that order."""


class Place(NamedTuple):
    """Where the states of one text are: rows of one of several blocks."""

    block: int
    start: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class StoredStates:
    """States in blocks (rows, D) fp32; a block is an array in memory or a map of a file.

    >>> block = np.arange(6, dtype=np.float32).reshape(3, 2)
    >>> states = StoredStates([block], [Place(0, 0, 1), Place(0, 1, 2), Place(0, 0, 1)])
    >>> states.take([1, 2]).tolist()
    [[2.0, 3.0], [4.0, 5.0], [0.0, 1.0]]
    """

    blocks: Sequence[NDArray[Any]]
    places: Sequence[Place]

    def take(self, texts: Sequence[int]) -> Tensor:
        """(T, D), copied: what happens to it happens to no stored state."""
        places = [self.places[text] for text in texts]
        parts = [self.blocks[block][start : start + n] for block, start, n in places]
        shape = (sum(place.n_tokens for place in places), self.blocks[0].shape[1])
        states = torch.empty(shape, pin_memory=torch.cuda.is_available())  # a GPU copies it faster
        np.concatenate(parts, out=states.numpy())
        return states

    def subset(self, texts: Sequence[int]) -> StoredStates:
        """The same blocks with fewer places; nothing is copied."""
        return StoredStates(self.blocks, [self.places[text] for text in texts])
