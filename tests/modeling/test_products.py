"""Several linear layers at once give what each gives alone, adapters and gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.lora import LoraAdapter
from tailorbird.modeling.encoder import EncoderLayer
from tailorbird.modeling.families import read_sizes
from tailorbird.modeling.products import linear, together

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


def test_tuned_weights_get_fp32_gradients() -> None:
    first, second = layers(4, 3)
    for layer in (first, second):
        layer.requires_grad_(True)
    together(inputs(BF16), first, second).float().sum().backward()
    assert first.weight.grad is not None
    assert second.bias.grad is not None
    assert first.weight.grad.dtype == second.bias.grad.dtype == torch.float32
    assert torch.allclose(first.weight.grad[0], inputs(BF16).float().sum(0), atol=0.05)


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


@pytest.mark.parametrize("rank", [0, 2])
def test_between_products_stand_rows_whose_number_comes_back(rank: int) -> None:
    config = {"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "intermediate_size": 12}
    more = {"num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 8}
    sizes = read_sizes(config | more | {"type_vocab_size": 2})
    torch.manual_seed(0)
    layer = EncoderLayer(sizes)
    for part in (layer.ffn_in, layer.ffn_out) if rank else ():
        part.adapter = LoraAdapter(part, MethodSettings(name="lora", rank=rank, alpha=3.0))
        nn.init.normal_(part.adapter.b)
    x, seen = torch.randn(35, 8).to(BF16), []

    def activation(hidden: Tensor) -> Tensor:
        seen.append(len(hidden))
        return torch.nn.functional.gelu(hidden)

    layer.activation = activation
    found = layer.feed_forward(x)
    wanted = linear(torch.nn.functional.gelu(linear(x, layer.ffn_in)), layer.ffn_out)
    assert torch.equal(found, wanted)
    assert found.shape == (35, 8)
    assert seen == [64]
