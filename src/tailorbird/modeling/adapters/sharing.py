"""Copies of modules that share their weights: several adapters side by side on one backbone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

T = TypeVar("T")


def sharing_copy(
    module: T,
    backbone: nn.Module,
    *,
    is_shared: Callable[[nn.Parameter], bool] = lambda _: True,
    n_frozen: int = 0,
) -> T:
    """A copy of *module*, which is or holds *backbone*, that shares the backbone's parameters.

    Modules are copied, so that each copy has its own places for adapters; tensors are not, but for
    parameters of the backbone that are not to be shared. The lowest *n_frozen* layers, to
    which nothing is ever attached, are shared whole.

    >>> layer = nn.Linear(2, 3)
    >>> other = sharing_copy(layer, layer)
    >>> other is layer, other.weight is layer.weight
    (False, True)
    """
    kept: dict[int, Any] = {id(p): p for p in backbone.parameters() if is_shared(p)}
    kept |= {id(layer): layer for layer in list(getattr(backbone, "layers", ()))[:n_frozen]}
    config = getattr(backbone, "config", None)
    kept[id(config)] = config
    return copy.deepcopy(module, kept)
