"""Frozen weights in half precision, cast once for all steps rather than at each use.

They take half as much memory again as the weights themselves.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Marks:
    """The weights that some layers had: whether one was replaced, moved or changed since.

    A change through ``weight.data`` is not seen.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        self._made_of = [(weakref.ref(p), p.data_ptr(), p._version) for p in _parts(layers)]

    def are_of(self, layers: Sequence[nn.Linear]) -> bool:
        """Whether *layers* have those weights, as they were."""
        parts = _parts(layers)
        return len(parts) == len(self._made_of) and all(
            known() is p and where == p.data_ptr() and version == p._version
            for p, (known, where, version) in zip(parts, self._made_of, strict=True)
        )


class Kept:
    """Frozen weights of linear layers side by side, cast once; (out of all, in), and biases."""

    def __init__(self, layers: Sequence[nn.Linear], dtype: torch.dtype) -> None:
        # Whoever asks first may be in inference mode, whose tensors no gradient can go through.
        with torch.inference_mode(False), torch.no_grad():
            self.weight = _below([layer.weight.to(dtype).detach() for layer in layers])
            biases = [layer.bias.to(dtype).detach() for layer in layers if layer.bias is not None]
            self.bias = _below(biases) if biases else None
        self._dtype, self._marks = dtype, Marks(layers)

    def is_of(self, layers: Sequence[nn.Linear], dtype: torch.dtype) -> bool:
        """Whether this is what *layers* are now."""
        return dtype == self._dtype and self._marks.are_of(layers)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Nothing of it goes into a copy of a weight, or to another process."""
        return type(None), ()


def _below(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _parts(layers: Sequence[nn.Linear]) -> list[Tensor]:
    return [p for layer in layers for p in (layer.weight, layer.bias) if p is not None]


def kept(layers: Sequence[nn.Linear], dtype: torch.dtype) -> Kept | None:
    """The weights of *layers* in *dtype*, cast once, where they are frozen.

    It hangs on the first weight itself, so that models which share their weights share it. None:
    they are tuned, or *dtype* is no half precision.
    """
    first, parts = layers[0].weight, _parts(layers)
    if dtype.itemsize != 2 or any(p.requires_grad or p.is_inference() for p in parts):
        return None
    found: Kept | None = getattr(first, "kept", None)
    if found is None or not found.is_of(layers, dtype):
        found = Kept(layers, dtype)
        first.kept = found  # type: ignore[attr-defined]
    return found
