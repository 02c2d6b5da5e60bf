"""Rotary positions: queries and keys are turned by angles that grow with their position.

Shape letters: T tokens, H heads, G heads of keys and values, E width of one head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KINDS = ("default", "linear", "llama3")
"""The scalings that `frequencies` knows, as ``rope_type`` names them."""


@dataclass(frozen=True, slots=True)
class Rope:
    """How fast each pair of columns turns."""

    theta: float
    """The slowest pair turns about once in 2 pi theta positions."""
    kind: str = "default"
    factor: float = 1.0
    """linear: positions are divided by it; llama3: those of slow pairs alone."""
    low: float = 1.0
    """llama3: pairs that turn less often than this in the *original* length are slow."""
    high: float = 4.0
    """llama3: pairs that turn more often are left as they are."""
    original: int = 8192
    """llama3: the length the model was first trained for, in tokens."""


def read_rope(config: Mapping[str, Any]) -> Rope | str:
    """The rotary positions that a ``config.json`` states.

    Both ways of writing are read: ``rope_parameters`` of transformers 5, and ``rope_theta`` with
    ``rope_scaling`` before it.

    Returns: the positions, or a sentence on why they are not among the `KINDS`.

    >>> read_rope({"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}})
    Rope(theta=500000.0, kind='linear', factor=2.0, low=1.0, high=4.0, original=8192)
    >>> read_rope({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}})
    'no packed forward with rotary positions of the kind yarn'
    """
    given: dict[str, Any] = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind not in KINDS:
        return f"no packed forward with rotary positions of the kind {kind}"
    share = given.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if share not in (None, 1, 1.0):
        return f"partial_rotary_factor is {share}: only a part of each head is turned"
    missing = [key for key in _NEEDED[kind] if given.get(key) is None]
    if missing:
        return f"rotary positions of the kind {kind} without {missing[0]}"
    original = given.get("original_max_position_embeddings")
    return Rope(
        theta=float(given.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        kind=kind,
        factor=float(given.get("factor") or 1.0),
        low=float(given.get("low_freq_factor") or 1.0),
        high=float(given.get("high_freq_factor") or 4.0),
        original=int(original or config.get("max_position_embeddings") or 8192),
    )


_NEEDED = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}


def frequencies(rope: Rope, head_width: int) -> Tensor:
    """(E / 2,) radians by which each pair of columns turns from a position to the next.

    ``theta^(-2 i / E)``; *linear* divides all by the factor, *llama3* the slow ones, with a smooth
    passage to those that are left alone. Always on the CPU: models are built on the meta device.

    Sources: Su et al. 2021 (RoFormer), section 3.2.2; Chen et al. 2023 (position interpolation),
    section 3.2; the Llama 3.1 model card's ``apply_scaling``.

    >>> frequencies(Rope(10_000.0), 4).tolist()
    [1.0, 0.009999999776482582]
    """
    exponents = torch.arange(0, head_width, 2, device="cpu").float() / head_width
    plain = 1.0 / rope.theta**exponents
    if rope.kind == "default":
        return plain
    if rope.kind == "linear":
        return plain / rope.factor
    n_turns = rope.original * plain / (2 * math.pi)
    kept = ((n_turns - rope.low) / (rope.high - rope.low)).clamp(0, 1)
    return kept * plain + (1 - kept) * plain / rope.factor


def turns(positions: Tensor, rates: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(T,) positions and (E / 2,) rates → cosine and sine for each column, both (T, 1, E).

    The sine is negative in the first half of the columns, which are turned towards the second.
    Angles are in fp32 whatever the *dtype*: half precision cannot count far.
    """
    angles = (positions[:, None].float() * rates)[:, None]
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


class _Turn(torch.autograd.Function):
    """Few passes over whole rows; gradients are turned back by the negative sine."""

    @staticmethod
    def forward(
        ctx: Any, heads: Tensor, cos: Tensor, sin: Tensor, n_query: int, n_key: int, scale: float
    ) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.parts = n_query, n_key, scale
        return _turned(heads, cos, sin, *ctx.parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, -sin, *ctx.parts), None, None, None, None, None


_turn: Callable[..., Tensor] = _Turn.apply


def turn(heads: Tensor, cos: Tensor, sin: Tensor, n_query: int, n_key: int, scale: float) -> Tensor:
    """(T, H + 2 G, E) → the same: queries turned and scaled, keys turned, values as they are.

    Args:
        heads: queries, keys and values.
        cos: cosine and
        sin: sine, as `turns` gives them; columns (i, i + E / 2) are one pair.
        n_query: H.
        n_key: G.
        scale: what queries are multiplied by.

    Source: Su et al. 2021 (RoFormer), section 3.4.2, equation 34, with the pairs as on hubs.

    >>> heads = torch.tensor([[[1.0, 0.0]] * 3])
    >>> cos, sin = turns(torch.tensor([1]), torch.tensor([1.0]), torch.float32)
    >>> [[round(y, 3) for y in x] for x in turn(heads, cos, sin, 1, 1, 2.0)[0].tolist()]
    [[1.081, 1.683], [0.54, 0.841], [1.0, 0.0]]
    """
    return _turn(heads, cos, sin, n_query, n_key, scale)


def _turned(
    heads: Tensor, cos: Tensor, sin: Tensor, n_query: int, n_key: int, scale: float
) -> Tensor:
    n, out = n_query + n_key, heads.new_empty(heads.shape)
    first, second = heads[:, :n].chunk(2, -1)
    torch.mul(heads[:, :n], cos, out=out[:, :n])
    out[:, :n].addcmul_(torch.cat([second, first], -1), sin)
    if scale != 1.0:
        out[:, :n_query] *= scale
    out[:, n:] = heads[:, n:]
    return out
