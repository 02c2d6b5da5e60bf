"""Packed causal language models equal the padded originals, and no text sees another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import build_model, load_model, save_model
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.causal import load_decoder, load_language_head
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.decoder_families import read_decoder_sizes, why_not_packed_decoder
from tailorbird.modeling.heads import HeadSpec, LanguageHead
from tailorbird.modeling.hub_decoder import HubDecoder
from tailorbird.modeling.packing import TokenizedTexts, pack
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder
from tailorbird.weights import resolve_backbone

IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 17, 18, 3], [2]]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
ALTERNATING = ["sliding_attention", "full_attention"]
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}}),
    ("llama", {"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 16}}),
    ("mistral", {"sliding_window": 4}),
    ("mistral", {"sliding_window": None, "head_dim": 12}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}),
    ("qwen3", {"head_dim": 12}),
    (
        "gemma3_text",
        {
            "head_dim": 12,
            "sliding_window": 4,
            "layer_types": ALTERNATING,
            "query_pre_attn_scalar": 20,
            "final_logit_softcapping": 3.0,
        },
    ),
]
every_family = pytest.mark.parametrize(("kind", "options"), FAMILIES, ids=str)


def loaded(folder: Path) -> tuple[PackedDecoder, LanguageHead]:
    decoder = load_decoder(folder)
    assert isinstance(decoder, PackedDecoder)
    return decoder, load_language_head(folder, decoder)


def padded(model: Any, ids: list[list[int]]) -> tuple[Tensor, Tensor]:
    """States (T, D) and logits (T, V) of the texts, padded on the right."""
    longest = max(map(len, ids))
    rows = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    found = model(input_ids=rows, attention_mask=mask, output_hidden_states=True, use_cache=False)
    is_real = mask.bool()
    return found.hidden_states[-1][is_real], found.logits[is_real]


@every_family
def test_packed_states_and_logits_equal_padded_ones(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_tiny_decoder(tmp_path, kind, **options)
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    ours, head = loaded(folder)
    states, logits = padded(reference, IDS)
    found = ours.eval()(pack(IDS))
    assert states.abs().max() > 0.5
    assert torch.allclose(found, states, atol=1e-5)
    assert torch.allclose(head(found), logits, atol=1e-5)


@every_family
def test_packed_gradients_equal_padded_gradients(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_tiny_decoder(tmp_path, kind, **options)
    reference = AutoModelForCausalLM.from_pretrained(folder)
    ours, head = loaded(folder)
    _, expected = padded(reference, IDS)
    torch.manual_seed(0)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (head(ours(pack(IDS))) * weights).sum().backward()
    theirs = dict(reference.named_parameters())
    names = {ours.hub_name(name): p for name, p in ours.named_parameters()}
    if head.matrix is not None:
        names["lm_head.weight"] = head.matrix
    assert names.keys() == theirs.keys()
    for name, parameter in names.items():
        wanted, found = theirs[name].grad, parameter.grad
        assert wanted is not None, name
        assert found is not None, name
        assert (found - wanted).norm() / wanted.norm() < 1e-4, name


@every_family
def test_a_text_gets_alone_what_it_gets_among_others(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path, kind, **options))
    together = head(ours.eval()(pack(IDS))).split([len(ids) for ids in IDS])
    for ids, among in zip(IDS, together, strict=True):
        assert torch.allclose(head(ours(pack([ids]))), among, atol=1e-5)


def test_a_changed_text_leaves_the_others_alone(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path))
    before = head(ours.eval()(pack(IDS)))
    after = head(ours(pack([IDS[0], [9, 9, 9], *IDS[2:]])))
    assert torch.equal(before[:5], after[:5])
    assert torch.equal(before[8:], after[8:])
    assert not torch.allclose(before[5:8], after[5:8], atol=1e-2)


@every_family
def test_a_later_token_never_changes_an_earlier_logit(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path, kind, **options))
    text = [2, *range(5, 35), 3]
    whole = head(ours.eval()(pack([text])))
    for cut in (1, 2, 17):
        changed = text[:cut] + [40] * (len(text) - cut)
        other = head(ours(pack([changed])))
        assert torch.allclose(other[:cut], whole[:cut], atol=1e-6)
        assert not torch.allclose(other[cut:], whole[cut:], atol=1e-2)


def test_a_token_beyond_every_window_is_not_seen(tmp_path: Path) -> None:
    ours, _ = loaded(write_tiny_decoder(tmp_path, "mistral", sliding_window=3))
    text = list(range(5, 15))
    states, changed = (ours.eval()(pack([[first, *text]])) for first in (40, 41))
    seen = (states - changed).abs().amax(1) > 1e-6  # two layers look back 2 tokens each
    assert seen.tolist() == [True] * 5 + [False] * 6


def test_long_texts_take_the_fused_way_with_equal_states(tmp_path: Path) -> None:
    folder = write_tiny_decoder(tmp_path, "gemma3_text", sliding_window=20, layer_types=ALTERNATING)
    long = [[2, *(5 + i % 60 for i in range(100))], IDS[0]]
    expected, _ = padded(AutoModelForCausalLM.from_pretrained(folder).eval(), long)
    assert torch.allclose(loaded(folder)[0].eval()(pack(long)), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_layers_computed_twice_give_equal_gradients(kind: str, tmp_path: Path) -> None:
    folder = write_tiny_decoder(tmp_path, kind)
    gradients = []
    for wanted in (False, True):
        ours, head = loaded(folder)
        ours.recompute_layers(wanted)
        head(ours(pack(IDS))).square().sum().backward()
        gradients.append({name: p.grad for name, p in ours.named_parameters()})
    for name, grad in gradients[0].items():
        assert grad is not None, name
        assert torch.equal(grad, gradients[1][name]), name


@pytest.mark.parametrize("n_frozen", [1, 2])
def test_states_start_from_those_of_the_frozen_layers(n_frozen: int, tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path))
    batch = pack(IDS)
    whole = ours.eval()(batch)
    ours.freeze(n_frozen)
    cached = ours(replace(batch, states=ours.trunk(batch)))
    assert torch.allclose(cached, whole, atol=1e-6)
    head(ours.train()(batch)).sum().backward()
    tuned = {name for name, p in ours.named_parameters() if p.grad is not None}
    assert {name.split(".")[1] for name in tuned if name.startswith("layers.")} == set(
        map(str, range(n_frozen, 2))
    )
    assert "norm.weight" in tuned
    assert "words.weight" not in tuned


def test_a_tied_head_is_one_table_with_the_decoder(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path, tie_word_embeddings=True))
    assert head.is_tied
    assert not head.state_dict()
    assert not list(head.parameters())
    assert head.hub_tensors() == {}
    ours.freeze(0, words=True)
    logits = head(ours(pack(IDS)))
    with torch.no_grad():
        ours.words.weight.add_(1.0)
    assert not torch.allclose(head(ours(pack(IDS))), logits)
    assert not head.weight.requires_grad


def test_an_untied_head_has_its_own_matrix(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path))
    assert list(head.state_dict()) == ["matrix"]
    assert head.hub_tensors()["lm_head.weight"].shape == (ours.sizes.n_words, 32)


def test_logits_are_computed_for_the_states_that_are_picked(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path))
    states = ours.eval()(pack(IDS))
    picked = torch.tensor([0, 4, 9])
    assert torch.allclose(head(states[picked]), head(states)[picked], atol=1e-6)


def test_bfloat16_products_stay_near_float32(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path, "qwen3"))
    exact = head(ours.eval()(pack(IDS)))
    ours.compute_dtype = torch.bfloat16
    rough = head(ours(pack(IDS)))
    assert rough.dtype is torch.float32
    assert (rough - exact).norm() / exact.norm() < 0.05
    assert not torch.equal(rough, exact)


def test_dropout_acts_only_in_training(tmp_path: Path) -> None:
    ours, _ = loaded(write_tiny_decoder(tmp_path))
    ours.dropout = 0.5
    assert not torch.equal(ours.train()(pack(IDS)), ours(pack(IDS)))
    assert torch.equal(ours.eval()(pack(IDS)), ours(pack(IDS)))


def test_shards_are_read_like_one_file(tmp_path: Path) -> None:
    folder = write_tiny_decoder(tmp_path / "one")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert not (tmp_path / "many" / "model.safetensors").exists()
    (one, head), (many, its_head) = loaded(folder), loaded(tmp_path / "many")
    assert torch.equal(head(one(pack(IDS))), its_head(many(pack(IDS))))


def test_a_body_saved_without_its_head_is_read(tmp_path: Path) -> None:
    folder = write_tiny_decoder(tmp_path / "whole")
    AutoModelForCausalLM.from_pretrained(folder).model.save_pretrained(tmp_path / "body")
    body = load_decoder(tmp_path / "body")
    assert torch.equal(body(pack(IDS)), load_decoder(folder)(pack(IDS)))
    with pytest.raises(WeightsError, match=r"no tensor lm_head\.weight"):
        load_language_head(tmp_path / "body", body)


def test_configs_of_transformers_4_mean_the_same(tmp_path: Path) -> None:
    folder = write_tiny_decoder(
        tmp_path,
        "gemma3_text",
        n_layers=3,
        sliding_window=4,
        layer_types=[*ALTERNATING, "full_attention"],
    )
    expected = loaded(folder)[0].eval()(pack(IDS))
    config = json.loads((folder / "config.json").read_text())
    ropes = config.pop("rope_parameters")
    config["rope_theta"] = ropes["full_attention"]["rope_theta"]
    config["rope_local_base_freq"] = ropes["sliding_attention"]["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config))
    assert torch.equal(loaded(folder)[0].eval()(pack(IDS)), expected)


def test_the_windows_of_gemma_follow_from_its_pattern() -> None:
    config = {
        "model_type": "gemma3_text",
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 7,
        "intermediate_size": 8,
        "vocab_size": 9,
        "sliding_window": 512,
    }
    sizes = read_decoder_sizes(config)
    assert sizes.windows == (512, 512, 512, 512, 512, 0, 512)
    assert [rope.theta for rope in sizes.ropes[4:6]] == [10_000.0, 1_000_000.0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "positions of the kind yarn"),
        ({"partial_rotary_factor": 0.5}, "only a part of each head is turned"),
        ({"hidden_act": "xielu"}, "no packed forward with the activation xielu"),
        ({"num_key_value_heads": 3}, "4 heads do not share 3"),
        ({"model_type": "gpt2"}, "no packed forward for gpt2"),
        ({"quantization_config": {"bits": 4}}, "its weights are not plain numbers"),
        ({"vocab_size": None}, "no vocab_size"),
    ],
)
def test_what_is_not_packed_says_why(change: dict[str, Any], why: str) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "intermediate_size": 48,
        "vocab_size": 99,
    }
    assert why_not_packed_decoder(config) == ""
    assert why in why_not_packed_decoder(config | change)


def test_another_architecture_runs_padded_behind_the_same_interface(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0.0)).save_pretrained(tmp_path)
    ours = load_decoder(tmp_path)
    assert isinstance(ours, HubDecoder)
    assert ours.reason == "padded, by AutoModelForCausalLM (no packed forward for gpt2)"
    assert (ours.width, ours.n_layers, ours.max_positions) == (32, 2, 64)
    head = load_language_head(tmp_path, ours)
    assert head.is_tied
    _, expected = padded(AutoModelForCausalLM.from_pretrained(tmp_path).eval(), IDS)
    assert torch.allclose(head(ours.eval()(pack(IDS))), expected, atol=1e-5)
    ours.freeze(0, words=True)
    assert not ours.words.weight.requires_grad
    with pytest.raises(WeightsError, match="layers of gpt2 cannot be frozen"):
        ours.freeze(1)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_tiny_decoder(tmp_path)
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        load_decoder(folder)


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_saved_language_model_is_one_for_us_and_for_transformers(
    is_tied: bool, tmp_path: Path
) -> None:
    tiny = write_tiny_decoder(tmp_path / "tiny", tie_word_embeddings=is_tied)
    source = resolve_backbone(str(tiny), cache=tmp_path)
    spec = HeadSpec("dialogue", "language", pooling="picked")
    model = build_model(source, [], settings=ModelSettings(), spec=spec)
    tokens = TokenizedTexts.from_lists(IDS, picked=[[i % 2 == 0 for i in ids] for ids in IDS])
    with torch.no_grad():
        model.backbone.words.weight.mul_(1.5)
    logits = model.logits(tokens)
    assert logits.shape == (int(tokens.n_units.sum()), model.backbone.sizes.n_words)
    save_model(model, tmp_path / "saved", backbone=tiny)
    assert torch.equal(load_model(tmp_path / "saved").logits(tokens), logits)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    _, expected = padded(theirs, IDS)
    assert torch.allclose(logits, expected[tokens.picked], atol=1e-5)
    model.backbone.freeze(1)
    cached = model.with_trunk(tokens)
    assert cached.states is not None
    assert torch.allclose(model.logits(cached), logits, atol=1e-6)


def test_an_encoder_has_no_language_head(tmp_path: Path) -> None:
    tiny = write_tiny_backbone(tmp_path / "tiny")
    with pytest.raises(WeightsError, match="is an encoder, which cannot say what comes next"):
        load_language_head(tiny, load_backbone(tiny))
