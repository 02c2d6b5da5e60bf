"""Weights that are laid out for a service give what they gave, for as long as they are the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.lora import LoraAdapter
from tailorbird.modeling.products import activated, together
from tailorbird.modeling.ready import ReadyProduct, make_ready


def three(*, bias: bool = True) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(48, width, bias=bias) for width in (48, 16, 24)]


@pytest.mark.parametrize("n_rows", [1, 15, 200])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_the_same(n_rows: int, bias: bool) -> None:
    made, x = three(bias=bias), torch.randn(n_rows, 48)
    with torch.inference_mode():
        before = together(x, *made)
        make_ready([made])
        assert made[0].ready.gives(x, made)
        assert torch.allclose(together(x, *made), before, atol=1e-5)


def test_adapters_are_still_seen() -> None:
    made, x = three(), torch.randn(7, 48)
    adapter = LoraAdapter(made[1], MethodSettings(name="lora", rank=2, alpha=3.0))
    nn.init.normal_(adapter.b)
    made[1].adapter = adapter
    with torch.inference_mode():
        before = together(x, *made)
        make_ready([made])
        assert torch.allclose(together(x, *made), before, atol=1e-5)


def test_changed_weights_are_noticed() -> None:
    made, x = three(), torch.randn(7, 48)
    make_ready([made])
    with torch.no_grad():
        made[2].weight.mul_(2)
    with torch.inference_mode():
        assert not made[0].ready.gives(x, made)
        expected = torch.cat([nn.functional.linear(x, one.weight, one.bias) for one in made], 1)
        assert torch.equal(together(x, *made), expected)
    made[2].weight.data = torch.zeros_like(made[2].weight)
    with torch.inference_mode():
        assert not together(x, *made)[:, -24:].sub(made[2].bias).any()


def test_gradients_other_types_and_other_layers_go_the_plain_way() -> None:
    made, x = three(), torch.randn(7, 48)
    make_ready([made])
    ready: ReadyProduct = made[0].ready
    assert not ready.gives(x, made)  # gradients are on
    with torch.inference_mode():
        assert not ready.gives(x.bfloat16(), made)
        assert not ready.gives(x, made[:1])
    together(x, *made).sum().backward()
    assert made[1].weight.grad is not None


def test_a_copy_is_not_ready() -> None:
    made, x = three(), torch.ones(2, 48)
    make_ready([made])
    other = copy.deepcopy(made)
    assert other[0].ready is None
    with torch.inference_mode():
        assert torch.allclose(together(x, *other), together(x, *made), atol=1e-5)


@pytest.mark.parametrize("n_rows", [15, 64])
def test_a_bf16_product_is_that_of_weights_that_are_cast_each_time(n_rows: int) -> None:
    made, x = three(), torch.randn(n_rows, 48).bfloat16()
    with torch.inference_mode():
        before = together(x, *made)
        make_ready([made], torch.bfloat16)
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            assert made[0].ready.gives(x, made)
        after = together(x, *made)
    assert after.shape == before.shape
    assert torch.allclose(after.float(), before.float(), atol=0.02)  # two roundings of bf16


def test_an_activation_within_the_product_is_the_one_after_it() -> None:
    made, x = three(), torch.randn(15, 48)
    gelu = nn.functional.gelu
    with torch.inference_mode():
        before = gelu(made[0](x))
        make_ready([made[:1]])
        found = activated(x, made[0], gelu, name="gelu")
        assert torch.allclose(found, before, atol=1e-5)
        made[0].adapter = lambda x, y, layer: y + 1  # an adapter comes before the activation
        assert torch.allclose(activated(x, made[0], gelu, name="gelu"), gelu(made[0](x) + 1), 1e-4)
        del made[0].adapter
        assert torch.equal(
            activated(x, made[0], torch.relu, name="relu"), together(x, made[0]).relu()
        )
