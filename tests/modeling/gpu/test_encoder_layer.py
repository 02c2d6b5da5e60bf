"""An encoder layer as one function: what single operations give, and their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.lora import LoraAdapter
from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.gpu.encoder_layer import fits, is_bare, tuned_layers
from tailorbird.modeling.packing import PackedBatch, pack

SIZES = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


@pytest.fixture
def encoder() -> PackedEncoder:
    generator = torch.Generator().manual_seed(0)
    made = PackedEncoder(SIZES)
    for name, parameter in made.named_parameters():
        middle = 1.0 if name.endswith("norm.weight") else 0.0
        nn.init.normal_(parameter, middle, 0.1, generator=generator)
    made.freeze(0)
    return made.train()


@pytest.fixture
def batch() -> PackedBatch:
    return pack([[1, 2, 3], [4] * 9, [5] * 20, [6]])


def start(batch: PackedBatch) -> Tensor:
    return torch.randn(batch.n_tokens, 64, generator=torch.Generator().manual_seed(1))


def by_operations(encoder: PackedEncoder, x: Tensor, batch: PackedBatch) -> Tensor:
    for layer in encoder.layers:
        x = layer(x, batch, 0.0, torch.float32)
    return x


def at_once(encoder: PackedEncoder, x: Tensor, batch: PackedBatch) -> Tensor:
    return tuned_layers(list(encoder.layers), x, batch, torch.float32)


def gradients(encoder: PackedEncoder, way: Any, batch: PackedBatch) -> dict[str, Tensor]:
    """Of the input and of every parameter that has one, by name; and the states."""
    encoder.zero_grad()
    x = start(batch).requires_grad_()
    y: Tensor = way(encoder, x, batch)
    (y * torch.arange(64.0)).sum().backward()
    assert x.grad is not None
    found = {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
    return {"states": y.detach(), "input": x.grad, **found}


def test_states_and_gradients_are_those_of_single_operations(
    encoder: PackedEncoder, batch: PackedBatch
) -> None:
    expected = gradients(encoder, by_operations, batch)
    found = gradients(encoder, at_once, batch)
    assert found.keys() == expected.keys()
    assert len(found) == 2 + 3 * 16
    assert (found["states"] - expected["states"]).abs().max() < 1e-5
    for name, gradient in expected.items():
        if name.endswith("key.bias"):  # moves all scores of a row alike: its gradient is rounding
            assert found[name].abs().max() < 1e-2
        else:
            assert (found[name] - gradient).norm() < 1e-4 * gradient.norm(), name


def test_weights_are_those_of_the_last_update(encoder: PackedEncoder, batch: PackedBatch) -> None:
    before = at_once(encoder, start(batch), batch)
    with torch.no_grad():
        encoder.layers[0].ffn_in.weight.mul_(2)
    after = at_once(encoder, start(batch), batch)
    assert (after - before).abs().max() > 0.1
    assert torch.allclose(after, by_operations(encoder, start(batch), batch), atol=1e-5)


def test_only_what_is_tuned_gets_a_gradient(encoder: PackedEncoder, batch: PackedBatch) -> None:
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    found = gradients(encoder, at_once, batch)
    names = {name for name in found if name.startswith("layers.")}
    assert len(names) == 3 * 8
    assert all(name.endswith("bias") for name in names)


def test_a_layer_with_anything_attached_goes_by_single_operations(encoder: PackedEncoder) -> None:
    layer: Any = encoder.layers[0]
    assert is_bare(layer)
    layer.prefix = nn.Identity()
    assert not is_bare(layer)
    layer.prefix = None
    layer.value.adapter = LoraAdapter(layer.value, MethodSettings(name="lora"))
    assert not is_bare(layer)


def test_a_cpu_goes_by_single_operations(encoder: PackedEncoder, batch: PackedBatch) -> None:
    assert not fits(list(encoder.layers), start(batch), batch, 0.0, torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_takes_it_and_gives_what_a_cpu_does(encoder: PackedEncoder) -> None:
    batch = pack([[1, 2, 3], [4] * 60, [5] * 20, [6] * 33])
    expected = gradients(encoder, by_operations, batch)
    encoder.cuda()
    there, x = batch.to("cuda"), start(batch).cuda()
    layers = list(encoder.layers)
    assert fits(layers, x, there, 0.0, torch.bfloat16)
    assert not fits(layers, x, there, 0.1, torch.bfloat16)
    assert not fits(layers, x, there, 0.0, torch.float32)
    long = pack([[1] * 129]).to("cuda")
    assert not fits(layers, x, long, 0.0, torch.bfloat16)
    encoder.zero_grad()
    x.requires_grad_()
    y = tuned_layers(layers, x, there, torch.bfloat16)
    (y * torch.arange(64.0, device="cuda")).sum().backward()
    assert (y.cpu() - expected["states"]).norm() < 0.02 * expected["states"].norm()
    for name, parameter in encoder.layers.named_parameters(prefix="layers"):
        gradient = expected[name]
        assert parameter.grad is not None
        if not name.endswith("key.bias"):
            assert (parameter.grad.cpu() - gradient).norm() < 0.05 * gradient.norm(), name
