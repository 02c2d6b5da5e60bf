"""Several adapters share a batch, and each text is as with its own adapter alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError, WeightsError
from tailorbird.modeling import adapters
from tailorbird.modeling.adapters.grouped import LoraGroup
from tailorbird.modeling.adapters.weights import AdapterWeights, LoraFactors
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.packing import PackedBatch, pack
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder

IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 3], [2, 3], [2, 9, 9, 3]]
OWNERS = [1, -1, 0, 1, 2]


@pytest.fixture(params=["encoder", "llama"])
def backbone(request: pytest.FixtureRequest, tmp_path: Path) -> torch.nn.Module:
    write = write_tiny_backbone if request.param == "encoder" else write_tiny_decoder
    model: torch.nn.Module = load_backbone(write(tmp_path / "tiny"))
    model.freeze(1)  # type: ignore[operator]
    return model.eval()


def random_weights(backbone: torch.nn.Module, seed: int, **options: object) -> AdapterWeights:
    """LoRA whose B is not zero, so that it changes something."""
    settings = MethodSettings(name="lora", **options)  # type: ignore[arg-type]
    attachment = adapters.attach(backbone, settings)
    random = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=random) * 0.2
        for name, tensor in attachment.tensors().items()
    }
    attachment.detach()
    head = {"linear.weight": torch.randn(3, 32, generator=random)}
    return AdapterWeights(settings, 1, tensors, head, ("a", "b", "c"), "trunk")


def several(backbone: torch.nn.Module) -> list[AdapterWeights]:
    return [
        random_weights(backbone, 0, rank=2),
        random_weights(backbone, 1, rank=5, rslora=True),
        random_weights(backbone, 2, rank=3, alpha=3.0, targets="query,ffn_in"),
    ]


def alone(backbone: torch.nn.Module, weights: AdapterWeights | None, batch: PackedBatch) -> Tensor:
    if weights is None:
        return backbone(batch)  # type: ignore[no-any-return]
    attachment = adapters.attach(backbone, weights.settings)
    attachment.load(weights.tensors)
    states: Tensor = backbone(batch)
    attachment.detach()
    return states


def test_each_text_is_computed_as_with_its_own_adapter_alone(backbone: torch.nn.Module) -> None:
    weights = several(backbone)
    batch = pack(IDS)
    with torch.no_grad():
        pretrained = backbone(batch)
        group = LoraGroup(backbone)
        with group.using([one.lora() for one in weights], batch, torch.tensor(OWNERS)):
            mixed = backbone(batch)
        for text, owner in enumerate(OWNERS):
            own = alone(backbone, None if owner < 0 else weights[owner], pack([IDS[text]]))
            found = mixed[batch.rows == text]
            assert torch.allclose(found, own, atol=2e-5), text
            is_changed = not torch.allclose(found, pretrained[batch.rows == text], atol=1e-3)
            assert is_changed == (owner >= 0)
        assert torch.equal(backbone(batch), pretrained), "the group left something behind"


@pytest.mark.parametrize("is_ready", [False, True])
def test_adapters_of_one_rank_side_by_side_are_as_alone(tmp_path: Path, is_ready: bool) -> None:
    model: Any = load_backbone(write_tiny_backbone(tmp_path / "tiny"))
    model.freeze(1)
    model.eval()
    weights = [random_weights(model, seed, rank=3) for seed in range(3)]
    factors = [
        {
            place: LoraFactors(one.a, one.b * one.scale, 1.0)  # as adapters are made ready
            for place, one in own.lora().items()
        }
        for own in weights
    ]
    if is_ready:
        model.make_ready()
    ids = [[2, 7, 8, 3], [2, 5, 6, 3], [2, 11, 12, 13, 3], [2, 9, 3]]
    batch, owners = pack(ids), [0, 1, 2, -1]
    with torch.no_grad():
        expected = [
            alone(model, None if owner < 0 else weights[owner], pack([ids[text]]))
            for text, owner in enumerate(owners)
        ]
        with LoraGroup(model).using(factors, batch, torch.tensor(owners)):
            mixed = model(batch)
    assert (mixed - torch.cat(expected)).abs().max() < 2e-5
    assert (mixed[:4] - mixed[4:8]).abs().max() > 1e-3


def test_gradients_of_an_adapter_come_from_its_own_texts_alone(backbone: torch.nn.Module) -> None:
    weights = several(backbone)
    factors = [
        {
            place: LoraFactors(one.a.requires_grad_(), one.b.requires_grad_(), one.scale)
            for place, one in own.lora().items()
        }
        for own in weights
    ]
    batch = pack(IDS)
    with LoraGroup(backbone).using(factors, batch, torch.tensor(OWNERS)):
        states = backbone(batch)
    states[batch.rows == 2].square().sum().backward()  # the text of the first adapter
    assert all(one.a.grad is not None and one.a.grad.any() for one in factors[0].values())
    for other in factors[1:]:
        assert all(one.a.grad is None or not one.a.grad.any() for one in other.values())


def test_a_batch_in_which_no_text_has_an_adapter_is_pretrained(backbone: torch.nn.Module) -> None:
    batch = pack(IDS)
    with torch.no_grad():
        group = LoraGroup(backbone)
        with group.using([several(backbone)[0].lora()], batch, torch.full((len(IDS),), -1)):
            states = backbone(batch)
        plain = backbone(batch)
    assert (states - plain).abs().max() <= 1e-6  # not equal: products may begin elsewhere in memory


def test_a_group_refuses_a_layer_that_has_an_adapter(backbone: torch.nn.Module) -> None:
    factors = several(backbone)[0].lora()
    adapters.attach(backbone, MethodSettings(name="lora"))
    batch = pack(IDS)
    group = LoraGroup(backbone)
    with (
        pytest.raises(ConfigError, match="detach it first"),
        group.using([factors], batch, torch.zeros(len(IDS), dtype=torch.int64)),
    ):
        pass


def test_weights_come_back_from_their_file_with_the_same_hash(
    backbone: torch.nn.Module, tmp_path: Path
) -> None:
    weights = random_weights(backbone, 3, rank=4)
    weights.save(tmp_path / "one.safetensors")
    again = AdapterWeights.load(tmp_path / "one.safetensors")
    assert again.hash == weights.hash
    assert again.labels == ("a", "b", "c")
    other = random_weights(backbone, 4, rank=4)
    assert other.hash != weights.hash
    assert list(tmp_path.glob(".*")) == []


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"no safetensors at all")
    with pytest.raises(WeightsError, match="holds no adapter"):
        AdapterWeights.load(tmp_path / "one.safetensors")


def test_only_plain_lora_shares_a_batch(backbone: torch.nn.Module) -> None:
    weights = random_weights(backbone, 0, dora=True)
    with pytest.raises(ConfigError, match="DoRA"):
        weights.lora()
