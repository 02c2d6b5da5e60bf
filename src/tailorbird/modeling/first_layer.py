"""What the first layer of an encoder makes of texts, heard in a pass that goes on to the last.

The first layer knows words and hardly sentences: texts that tuning makes alike still differ there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.heads import mean_pool
from tailorbird.modeling.packing import PackedBatch


@contextmanager
def first_layer(backbone: Any, batch: PackedBatch) -> Iterator[list[Tensor]]:
    """A pass of *batch* within the block leaves the means of the first layer's states in the list.

    One (U, D); none, where the backbone is not of our own encoders, has no other layer, puts rows
    before a text, or starts above that layer.
    """
    means: list[Tensor] = []
    is_ours = isinstance(backbone, PackedEncoder) and backbone.prompt is None
    if not is_ours or backbone.n_layers < 2 or batch.states is not None:
        yield means
        return
    hook = backbone.layers[0].register_forward_hook(
        lambda _layer, _given, states: means.append(mean_pool(states, batch))
    )
    try:
        yield means
    finally:
        hook.remove()
