"""Frozen weights are cast once and never out of date; several layers at once are each alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.lora import LoraAdapter
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.packing import pack
from tailorbird.modeling.products import in_type, linear, together
from tailorbird.testing import write_tiny_decoder

BF16 = torch.bfloat16


def layers(*widths: int, bias: bool = True, rank: int = 0) -> list[nn.Linear]:
    """Frozen layers on 6 numbers, with LoRA of *rank* whose B is no longer zero."""
    torch.manual_seed(0)
    made = [nn.Linear(6, width, bias=bias).requires_grad_(False) for width in widths]
    for layer in made if rank else []:
        adapter = LoraAdapter(layer, MethodSettings(name="lora", rank=rank, alpha=3.0))
        nn.init.normal_(adapter.b)
        layer.adapter = adapter
    return made


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("bias", [True, False])
def test_frozen_copies_give_what_casting_each_time_gives_bit_by_bit(
    dtype: torch.dtype, bias: bool
) -> None:
    (layer,) = layers(4, bias=bias)
    x = inputs(dtype)
    expected = F.linear(
        x, layer.weight.to(dtype), None if layer.bias is None else layer.bias.to(dtype)
    )
    for _ in range(2):
        assert torch.equal(linear(x, layer), expected)


def test_fp32_weights_are_not_copied_for_fp32_products() -> None:
    (layer,) = layers(4)
    assert in_type(torch.float32, layer) is layer.weight


def _in_place(layer: nn.Linear) -> None:
    layer.weight.add_(1.0)


def _loaded(layer: nn.Linear) -> None:
    layer.load_state_dict({name: t + 1 for name, t in layer.state_dict().items()})


def _assigned(layer: nn.Linear) -> None:
    tensors = {name: t + 1 for name, t in layer.state_dict().items()}
    layer.load_state_dict(tensors, assign=True)


def _data(layer: nn.Linear) -> None:
    layer.weight.data = layer.weight.data + 1


def _replaced(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(layer.weight + 1, requires_grad=False)


@pytest.mark.parametrize("change", [_in_place, _loaded, _assigned, _data, _replaced])
def test_a_weight_that_changed_is_cast_anew(change: Callable[[nn.Linear], None]) -> None:
    (layer,) = layers(4)
    before = in_type(BF16, layer).clone()
    change(layer)
    after = in_type(BF16, layer)
    assert torch.equal(after, layer.weight.to(BF16))
    assert not torch.equal(after, before)


def test_tuned_weights_are_cast_at_each_use_and_get_fp32_gradients() -> None:
    first, second = layers(4, 3)
    for layer in (first, second):
        layer.requires_grad_(True)
    together(inputs(BF16), first, second).float().sum().backward()
    assert first.weight.grad is not None
    assert second.bias.grad is not None
    assert first.weight.grad.dtype == second.bias.grad.dtype == torch.float32
    assert torch.allclose(first.weight.grad[0], inputs(BF16).float().sum(0), atol=0.05)


def test_a_copy_made_in_inference_serves_the_backward_pass_later() -> None:
    (layer,) = layers(4)
    with torch.inference_mode():
        linear(inputs(BF16), layer)
    x = inputs(BF16).requires_grad_()
    linear(x, layer).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, BF16])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_with_lora_together_are_each_alone_with_their_gradients(
    dtype: torch.dtype, bias: bool
) -> None:
    made = layers(4, 3, 3, bias=bias, rank=2)
    factors = [factor for layer in made for factor in layer.adapter.parameters()]
    direction = torch.randn(5, 10, generator=torch.Generator().manual_seed(2)).to(dtype)
    found = []
    for at_once in (True, False):
        x = inputs(dtype).requires_grad_()
        if at_once:
            y = together(x, *made)
        else:  # the adapter's own words, as its docstring has them
            y = torch.cat([_by_the_formula(x, layer) for layer in made], 1)
        gradients = torch.autograd.grad((y * direction).sum(), [x, *factors])
        found.append([y.detach(), *gradients])
    tolerance = 0.02 if dtype == BF16 else 1e-6
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() <= tolerance * other.norm()


def _by_the_formula(x: Tensor, layer: nn.Linear) -> Tensor:
    low = x @ layer.adapter.a.to(x.dtype).T
    bias = 0.0 if layer.bias is None else layer.bias.to(x.dtype)
    return x @ layer.weight.to(x.dtype).T + bias + 1.5 * (low @ layer.adapter.b.to(x.dtype).T)


def test_a_layer_without_an_adapter_among_others_keeps_what_it_gives() -> None:
    first, second = layers(4, 3)
    (adapted,) = layers(4, rank=2)
    y = together(inputs(BF16), adapted, second)
    assert torch.equal(y[:, 4:], linear(inputs(BF16), second))
    assert not torch.equal(y[:, :4], linear(inputs(BF16), first))


def test_what_is_saved_are_the_weights_themselves(tmp_path: Path) -> None:
    decoder = load_backbone(write_tiny_decoder(tmp_path)).requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    decoder.compute_dtype = BF16
    decoder(pack([[2, 5, 3]]))
    after = decoder.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name])
