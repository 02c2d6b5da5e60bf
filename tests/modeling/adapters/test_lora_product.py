"""Layers with LoRA as one function: what single operations give, and their gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.lora import LoraAdapter
from tailorbird.modeling.adapters.lora_product import lora_product
from tailorbird.modeling.frozen import Kept, kept
from tailorbird.modeling.products import together

Way = Callable[[Tensor], Tensor]


@pytest.fixture
def layers() -> list[nn.Linear]:
    """Three of one input, of different widths; B is not zero."""
    torch.manual_seed(0)
    made = [nn.Linear(16, width) for width in (8, 4, 4)]
    for layer in made:
        layer.requires_grad_(False)
        adapter = LoraAdapter(layer, MethodSettings(name="lora", rank=3))
        nn.init.normal_(adapter.b)
        layer.adapter = adapter
    return made


def gradients(layers: list[nn.Linear], way: Way) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 16, generator=generator).requires_grad_()
    tuned = [p for layer in layers for p in layer.adapter.parameters()]  # type: ignore[operator]
    y = way(x)
    towards = torch.randn(7, 16, generator=generator)
    return [y.detach(), *torch.autograd.grad(y, [x, *tuned], towards)]


def product(layers: list[nn.Linear], weights: Kept) -> Way:
    return lambda x: lora_product(x, weights, [layer.adapter for layer in layers])


def test_it_gives_what_single_operations_do_with_the_same_gradients(
    layers: list[nn.Linear],
) -> None:
    expected = gradients(layers, lambda x: together(x, *layers))
    found = gradients(layers, product(layers, Kept(layers, torch.float32)))
    assert len(found) == 2 + 3 * 2
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_weights_kept_while_features_were_computed_serve_tuning(layers: list[nn.Linear]) -> None:
    with torch.inference_mode():
        weights = Kept(layers, torch.float32)
    assert gradients(layers, product(layers, weights))


def test_weights_that_changed_since_are_not_taken(layers: list[nn.Linear]) -> None:
    weights = Kept(layers, torch.float32)
    assert weights.is_of(layers, torch.float32)
    assert not weights.is_of(layers, torch.bfloat16)
    assert not weights.is_of(layers[:2], torch.float32)
    with torch.no_grad():
        layers[1].weight.mul_(2)
    assert not weights.is_of(layers, torch.float32)


def test_weights_that_were_replaced_are_not_taken(layers: list[nn.Linear]) -> None:
    weights = Kept(layers, torch.float32)
    layers[0].weight = nn.Parameter(layers[0].weight.detach(), requires_grad=False)
    assert not weights.is_of(layers, torch.float32)  # though the numbers are where they were


def test_a_copy_of_a_model_keeps_weights_of_its_own(layers: list[nn.Linear]) -> None:
    weights = Kept(layers, torch.float32)
    layers[0].weight.kept = weights  # type: ignore[attr-defined]
    assert copy.deepcopy(weights) is None
    copied = copy.deepcopy(layers)
    assert getattr(copied[0].weight, "kept", None) is None
    assert not weights.is_of(copied, torch.float32)


def test_what_is_frozen_is_kept_in_half_precision_alone(layers: list[nn.Linear]) -> None:
    first = kept(layers, torch.bfloat16)
    assert first is not None
    assert first.weight.dtype is torch.bfloat16
    assert kept(layers, torch.bfloat16) is first
    assert kept(layers, torch.float32) is None
    layers[2].weight.requires_grad_(True)
    assert kept(layers, torch.bfloat16) is None


ON_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)])
def test_tuning_in_half_precision_goes_by_it(layers: list[nn.Linear], device: str) -> None:
    expected = gradients(layers, lambda x: together(x, *layers))
    for layer in layers:
        layer.to(device)

    def way(x: Tensor) -> Tensor:
        y = together(x.to(device, torch.bfloat16), *layers)
        assert "_LoraProductBackward" in names_below(y.grad_fn)
        return y.float().cpu()

    for one, other in zip(gradients(layers, way), expected, strict=True):
        assert (one.cpu() - other).norm() < 0.02 * other.norm()


def names_below(node: Any) -> set[str]:
    """Of the functions that a gradient goes through."""
    if node is None:
        return set()
    below = (names_below(other) for other, _ in node.next_functions)
    return {type(node).__name__}.union(*below)


def test_asking_without_gradients_keeps_no_second_copy(layers: list[nn.Linear]) -> None:
    with torch.no_grad():
        together(torch.zeros(2, 16, dtype=torch.bfloat16), *layers)
    assert getattr(layers[0].weight, "kept", None) is None
