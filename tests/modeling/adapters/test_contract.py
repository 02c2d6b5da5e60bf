"""Every way of tuning keeps the contract, and its neighbours' mistakes are sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.errors import ConfigError, TuningError, WeightsError
from tailorbird.modeling import TextModel, adapters, build_model, load_model, save_model
from tailorbird.testing import check_method, write_tiny_backbone
from tailorbird.weights import resolve_backbone

TEXTS = ["where is my parcel", "退款", "hello there", "x"]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in adapters.METHODS),
    ("lora", {"rslora": True, "rank": 2}),
    ("lora", {"dora": True}),
    ("lora", {"targets": "query, value", "rank": 2}),
    ("bottleneck", {"placement": "houlsby", "width": 4}),
    ("prefix", {"n_prefix": 3}),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


def build(folder: Path) -> TextModel:
    torch.manual_seed(0)
    backbone = resolve_backbone(str(folder), cache=folder)
    return build_model(backbone, ["a", "b"], settings=ModelSettings())


def attached(folder: Path, **settings: Any) -> TextModel:
    """A model with a way of tuning attached, whose parameters are no longer where they began."""
    model = build(folder)
    model.backbone.freeze(0)
    model.attachment = adapters.attach(model.backbone, MethodSettings(**settings))
    with torch.no_grad():
        for tensor in model.attachment.tensors().values():
            tensor.add_(0.1 * torch.randn_like(tensor))
    return model


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value))
def test_method_keeps_the_contract(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    check_method(name, tmp_path, **options)


@pytest.mark.parametrize("name", ["lora", "adalora", "bottleneck", "prefix", "prompt"])
def test_a_text_gets_the_same_logits_alone_and_in_a_batch(name: str, tiny: Path) -> None:
    model = attached(tiny, name=name)
    together = model.logits(TEXTS)
    for i, text in enumerate(TEXTS):
        assert torch.allclose(model.logits([text])[0], together[i], atol=1e-6)


@pytest.mark.parametrize("name", ["lora", "adalora", "bottleneck", "prefix", "prompt"])
def test_bfloat16_products_stay_near_float32(name: str, tiny: Path) -> None:
    model = attached(tiny, name=name)
    exact = model.features(TEXTS)
    model.backbone.compute_dtype = torch.bfloat16
    rough = model.features(TEXTS)
    assert rough.dtype is torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.15


def test_lora_gives_no_gradient_to_the_weights_below_it(tiny: Path) -> None:
    model = attached(tiny, name="lora", rank=2)
    states = model.backbone(model.tokenizer(TEXTS).take(range(len(TEXTS))))
    states.sum().backward()
    graded = {n for n, p in model.backbone.named_parameters() if p.grad is not None}
    assert graded == {n for n in graded if ".adapter." in n}
    assert len(graded) == 2 * 6 * 2  # A and B, on six linear layers of two layers


def test_prefixes_of_zero_keys_and_values_thin_the_attention_out(tiny: Path) -> None:
    model = build(tiny)
    layer = model.backbone.layers[0]
    qkv = torch.randn(3, 96)
    batch = model.tokenizer(["a"]).take([0])  # 3 tokens
    from tailorbird.modeling.encoder import attend

    plain = attend(torch.cat([torch.zeros(3, 32), qkv[:, 32:]], 1), batch, n_heads=layer.n_heads)
    seen = attend(
        torch.cat([torch.zeros(3, 32), qkv[:, 32:]], 1),
        batch,
        n_heads=layer.n_heads,
        prefix=torch.zeros(2, 3, 32),
    )
    assert torch.allclose(seen, plain / 2, atol=1e-6)  # half of the weight goes to the zeros


def test_a_prompt_shifts_no_position_and_is_not_pooled(tiny: Path) -> None:
    model = attached(tiny, name="prompt", n_prefix=4)
    batch = model.tokenizer(TEXTS).take(range(len(TEXTS)))
    assert model.backbone(batch).shape[0] == batch.n_tokens
    longest = "a" * (model.backbone.max_positions - 2)
    assert torch.isfinite(model.logits([longest])).all()


def test_a_second_save_leaves_nothing_of_the_first(tiny: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    save_model(attached(tiny, name="prefix"), saved, backbone=tiny)
    assert (saved / "adapter.safetensors").is_file()
    save_model(attached(tiny, name="lora"), saved, backbone=tiny)
    assert not (saved / "adapter.safetensors").exists()
    assert (saved / "adapter" / "adapter_model.safetensors").is_file()
    model = build(tiny)
    save_model(model, saved, backbone=tiny)
    assert not (saved / "adapter").exists()
    assert torch.equal(load_model(saved).logits(TEXTS), model.logits(TEXTS))


def test_an_adapter_that_lost_a_tensor_is_refused_by_its_name(tiny: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    save_model(attached(tiny, name="bottleneck"), saved, backbone=tiny)
    tensors = load_file(saved / "adapter.safetensors")
    del tensors["layers.1.ffn_out.adapter.up.bias"]
    save_file(tensors, saved / "adapter.safetensors")
    with pytest.raises(WeightsError, match=r"layers\.1\.ffn_out\.adapter\.up\.bias"):
        load_model(saved)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "lora", "targets": "query,keys"}, "no linear layer 'keys'; the layers have"),
        ({"name": "lora", "rank": 0}, "method.rank = 0 must be at least 1"),
        ({"name": "adalora", "rank": 20}, "must be between 1 and the rank at the start"),
        ({"name": "prompt", "n_prefix": 0}, "method.n_prefix = 0 must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    settings: dict[str, Any], said: str, tiny: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        adapters.attach(build(tiny).backbone, MethodSettings(**settings))


def test_adapters_have_no_place_where_all_is_frozen(tiny: Path) -> None:
    encoder = build(tiny).backbone
    encoder.freeze(2)
    with pytest.raises(ConfigError, match="no layer to tune: all 2 are frozen"):
        adapters.attach(encoder, MethodSettings(name="lora"))


def test_full_tuning_cannot_be_taken_off(tiny: Path) -> None:
    with pytest.raises(TuningError, match="load the backbone again"):
        adapters.attach(build(tiny).backbone, MethodSettings(name="full")).detach()
