"""Ways to compute attention agree; the faster one is taken by length."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from tailorbird.modeling import layout
from tailorbird.modeling.attention import (
    BLOCKWISE_FROM,
    BLOCKWISE_UNTIL,
    FEW,
    FUSED_FROM,
    Causal,
    attend,
    fused,
    has_varlen,
    mix,
    plain,
    varlen,
)
from tailorbird.modeling.causal_attention import BLOCK, blockwise
from tailorbird.modeling.packing import pack


def queries_keys_values(
    n_texts: int, n_queries: int, n_keys: int, *, head_width: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(n_texts, 3, length, head_width, generator=generator)
        for length in (n_queries, n_keys, n_keys)
    )
    return (q * head_width**-0.5).requires_grad_(), k.requires_grad_(), v.requires_grad_()


@pytest.mark.parametrize(("n_queries", "n_keys"), [(1, 1), (5, 5), (33, 40), (300, 300)])
@pytest.mark.parametrize("is_ragged", [True, False])
def test_plain_and_fused_agree_with_their_gradients(
    n_queries: int, n_keys: int, is_ragged: bool
) -> None:
    parts = queries_keys_values(2, n_queries, n_keys)
    lengths = torch.tensor([n_keys, max(1, n_keys - 3)])
    is_padding = torch.arange(n_keys) >= lengths[:, None] if is_ragged else None
    direction = torch.randn(2, 3, n_queries, 12, generator=torch.Generator().manual_seed(1))
    found = []
    for way in (plain, fused):
        mixed = way(*parts, is_padding)
        found.append((mixed.detach(), *torch.autograd.grad((mixed * direction).sum(), parts)))
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-5


@pytest.mark.parametrize("causal", [None, Causal(1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_before", [0, 3])
def test_texts_of_like_length_attend_in_groups_as_they_do_alone(
    monkeypatch: pytest.MonkeyPatch, causal: Causal | None, dtype: torch.dtype, n_before: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = [70, 16, 3, 33, 70, 1, 40, 24]
    batch = pack([[7] * length for length in lengths])
    monkeypatch.setattr(layout, "WORTH", 9000)
    groups = layout.layout_of(batch, n_heads=3, dtype=dtype).groups
    wanted = [24, 40, 72] if dtype == torch.bfloat16 else [40, 70]
    assert [group.longest for group in groups] == wanted
    n_kv_heads = 3 if causal is None else 1
    width = (3 + 2 * n_kv_heads) * 8
    x = torch.randn(sum(lengths), width, generator=generator).to(dtype).requires_grad_()
    prefix = torch.randn(2, n_before, n_kv_heads * 8, generator=generator).to(dtype)
    before = prefix if n_before else None
    direction = torch.randn(sum(lengths), 24, generator=generator).to(dtype)
    found = []
    for texts in (batch, *(pack([[7] * length]) for length in lengths)):
        first = sum(part.shape[0] for part, _ in found[1:])
        of_texts = slice(first, first + texts.n_tokens)
        mixed = attend(x[of_texts], texts, n_heads=3, prefix=before, causal=causal)
        (of_x,) = torch.autograd.grad((mixed * direction[of_texts]).sum(), x)
        found.append((mixed.detach(), of_x[of_texts]))
    together, *alone = found
    within = 1e-5 if dtype == torch.float32 else 0.1
    for one, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert (one - torch.cat(parts)).abs().max() < within


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_few_short_texts_attend_as_they_do_among_many(dtype: torch.dtype) -> None:
    lengths = [13, 1, 40, 16, 8, 63]
    few, many = (pack([[7] * n for n in some]) for some in (lengths, [*lengths, 5, 5, 5]))
    assert few.n_texts <= FEW < many.n_texts
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(many.n_tokens, 72, generator=generator, dtype=torch.float64).to(dtype)
    x.requires_grad_()
    direction = torch.randn(few.n_tokens, 24, generator=generator).to(dtype)
    found = []
    for batch in (few, many):
        mixed = attend(x[: batch.n_tokens], batch, n_heads=3)[: few.n_tokens]
        (of_x,) = torch.autograd.grad((mixed * direction).sum(), x)
        found.append((mixed.detach(), of_x))
    within = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float64: 1e-12}[dtype]
    for one, other in zip(*found, strict=True):
        assert one.dtype == dtype
        assert (one - other).abs().max() < within


def by_blocks(q: Tensor, k: Tensor, v: Tensor, *, causal: Causal) -> Tensor:
    return blockwise(q, k, v, causal.window)


@pytest.mark.parametrize("longest", [33, 2 * BLOCK + 5])
@pytest.mark.parametrize("window", [0, 1, 7, 100])
@pytest.mark.parametrize("n_before", [0, 4])
def test_all_ways_look_back_alike(n_before: int, window: int, longest: int) -> None:
    q, _, _ = queries_keys_values(2, longest, longest)
    _, k, v = queries_keys_values(2, longest, longest + n_before)
    k, v = k[:, :1], v[:, :1]  # one head of keys and values for three of queries
    direction = torch.randn(2, 3, longest, 12, generator=torch.Generator().manual_seed(1))
    found = []
    for way in (plain, fused, by_blocks):
        mixed = way(q, k, v, causal=Causal(1, window))
        found.append((mixed.detach(), *torch.autograd.grad((mixed * direction).sum(), (q, k, v))))
    for one, other, third in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-5
        assert (one - third).abs().max() < 1e-5


@pytest.mark.parametrize("longest", [20, 2 * BLOCK + 5])
def test_bf16_attention_by_blocks_is_that_of_fp64_but_for_rounding(longest: int) -> None:
    parts = [part.detach().bfloat16() for part in queries_keys_values(2, longest, longest)]
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        leaves = [part.to(dtype, copy=True).requires_grad_() for part in parts]
        mixed = blockwise(*leaves, 0)
        found.append([mixed.detach(), *torch.autograd.grad(mixed.square().sum(), leaves)])
    for rounded, exact in zip(*found, strict=True):
        assert (rounded - exact).norm() < 0.01 * exact.norm()


def test_texts_that_look_back_go_by_blocks_unless_they_are_short_or_too_long() -> None:
    q, k, v = (part.detach() for part in queries_keys_values(1, BLOCKWISE_FROM, BLOCKWISE_FROM))
    assert torch.equal(mix(q, k, v, causal=Causal(3)), blockwise(q, k, v, 0))
    short = [part[:, :, :20].contiguous() for part in (q, k, v)]
    assert torch.equal(mix(*short, causal=Causal(3)), plain(*short, causal=Causal(3)))
    long = torch.zeros(1, 1, BLOCKWISE_UNTIL + 1, 1)
    assert torch.equal(mix(long, long, long, causal=Causal(1)), long)


@pytest.mark.parametrize("way", [plain, fused, by_blocks])
def test_a_window_ends_where_it_says_and_what_stands_before_is_seen_by_all(way: Any) -> None:
    v = torch.tensor([10.0, 1, 2, 3, 4]).view(1, 1, 5, 1)  # 10 stands before four tokens
    zeros = torch.zeros(1, 1, 5, 8)
    seen = way(zeros[:, :, :4], zeros, v.expand(-1, -1, -1, 8), causal=Causal(1, 2))
    expected = [11 / 2, 13 / 3, 15 / 3, 17 / 3]
    assert torch.allclose(seen[0, 0, :, 0], torch.tensor(expected))


@pytest.mark.parametrize("dtype", FUSED_FROM)
def test_short_texts_take_plain_products_and_long_ones_the_fused_kernel(
    dtype: torch.dtype,
) -> None:
    threshold = FUSED_FROM[dtype]
    for length, way in ((threshold - 1, plain), (threshold, fused)):
        parts = [part.detach().to(dtype) for part in queries_keys_values(1, length, length)]
        assert torch.equal(mix(*parts), way(*parts))


def test_packed_attention_of_long_and_short_texts_equals_each_alone() -> None:
    lengths = [FUSED_FROM[torch.float32] + 5, 7]
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * 24, generator=generator)
    batch = pack([[1] * length for length in lengths])
    together = attend(qkv, batch, n_heads=2)
    alone = [attend(part, pack([[1] * len(part)]), n_heads=2) for part in qkv.split(lengths)]
    assert (together - torch.cat(alone)).abs().max() < 1e-5


@pytest.mark.parametrize("n_keys", [5, 20, 70])
@pytest.mark.parametrize("is_ragged", [True, False])
def test_bf16_weights_and_gradients_are_those_of_fp64_but_for_rounding(
    n_keys: int, is_ragged: bool
) -> None:
    parts = [part.detach().bfloat16() for part in queries_keys_values(2, n_keys, n_keys)]
    is_padding = torch.arange(n_keys) >= torch.tensor([[n_keys], [n_keys - 3]])
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        leaves = [part.to(dtype, copy=True).requires_grad_() for part in parts]
        mixed = plain(*leaves, is_padding if is_ragged else None)
        found.append([mixed.detach(), *torch.autograd.grad(mixed.square().sum(), leaves)])
    for rounded, exact in zip(*found, strict=True):
        assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_a_text_that_is_no_number_leaves_the_others_alone() -> None:
    qkv = torch.randn(9, 3 * 24, generator=torch.Generator().manual_seed(0))
    qkv[:4] = torch.nan
    mixed = attend(qkv, pack([[1] * 4, [1] * 5]), n_heads=2)
    assert mixed[:4].isnan().all()
    assert (mixed[4:] - attend(qkv[4:], pack([[1] * 5]), n_heads=2)).abs().max() < 1e-6


def test_dropout_acts_at_every_length() -> None:
    for length in (8, FUSED_FROM[torch.float32]):
        q, k, v = queries_keys_values(1, length, length)
        assert not torch.equal(mix(q, k, v, None, 0.5), mix(q, k, v, None, 0.5))


def test_a_cpu_never_loads_the_attention_of_gpus() -> None:
    code = (
        "import sys, torch\n"
        "from tailorbird.modeling.attention import attend\n"
        "from tailorbird.modeling.packing import pack\n"
        "attend(torch.randn(3, 12), pack([[1, 1], [1]]), n_heads=1)\n"
        "print('torch.nn.attention.varlen' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "False\n"


def test_a_cpu_has_no_varlen() -> None:
    assert not has_varlen(torch.zeros(2, 24, dtype=torch.bfloat16), n_heads=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_varlen_on_a_gpu_equals_padded_attention_with_its_gradient() -> None:
    lengths = [300, 1, 17, 64]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(sum(lengths), 3 * 64, generator=generator) * 0.5
    direction = torch.randn(sum(lengths), 64, generator=generator)
    batch = pack([[1] * length for length in lengths])
    exact = start.clone().requires_grad_()
    expected = attend(exact, batch, n_heads=2)
    (expected * direction).sum().backward()
    half = start.to("cuda", torch.bfloat16).requires_grad_()
    assert has_varlen(half, n_heads=2)
    assert not has_varlen(half.float(), n_heads=2)
    found = varlen(half, batch.to("cuda"), n_heads=2)
    (found.float() * direction.cuda()).sum().backward()
    assert half.grad is not None
    assert exact.grad is not None
    assert (found.float().cpu() - expected).norm() / expected.norm() < 0.02
    assert (half.grad.float().cpu() - exact.grad).norm() / exact.grad.norm() < 0.02


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", [0, 16])
def test_varlen_on_a_gpu_looks_back_as_padded_attention_does(window: int) -> None:
    lengths, causal = [300, 1, 17, 64], Causal(2, window)
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), (6 + 2 * 2) * 32, generator=generator) * 0.5
    batch = pack([[1] * length for length in lengths])
    expected = attend(qkv, batch, n_heads=6, causal=causal)
    half = qkv.to("cuda", torch.bfloat16)
    assert has_varlen(half, n_heads=6, causal=causal)
    found = varlen(half, batch.to("cuda"), n_heads=6, causal=causal).float().cpu()
    assert (found - expected).norm() / expected.norm() < 0.02
