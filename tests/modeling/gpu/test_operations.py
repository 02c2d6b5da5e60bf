"""Kernels give what single operations do; without a GPU their plain form is what is tested."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.attention import attend
from tailorbird.modeling.gpu import decoder_operations as decoder
from tailorbird.modeling.gpu import operations as ops
from tailorbird.modeling.gpu.short_attention import is_short, short_attention
from tailorbird.modeling.packing import pack
from tailorbird.modeling.rms_norm import rms_norm
from tailorbird.modeling.rotary import turn, turns

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=on_gpu)]

Function = Callable[..., Tensor]


def random(*shape: int, device: str = "cpu", seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def gradients(function: Function, *inputs: Tensor) -> list[Tensor]:
    """What it gives, and the gradients of *inputs* towards a fixed direction; all fp32."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    y = function(*leaves)
    towards = random(*y.shape, device=y.device.type, seed=9).to(y.dtype)
    return [one.float().cpu() for one in (y.detach(), *torch.autograd.grad(y, leaves, towards))]


def differ(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest relative difference."""
    pairs = zip(found, expected, strict=True)
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lengths", [(5, 9, 16, 1), (50, 64, 33), (100, 128, 7)])
def test_attention_of_short_texts(device: str, lengths: tuple[int, ...]) -> None:
    batch = pack([[1] * length for length in lengths])
    qkv = random(sum(lengths), 3 * 2 * 64) * 0.3
    expected = gradients(lambda x: attend(x, batch, n_heads=2), qkv)
    assert is_short(qkv, max(lengths), 2) == (device == "cuda")
    bounds = ops.bounds_of(batch.lengths.to(device))
    dtype, most = (torch.float32, 1e-5) if device == "cpu" else (torch.bfloat16, 0.01)
    found = gradients(lambda x: short_attention(x, bounds, max(lengths), 2), qkv.to(device, dtype))
    assert differ(found, expected) < most


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("has_half", [True, False])
def test_a_sum_with_its_norm(device: str, has_half: bool) -> None:
    x, y = random(40, 96, device=device), random(40, 96, device=device, seed=1).bfloat16()
    weight, bias = random(96, device=device, seed=2), random(96, device=device, seed=3)
    grad = random(40, 96, device=device, seed=4)
    half = random(40, 96, device=device, seed=5).bfloat16() if has_half else None

    leaves = [one.double().requires_grad_() for one in (x, y, weight, bias)]
    summed = leaves[0] + leaves[1]
    out = F.layer_norm(summed, (96,), leaves[2], leaves[3], 1e-6)
    towards = grad.double() + (half.double() if half is not None else 0)
    expected = torch.autograd.grad(out, [summed, leaves[2], leaves[3]], towards)

    normed = ops.add_norm(x, y, weight, bias, 1e-6)
    assert torch.allclose(normed.out.double(), out, atol=1e-5)
    assert torch.equal(normed.half, normed.out.bfloat16())
    found = ops.add_norm_backward(grad, half, normed, weight)
    assert torch.equal(found.half, found.summed.bfloat16())
    wanted = (found.summed, found.weight, found.bias, found.addend)
    for one, other in zip(wanted, (*expected, expected[0].sum(0)), strict=True):
        assert torch.allclose(one.double(), other, atol=1e-4)


def test_where_texts_begin_is_found_once_for_all_layers() -> None:
    lengths = torch.tensor([3, 1, 4])
    first = ops.bounds_of(lengths)
    assert first.tolist() == [0, 3, 4, 8]
    assert first.dtype is torch.int32
    assert ops.bounds_of(lengths) is first
    assert ops.bounds_of(torch.tensor([2])).tolist() == [0, 2]


def test_what_was_found_in_inference_may_be_kept_for_a_backward_pass() -> None:
    lengths = torch.tensor([2, 2])
    with torch.inference_mode():
        bounds = ops.bounds_of(lengths)
    assert not bounds.is_inference()


def test_a_cpu_goes_by_single_operations() -> None:
    assert not ops.can(torch.zeros(1))


def compiles(_: object) -> None:
    """What a kernel does that was compiled."""


def lacks_headers(_: object) -> None:
    raise OSError("in cuda_utils.c:\nfatal error: Python.h: No such file or directory")


@pytest.mark.parametrize(
    ("has_triton", "age", "kernel", "said"),
    [
        (False, (9, 0), compiles, "no Triton"),
        (True, (7, 5), compiles, "older than Ampere"),
        (True, (8, 0), lacks_headers, "no kernel here (fatal error: Python.h: No such file"),
        (True, (8, 0), compiles, ""),
    ],
)
def test_where_kernels_cannot_be_compiled_the_reason_is_known(
    monkeypatch: pytest.MonkeyPatch,
    has_triton: bool,
    age: tuple[int, int],
    kernel: Callable[[object], None],
    said: str,
) -> None:
    monkeypatch.setattr(ops, "find_spec", lambda _: object() if has_triton else None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: age)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: object())
    kernels = SimpleNamespace(probe={(1,): kernel})
    monkeypatch.setitem(sys.modules, "tailorbird.modeling.gpu.kernels", kernels)
    why = ops.why_not.__wrapped__()
    assert said in why
    assert bool(why) == bool(said)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_a_decoder_does_between_products() -> None:
    weight = random(96, device="cuda")
    x = random(40, 96, device="cuda", seed=1)
    found = gradients(lambda z: decoder.rms_norm(z, weight, 1e-6, torch.float32), x)
    assert differ(found, gradients(lambda z: rms_norm(z, weight, 1e-6, torch.float32), x)) < 1e-5
    heads, positions = random(40, 6, 64, device="cuda"), torch.arange(40, device="cuda")
    rates = 10_000.0 ** (-torch.arange(32, device="cuda") / 32)
    cos, sin = turns(positions, rates, torch.float32)
    found = gradients(lambda z: decoder.turn(z, positions, rates, 3, 2, 0.125), heads)
    assert differ(found, gradients(lambda z: turn(z, cos, sin, 3, 2, 0.125), heads)) < 1e-5
    both = random(40, 2 * 1500, device="cuda")
    expected = gradients(lambda z: F.silu(z[:, :1500]) * z[:, 1500:], both)
    assert differ(gradients(decoder.gate, both), expected) < 1e-5
