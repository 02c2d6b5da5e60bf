"""GGUF files, written the way llama.cpp writes them, become the hub folders they came from."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tailorbird.errors import MissingExtraError, WeightsError
from tailorbird.weights.embedded import EMBEDDED, GEMMA_TEMPLATE
from tailorbird.weights.gguf_file import GGUFFile
from tailorbird.weights.gguf_folder import gguf_folder, write_gguf_folder
from tailorbird.weights.gguf_words import tokenizer_of
from tailorbird.weights.sources import resolve_backbone

NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
MERGES = ["Ġ Ġ", "h i", "1 2"]
BYTES = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *sorted(ByteLevel.alphabet()),
    *(merge.replace(" ", "") for merge in MERGES),
]
PIECES = [
    *("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n"),
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *("  ", "▁", "a", "b", "c", "ab", "▁ab", "\n"),
]
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_GEMMA_NAMES = _NAMES | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def tiny_causal(kind: str, **more: Any) -> nn.Module:
    """A model of transformers with weights that bf16 holds exactly."""
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 7 if kind == "gemma3_text" else 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": len(PIECES if kind == "gemma3_text" else BYTES),
        "max_position_embeddings": 256,
        "rope_theta": 5000.0,
    }
    if kind == "gemma3_text":
        sizes |= {"query_pre_attn_scalar": 16, "sliding_window": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(sizes | more)))
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.2)
            parameter.data = parameter.data.bfloat16().float()
    return model.eval()


def write_gguf(
    path: Path,
    model: nn.Module,
    *,
    pre: str = "smollm",
    template: str = "",
    extra: str = "",
    is_quantized: bool = False,
) -> Path:
    """*model* as a GGUF file; *extra* names a tensor that does not belong there."""
    config: Any = model.config
    architecture = config.model_type.removesuffix("_text")
    writer = GGUFWriter(path, architecture)
    writer.add_license("mit")
    _write_sizes(writer, config)
    _write_words(writer, architecture, pre)
    if template:
        writer.add_chat_template(template)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight" or not config.tie_word_embeddings:
            new, values = _as_stored(name, tensor.numpy(), config)
            kind = GGMLQuantizationType.Q8_0 if is_quantized and values.ndim == 2 else None
            writer.add_tensor(
                new, values if kind is None else quantize(values, kind), raw_dtype=kind
            )
    if extra:
        writer.add_tensor(extra, np.ones(2, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_sizes(writer: GGUFWriter, config: Any) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_key_length(config.head_dim)
    if config.model_type == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)


def _write_words(writer: GGUFWriter, architecture: str, pre: str) -> None:
    if architecture == "gemma3":
        writer.add_tokenizer_model("llama")
        writer.add_token_list(PIECES)
        kinds = [CONTROL] * 6 + [USER_DEFINED] + [BYTE] * 256 + [USER_DEFINED] + [NORMAL] * 7
        writer.add_token_types(kinds)
        bos, eos, pad = 2, 1, 0
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(BYTES)
        writer.add_token_types([CONTROL] * 3 + [NORMAL] * (len(BYTES) - 3))
        writer.add_token_merges(MERGES)
        bos, eos, pad = 1, 2, 2
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_pad_token_id(pad)
    writer.add_add_bos_token(architecture == "gemma3")


def _as_stored(
    name: str, values: np.ndarray[Any, Any], config: Any
) -> tuple[str, np.ndarray[Any, Any]]:
    """Name and values as llama.cpp's converter writes them."""
    names = _GEMMA_NAMES if config.model_type == "gemma3_text" else _NAMES
    if name in _TOP:
        new = _TOP[name]
    else:
        _, _, layer, rest = name.split(".", 3)
        part, _, kind = rest.rpartition(".")
        new = f"blk.{layer}.{names[part]}.{kind}"
    if config.model_type == "gemma3_text" and new.endswith("norm.weight"):
        values = values + 1
    if config.model_type == "llama" and ("attn_q." in new or "attn_k." in new):
        n_heads = config.num_attention_heads if "attn_q." in new else config.num_key_value_heads
        halves = values.reshape(n_heads, 2, -1, *values.shape[1:])
        values = halves.swapaxes(1, 2).reshape(values.shape)
    return new, np.ascontiguousarray(values)


def states(model: nn.Module, n_words: int) -> torch.Tensor:
    ids = (torch.arange(24) * 7 % n_words)[None]
    with torch.inference_mode():
        logits: torch.Tensor = model(ids).logits
    return logits


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma3_text"])
@pytest.mark.parametrize("tied", [False, True])
def test_folder_computes_what_the_model_computed_that_was_written(
    tmp_path: Path, kind: str, tied: bool
) -> None:
    model = tiny_causal(kind, tie_word_embeddings=tied)
    folder = gguf_folder(write_gguf(tmp_path / "tiny.gguf", model), tmp_path / "cache")
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert loaded.state_dict().keys() == model.state_dict().keys()
    wanted = states(model, model.config.vocab_size)
    # Gemma's norms lose a last bit on their way through 1 + weight.
    torch.testing.assert_close(
        states(loaded, model.config.vocab_size), wanted, atol=1e-3, rtol=1e-3
    )


def test_quantised_weights_are_near_what_they_were(tmp_path: Path) -> None:
    model = tiny_causal("llama")
    path = write_gguf(tmp_path / "tiny.gguf", model, is_quantized=True)
    weights = dict(GGUFFile(path).weights())
    for name, tensor in model.state_dict().items():
        step = float(tensor.abs().max()) / 127  # of eight bits, at most
        np.testing.assert_allclose(weights[name], tensor.numpy(), atol=step / 2 + 1e-3)


def test_folder_is_bf16_and_says_where_it_comes_from(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_causal("llama"), template=TEMPLATE)
    said: list[str] = []
    backbone = resolve_backbone(str(path), cache=tmp_path / "cache", say=said.append)
    assert (backbone.name, backbone.family, backbone.licence) == ("tiny", "llama", "mit")
    assert backbone.pooling == ""
    assert said == [f"tiny.gguf: unpacking it to safetensors in {tmp_path / 'cache'}, once"]
    config = json.loads((backbone.path / "config.json").read_text(encoding="utf-8"))
    assert (config["rope_theta"], config["rms_norm_eps"], config["dtype"]) == (
        5000,
        1e-6,
        "bfloat16",
    )
    assert (backbone.path / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE
    resolve_backbone(str(path), cache=tmp_path / "cache", say=said.append)
    assert len(said) == 1


def test_changed_file_is_unpacked_anew(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_causal("llama"))
    first = gguf_folder(path, tmp_path / "cache")
    os.utime(path, ns=(1, 1))
    assert gguf_folder(path, tmp_path / "cache") != first


def test_file_without_a_template_gets_the_one_of_its_family(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_causal("gemma3_text"))
    for template in ("", GEMMA_TEMPLATE):
        folder = tmp_path / f"folder{len(template)}"
        folder.mkdir()
        write_gguf_folder(path, folder, default_template=template)
        assert (folder / "chat_template.jinja").is_file() == bool(template)


@pytest.mark.parametrize(
    ("pre", "tokens"),
    [
        ("smollm", ["hi", "ĠĠ", "1", "2", "<|im_end|>"]),  # single digits first, then GPT-2's
        ("gpt-2", ["hi", "Ġ", "Ġ", "12", "<|im_end|>"]),
        ("llama-bpe", ["hi", "Ġ", "Ġ", "12", "<|im_end|>"]),
        ("qwen2", ["hi", "Ġ", "Ġ", "1", "2", "<|im_end|>"]),
    ],
)
def test_text_is_cut_as_the_file_names_it(tmp_path: Path, pre: str, tokens: list[str]) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_causal("llama"), pre=pre)
    tokenizer = tokenizer_of(GGUFFile(path))
    assert tokenizer.encode("hi  12<|im_end|>").tokens == tokens


def test_bytes_of_any_text_come_back(tmp_path: Path) -> None:
    for kind in ("llama", "gemma3_text"):
        path = write_gguf(tmp_path / "tiny.gguf", tiny_causal(kind))
        tokenizer = tokenizer_of(GGUFFile(path))
        text = "a  ab\n\n我的包裹 é 😀 hi\tx"
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_pieces_of_gemma_are_merged_in_their_order(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_causal("gemma3_text"))
    tokenizer = tokenizer_of(GGUFFile(path))
    tokens = tokenizer.encode("<start_of_turn>c ab  ab\n\n").tokens
    assert tokens == ["<start_of_turn>", "c", "▁ab", "▁▁", "ab", "\n\n"]


def test_tokenizer_folder_loads_by_transformers_with_its_special_tokens(tmp_path: Path) -> None:
    folder = gguf_folder(
        write_gguf(tmp_path / "tiny.gguf", tiny_causal("llama")), tmp_path / "cache"
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (
        tokenizer("hi").input_ids
        == Tokenizer.from_file(str(folder / "tokenizer.json")).encode("hi").ids
    )


def test_what_is_not_read_is_refused_by_name(tmp_path: Path) -> None:
    model = tiny_causal("llama")
    path = write_gguf(tmp_path / "long.gguf", model, extra="rope_freqs.weight")
    with pytest.raises(
        WeightsError, match=r"long\.gguf: has rope_freqs\.weight, which is not read"
    ):
        GGUFFile(path)
    path = write_gguf(tmp_path / "odd.gguf", model, pre="tekken")
    with pytest.raises(WeightsError, match="a vocabulary of the kind 'gpt2', cut by 'tekken'"):
        gguf_folder(path, tmp_path / "cache")
    writer = GGUFWriter(tmp_path / "mamba.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(WeightsError, match="architecture mamba; llama, qwen2, qwen3, gemma3 can"):
        GGUFFile(tmp_path / "mamba.gguf")


@pytest.mark.parametrize("content", [b"", b"PK no GGUF at all, but long enough to be read" * 9])
def test_file_that_is_no_gguf_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.gguf: cannot be read as GGUF"):
        GGUFFile(tmp_path / "bad.gguf")


def test_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "short.gguf", tiny_causal("llama"))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(WeightsError, match=r"short\.gguf: cannot be read as GGUF"):
        GGUFFile(path)
    with pytest.raises(WeightsError, match=r"none\.gguf: is not there; check the path"):
        resolve_backbone(str(tmp_path / "none.gguf"), cache=tmp_path / "cache")


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        MissingExtraError, match=r"'gguf' is not installed; pip .*tailorbird\[causal"
    ):
        GGUFFile(tmp_path / "any.gguf")


@pytest.mark.weights
def test_smollm2_is_its_gguf_and_speaks(weights_cache: Path) -> None:
    backbone = resolve_backbone("smollm2", cache=weights_cache)
    assert (backbone.name, backbone.family) == ("SmolLM2-135M-Instruct", "llama")
    assert backbone.licence == "Apache-2.0"
    tokenizer = AutoTokenizer.from_pretrained(backbone.path)
    model = AutoModelForCausalLM.from_pretrained(backbone.path, dtype=torch.float32).eval()
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        logits = model(ids).logits[0, -1]
    assert tokenizer.decode(int(logits.argmax())) == " Paris"
    (path,) = EMBEDDED["smollm2"].weights.find()
    name, values = next(GGUFFile(path).weights())
    stored = model.state_dict()[name]
    assert torch.equal(stored, torch.from_numpy(values).bfloat16().float())
