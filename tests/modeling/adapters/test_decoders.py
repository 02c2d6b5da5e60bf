"""Every way of tuning keeps its contract on causal language models, and agrees with PEFT there."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling import adapters
from tailorbird.modeling.causal import load_decoder, load_language_head
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.heads import LanguageHead
from tailorbird.modeling.packing import pack
from tailorbird.testing import check_method, write_tiny_decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's are not ours

IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 3], [2, 3]]
VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    *(("llama", name, {}) for name in adapters.METHODS if name != "bitfit"),
    ("qwen2", "bitfit", {}),
    ("qwen2", "lora", {"dora": True}),
    ("llama", "lora", {"rslora": True, "targets": "query,ffn_gate"}),
    ("llama", "bottleneck", {"placement": "houlsby", "width": 4}),
    ("gemma3_text", "lora", {}),
    ("gemma3_text", "bottleneck", {"width": 4}),
    ("gemma3_text", "prefix", {"n_prefix": 3}),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_decoder(tmp_path / "tiny")


def loaded(folder: Path) -> tuple[PackedDecoder, LanguageHead]:
    decoder = load_decoder(folder)
    assert isinstance(decoder, PackedDecoder)
    return decoder.eval(), load_language_head(folder, decoder)


def padded_logits(model: Any) -> Tensor:
    longest = max(map(len, IDS))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in IDS])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in IDS])
    logits: Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits[mask.bool()]


def shaken(parameters: Any, by: float = 0.05) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(by * torch.randn_like(parameter))


@pytest.mark.parametrize(("kind", "name", "options"), VARIANTS, ids=str)
def test_method_keeps_the_contract_on_decoders(
    kind: str, name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    backbone = write_tiny_decoder(tmp_path / "tiny", kind)
    check_method(name, tmp_path, backbone=backbone, **options)


def test_lora_goes_on_all_linear_layers_in_the_order_a_text_meets_them(tiny: Path) -> None:
    ours, _ = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="lora"))
    names = [place.split(".")[2] for place in attachment.places if place.startswith("layers.0.")]
    assert names == [
        *("query", "key", "value", "attention_out"),
        *("ffn_gate", "ffn_in", "ffn_out"),
    ]


def test_bitfit_is_refused_where_there_are_no_biases(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="tunes biases, and llama has none; use --method lora"):
        adapters.attach(loaded(tiny)[0], MethodSettings(name="bitfit"))


def test_adapters_need_packed_layers(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="needs packed layers, and gpt2 has none"):
        adapters.attach(load_decoder(tmp_path), MethodSettings(name="lora"))


@pytest.mark.parametrize("name", ["lora", "adalora", "bottleneck", "prefix", "prompt"])
def test_a_text_is_alone_whatever_is_attached_and_looks_only_back(name: str, tiny: Path) -> None:
    ours, _ = loaded(tiny)
    shaken(adapters.attach(ours, MethodSettings(name=name)).tensors().values(), by=0.1)
    together = ours(pack(IDS)).split([len(ids) for ids in IDS])
    for ids, among in zip(IDS, together, strict=True):
        assert torch.allclose(ours(pack([ids])), among, atol=1e-5)
    longer = ours(pack([[*IDS[0], 40, 41]]))
    assert torch.allclose(longer[:5], together[0], atol=1e-5)


def test_a_tied_table_is_frozen_under_an_adapter(tmp_path: Path) -> None:
    ours, head = loaded(write_tiny_decoder(tmp_path, tie_word_embeddings=True))
    adapters.attach(ours, MethodSettings(name="lora"))
    head(ours.train()(pack(IDS))).sum().backward()
    assert head.weight.grad is None
    graded = {name for name, p in ours.named_parameters() if p.grad is not None}
    assert graded
    assert all(".adapter." in name for name in graded)


@pytest.mark.parametrize("options", [{}, {"rslora": True}, {"dora": True, "rank": 3}], ids=str)
def test_our_lora_is_read_by_peft(options: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    ours, head = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="lora", **options))
    shaken(attachment.tensors().values())
    adapters.save_peft(attachment, tmp_path / "adapter", base_name="tiny")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["task_type"] == "CAUSAL_LM"
    base = AutoModelForCausalLM.from_pretrained(tiny)
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        assert (padded_logits(theirs) - head(ours(pack(IDS)))).abs().max() < 1e-5
        merged = padded_logits(theirs.merge_and_unload())
        attachment.merge()
        assert (merged - head(ours(pack(IDS)))).abs().max() < 1e-5


@pytest.mark.parametrize("is_whole", [True, False], ids=["causal", "body"])
@pytest.mark.parametrize("options", [{}, {"use_dora": True}], ids=str)
def test_lora_of_peft_is_read_by_us(
    options: dict[str, Any], is_whole: bool, tiny: Path, tmp_path: Path
) -> None:
    config = LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", **options)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    theirs = get_peft_model(base if is_whole else base.model, config).eval()
    shaken(p for p in theirs.parameters() if p.requires_grad)
    theirs.save_pretrained(tmp_path / "adapter")
    ours, head = loaded(tiny)
    attachment = adapters.load_peft(ours, tmp_path / "adapter")
    assert len(attachment.places) == 2 * 7
    with torch.no_grad():  # the adapter is inside *base*, whichever part of it was given to PEFT
        assert (padded_logits(base) - head(ours(pack(IDS)))).abs().max() < 1e-5


def test_gradients_of_lora_are_those_of_peft(tiny: Path, tmp_path: Path) -> None:
    ours, head = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="lora"))
    shaken(attachment.tensors().values())
    adapters.save_peft(attachment, tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny), tmp_path / "adapter", is_trainable=True
    )
    expected = padded_logits(theirs)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (head(ours(pack(IDS))) * weights).sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    for place, module in attachment.places.items():
        hub = ours.hub_name(place.removesuffix(".adapter"))
        for name, part in {"a": "lora_A", "b": "lora_B"}.items():
            wanted = grads.pop(f"base_model.model.{hub}.{part}.default.weight")
            found = module.get_parameter(name).grad
            assert found is not None
            assert (found - wanted).norm() / wanted.norm() < 1e-4, (place, name)
    assert not grads


def test_our_adalora_is_read_by_peft_and_merges_alike(tiny: Path, tmp_path: Path) -> None:
    ours, head = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="adalora", rank=2, start_rank=5))
    shaken(attachment.tensors().values(), by=0.2)
    adapters.save_peft(attachment, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny)
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        unmerged = head(ours(pack(IDS)))
        assert (padded_logits(theirs) - unmerged).abs().max() < 1e-5
        attachment.merge()
        assert (head(ours(pack(IDS))) - unmerged).abs().max() < 1e-5


@pytest.mark.parametrize("is_cut", [False, True])
def test_adalora_of_peft_is_read_by_us(is_cut: bool, tiny: Path, tmp_path: Path) -> None:
    config = AdaLoraConfig(
        init_r=5,
        target_r=2,
        lora_alpha=16,
        total_step=10,
        tfinal=2,
        target_modules=["q_proj", "down_proj"],
        task_type="CAUSAL_LM",
    )
    theirs = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config)
    shaken((p for p in theirs.parameters() if p.requires_grad), by=0.2)
    if is_cut:
        padded_logits(theirs).square().mean().backward()
        for step in range(1, 10):
            theirs.base_model.update_and_allocate(step)
    theirs.eval().save_pretrained(tmp_path / "adapter")
    ours, head = loaded(tiny)
    adapters.load_peft(ours, tmp_path / "adapter")
    with torch.no_grad():
        assert (padded_logits(theirs) - head(ours(pack(IDS)))).abs().max() < 1e-5


def test_merged_weights_are_a_language_model_for_transformers(tiny: Path, tmp_path: Path) -> None:
    ours, head = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="lora"))
    shaken(attachment.tensors().values())
    expected = head(ours(pack(IDS)))
    attachment.merge()
    state = {ours.hub_name(name): tensor for name, tensor in ours.state_dict().items()}
    (tmp_path / "merged").mkdir()
    save_file(state | head.hub_tensors(), tmp_path / "merged" / "model.safetensors")
    (tmp_path / "merged" / "config.json").write_text(json.dumps(ours.config))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert (padded_logits(theirs) - expected).abs().max() < 1e-5


def test_keys_of_a_prefix_are_not_turned(tiny: Path) -> None:
    ours, _ = loaded(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="prefix", n_prefix=2))
    rows = attachment.tensors()["layers.0.prefix.rows"]
    assert rows.shape == (2, 2, 16)  # keys and values of two heads of 8 columns
    with torch.no_grad():
        before = ours(pack(IDS))
        rows.copy_(rows.flip(1))  # at no place: their order says nothing
        other = attachment.tensors()["layers.1.prefix.rows"]
        other.copy_(other.flip(1))
        assert torch.allclose(ours(pack(IDS)), before, atol=1e-6)
