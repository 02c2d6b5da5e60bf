"""The norm and the turning of a decoder have the gradients of their formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tailorbird.modeling.rms_norm import rms_norm
from tailorbird.modeling.rotary import turn, turns


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 8)])
@pytest.mark.parametrize("is_tuned", [True, False])
def test_the_norm_is_that_of_torch_with_its_gradients(
    shape: tuple[int, ...], is_tuned: bool
) -> None:
    draw = torch.Generator().manual_seed(0)
    x = (3 * torch.randn(shape, generator=draw)).requires_grad_()
    weight = torch.randn(8, generator=draw).requires_grad_(is_tuned)
    direction = torch.randn(shape, generator=draw)
    leaves = [x, weight] if is_tuned else [x]
    found = [
        [y.detach(), *torch.autograd.grad((y * direction).sum(), leaves)]
        for y in (rms_norm(x, weight, 1e-5, torch.float32), F.rms_norm(x, (8,), weight, 1e-5))
    ]
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_norm_of_half_precision_is_computed_in_fp32() -> None:
    x = torch.full((1, 4), 300.0, dtype=torch.bfloat16, requires_grad=True)
    y = rms_norm(x, torch.ones(4), 0.0, torch.bfloat16)
    y.sum().backward()
    assert y.tolist() == [[1.0] * 4]
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


def test_turning_has_the_gradient_of_its_formula() -> None:
    draw = torch.Generator().manual_seed(0)
    heads = torch.randn(4, 5, 6, generator=draw, dtype=torch.float64, requires_grad=True)
    cos, sin = turns(torch.arange(4), torch.tensor([1.0, 0.5, 0.1]), torch.float64)
    assert torch.autograd.gradcheck(lambda x: turn(x, cos, sin, 3, 1, 0.3), heads)


def test_turned_queries_and_keys_depend_on_their_distance_alone() -> None:
    draw = torch.Generator().manual_seed(0)
    row = torch.randn(1, 3, 6, generator=draw)
    cos, sin = turns(torch.tensor([3, 5, 9, 11]), torch.tensor([1.0, 0.5, 0.1]), torch.float32)
    turned = turn(row.expand(4, -1, -1), cos, sin, 1, 1, 1.0)
    near = (turned[1, 0] @ turned[0, 1]).item()
    assert (turned[3, 0] @ turned[2, 1]).item() == pytest.approx(near, abs=1e-5)
    assert torch.equal(turned[2, 2], row[0, 2])
