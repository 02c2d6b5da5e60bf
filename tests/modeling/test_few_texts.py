"""A few short texts go through compiled layers, and get the states that the layers give."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.modeling import adapters, build_model
from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.few_texts import MOST, SHORT, FewTexts
from tailorbird.modeling.first_layer import first_layer
from tailorbird.modeling.packing import PackedBatch, pack
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()


@pytest.fixture
def encoder(tmp_path: Path) -> PackedEncoder:
    torch.manual_seed(0)
    folder = write_tiny_backbone(tmp_path / "tiny")
    backbone = resolve_backbone(str(folder), cache=folder)
    encoder = build_model(backbone, ["a"], settings=ModelSettings()).backbone
    assert isinstance(encoder, PackedEncoder)
    assert encoder.n_layers > 1
    return encoder.eval()


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layer from which on each pass was compiled."""
    found: list[int] = []
    call = FewTexts.__call__

    def heard(self: FewTexts, x: torch.Tensor, batch: PackedBatch, first: int) -> torch.Tensor:
        found.append(first)
        return call(self, x, batch, first)

    monkeypatch.setattr(FewTexts, "__call__", heard)
    return found


def texts(*lengths: int) -> PackedBatch:
    return pack([[5 + i % 7 for i in range(length)] for length in lengths])


def one_by_one(encoder: PackedEncoder, batch: PackedBatch) -> torch.Tensor:
    """What the layers give that are not compiled."""
    few, encoder.few_texts = encoder.few_texts, None
    try:
        return encoder(batch)
    finally:
        encoder.few_texts = few


@pytest.mark.parametrize("lengths", [(1,), (9,), (12, 3, 20), (5,) * 8, (SHORT - 1,)])
def test_states_are_the_same_bit_by_bit(
    lengths: tuple[int, ...], encoder: PackedEncoder, used: list[int]
) -> None:
    encoder.make_ready()
    with torch.inference_mode():
        assert torch.equal(encoder(texts(*lengths)), one_by_one(encoder, texts(*lengths)))
    assert used == [0]


def test_more_texts_than_are_looked_at_one_by_one_elsewhere(
    encoder: PackedEncoder, used: list[int]
) -> None:
    encoder.make_ready()
    batch = texts(*range(1, MOST + 1))
    with torch.inference_mode():
        assert torch.allclose(encoder(batch), one_by_one(encoder, batch), atol=1e-5)
    assert used == [0]


@pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16 products of oneDNN")
@pytest.mark.parametrize("lengths", [(1,), (12, 3, 20), (16,), (30,) * 20])
def test_bf16_differs_by_its_rounding(
    lengths: tuple[int, ...], encoder: PackedEncoder, used: list[int]
) -> None:
    exact = one_by_one(encoder, texts(*lengths))
    encoder.compute_dtype = torch.bfloat16
    encoder.make_ready()
    with torch.inference_mode():
        found = encoder(texts(*lengths))
        assert torch.allclose(found, one_by_one(encoder, texts(*lengths)), atol=0.05)
    assert found.dtype == torch.float32
    assert torch.allclose(found, exact, atol=0.1)
    assert used == [0]


def test_who_listens_to_the_first_layer_hears_it(encoder: PackedEncoder, used: list[int]) -> None:
    batch = texts(7, 4)
    with torch.inference_mode():
        with first_layer(encoder, batch) as before:
            states = encoder(batch)
        encoder.make_ready()
        with first_layer(encoder, batch) as after:
            assert torch.allclose(encoder(batch), states, atol=1e-5)
    assert torch.allclose(after[0], before[0], atol=1e-5)
    assert used == [1]


def attach(name: str) -> Callable[[PackedEncoder], None]:
    def change(encoder: PackedEncoder) -> None:
        attachment = adapters.attach(encoder, MethodSettings(name=name))
        for tensor in attachment.tensors().values():
            nn.init.normal_(tensor)

    return change


def shift(name: str) -> Callable[[PackedEncoder], None]:
    def change(encoder: PackedEncoder) -> None:
        with torch.no_grad():
            encoder.get_parameter(name).add_(torch.randn(encoder.get_parameter(name).shape))

    return change


def other_norm(encoder: PackedEncoder) -> None:
    layer: Any = encoder.layers[-1]
    layer.ffn_norm = nn.LayerNorm(encoder.width)
    nn.init.constant_(layer.ffn_norm.weight, 3.0)


@pytest.mark.parametrize(
    ("change", "first_compiled"),
    [
        (attach("lora"), None),
        (attach("prefix"), None),
        (attach("bottleneck"), None),
        (shift("layers.0.value.weight"), 1),
        (shift("layers.0.attention_norm.bias"), 1),
        (shift("layers.1.value.bias"), None),
        (other_norm, None),
    ],
)
def test_what_is_changed_afterwards_is_not_overlooked(
    change: Callable[[PackedEncoder], None],
    first_compiled: int | None,
    encoder: PackedEncoder,
    used: list[int],
) -> None:
    batch = texts(6, 11)
    encoder.make_ready()
    with torch.inference_mode():
        before = encoder(batch)
    change(encoder)
    encoder.eval()
    used.clear()
    with torch.inference_mode():
        after = encoder(batch)
        assert torch.allclose(after, one_by_one(encoder, batch), atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)
    assert used == ([] if first_compiled is None else [first_compiled])


def test_gradients_long_texts_many_texts_and_other_types_go_the_plain_way(
    encoder: PackedEncoder, used: list[int]
) -> None:
    encoder.make_ready()
    assert encoder(texts(5)).requires_grad
    with torch.inference_mode():
        encoder(texts(SHORT))
        encoder(texts(*[3] * (MOST + 1)))
        encoder.compute_dtype = torch.bfloat16
        encoder(texts(5))
        encoder.compute_dtype = torch.float32
        encoder.n_frozen = 1
        encoder(texts(5))
    assert not used


def test_weights_that_can_no_longer_be_laid_out_leave_none(
    encoder: PackedEncoder, used: list[int]
) -> None:
    encoder.make_ready()
    encoder.double()
    encoder.make_ready()
    assert encoder.few_texts is None
    layer: Any = encoder.layers[0]
    assert not hasattr(layer.query, "ready")


def test_another_activation_and_copies_have_none(encoder: PackedEncoder) -> None:
    encoder.make_ready()
    assert encoder.few_texts is not None
    assert copy.deepcopy(encoder).few_texts is None
    layer: Any = encoder.layers[0]
    layer.activation_name = "relu"
    encoder.make_ready()
    assert encoder.few_texts is None
