"""The packed encoder: texts see themselves alone, layers freeze, embedded ones equal originals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import build_model
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.packing import pack
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

TEXTS = [
    "where is my parcel?",
    "ok",
    "我的包裹怎么还没到？",
    "a longer text, so that lengths differ",
]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 3], [2, 3]]


def test_texts_of_one_length_take_the_rectangular_way_with_equal_states(tiny: Path) -> None:
    ours = load_backbone(tiny).eval()
    both, alone = ours(pack([IDS[0], IDS[0]])), ours(pack([IDS[0]]))
    assert torch.allclose(both[:5], alone, atol=1e-6)
    assert torch.allclose(both[5:], alone, atol=1e-6)


def test_a_text_does_not_see_its_neighbours(tiny: Path) -> None:
    ours = load_backbone(tiny).eval()
    alone = ours(pack([IDS[1]]))
    among = ours(pack([IDS[0], IDS[1], IDS[2]]))[5:8]
    assert torch.allclose(alone, among, atol=1e-6)


def test_frozen_layers_get_no_gradient_and_tuned_ones_do(tiny: Path) -> None:
    ours = load_backbone(tiny)
    ours.freeze(1)
    ours(pack(IDS)).sum().backward()
    tuned = {name for name, p in ours.named_parameters() if p.grad is not None}
    assert tuned
    assert all(name.startswith("layers.1.") for name in tuned)


def test_dropout_acts_in_tuned_layers_alone_and_only_in_training(tiny: Path) -> None:
    ours = load_backbone(tiny)
    ours.dropout = 0.5
    assert not torch.equal(ours.train()(pack(IDS)), ours(pack(IDS)))
    assert torch.equal(ours.eval()(pack(IDS)), ours(pack(IDS)))
    ours.train().freeze(ours.n_layers)
    assert torch.equal(ours(pack(IDS)), ours(pack(IDS)))


def test_bfloat16_products_stay_near_float32(tiny: Path) -> None:
    ours = load_backbone(tiny).eval()
    exact = ours(pack(IDS))
    ours.compute_dtype = torch.bfloat16
    rough = ours(pack(IDS))
    assert rough.dtype is torch.float32
    assert (rough - exact).abs().max() < 0.1
    assert not torch.equal(rough, exact)


def test_a_missing_tensor_is_named(tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    del state["encoder.layer.1.attention.self.key.weight"]
    save_file(state, tiny / "model.safetensors")
    with pytest.raises(WeightsError, match=r"encoder\.layer\.1\.attention\.self\.key\.weight"):
        load_backbone(tiny)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_embedded_models_give_the_states_of_the_padded_original(
    name: str, weights_cache: Path
) -> None:
    backbone = resolve_backbone(name, cache=weights_cache)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings()).eval()
    tokenizer = AutoTokenizer.from_pretrained(backbone.path)
    reference = AutoModel.from_pretrained(backbone.path, add_pooling_layer=False).eval()
    texts = [backbone.query_prefix + text for text in TEXTS]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = reference(**encoded).last_hidden_state
    mask = encoded["attention_mask"][..., None].float()
    expected = (states * mask).sum(1) / mask.sum(1)
    assert torch.allclose(model.features(TEXTS), expected, atol=1e-5)
