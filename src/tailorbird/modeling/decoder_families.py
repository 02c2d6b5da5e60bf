"""The Llama family as it is on hubs: decoders that one packed forward (`decoder.py`) computes.

| family | biases | of its own |
| --- | --- | --- |
| Llama (also SmolLM2, Yi, many more) | where its config says so | |
| Mistral | none | a window over the last tokens, in older ones |
| Qwen2 | queries, keys, values | a window in upper layers, where switched on |
| Qwen3 | where its config says so | norms of queries and keys |
| Gemma 3 (text) | where its config says so | norms of queries, keys and what sublayers give; \
scaled embeddings; windows with positions of their own |

Sources: the modeling files of transformers 5; Touvron et al. 2023 (Llama), section 2.2; Jiang et
al. 2023 (Mistral), section 2; Qwen team 2024 (Qwen2) and 2025 (Qwen3), section 2; Gemma team 2025
(Gemma 3), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tailorbird.modeling.families import ACTIVATIONS
from tailorbird.modeling.rotary import Rope, read_rope

PREFIX = "model."
"""Before the names of a causal language model's own tensors, all but those of its head."""

_LAYER = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "attention_out": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_in": "mlp.up_proj",
    "ffn_out": "mlp.down_proj",
}
_GEMMA_LAYER = _LAYER | {
    "attention_out_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_out_norm": "post_feedforward_layernorm",
}


@dataclass(frozen=True, slots=True)
class DecoderFamily:
    """What a ``model_type`` says without its ``config.json`` saying it."""

    layer: Mapping[str, str] = field(default_factory=lambda: _LAYER)
    """Our modules of a layer → theirs."""
    activation_key: str = "hidden_act"
    head_width: int = 0
    """Where the config has none; 0: the width divided by the number of heads."""
    n_positions: int = 32_768
    n_kv_heads: int = 0
    """Where the config has none; 0: as many as heads."""
    has_qkv_bias: bool = False
    """Whatever the config says; the other families read ``attention_bias``."""
    reads_biases: bool = True
    has_ffn_biases: bool = False
    """Whether ``mlp_bias`` is read."""
    has_qk_norm: bool = False
    is_gemma: bool = False
    is_tied: bool = False


DECODER_FAMILIES: dict[str, DecoderFamily] = {
    "llama": DecoderFamily(n_positions=2048, has_ffn_biases=True),
    "mistral": DecoderFamily(n_positions=131_072, n_kv_heads=8, reads_biases=False),
    "qwen2": DecoderFamily(has_qkv_bias=True, n_kv_heads=32, reads_biases=False),
    "qwen3": DecoderFamily(head_width=128, n_kv_heads=32, has_qk_norm=True),
    "gemma3_text": DecoderFamily(
        layer=_GEMMA_LAYER,
        activation_key="hidden_activation",
        head_width=256,
        n_positions=131_072,
        n_kv_heads=4,
        has_qk_norm=True,
        is_gemma=True,
        is_tied=True,
    ),
}
"""``model_type`` of a ``config.json`` → the family; all others run by `AutoModelForCausalLM`."""


@dataclass(frozen=True, slots=True)
class DecoderSizes:
    """What the packed forward must know of a checkpoint, in the words of this project."""

    width: int
    """D."""
    n_layers: int
    n_heads: int
    """H."""
    n_kv_heads: int
    """G."""
    head_width: int
    """E; H E need not be D."""
    ffn_width: int
    n_words: int
    """V, rows of the word table."""
    n_positions: int
    """The longest text it was trained on."""
    eps: float
    activation: str
    query_scale: float
    """What queries are multiplied by; one over the root of a head's width in all but Gemma."""
    word_scale: float
    """What rows of the word table are multiplied by."""
    norm_offset: float
    """What is added to the weights of norms: 1 in Gemma, whose weights stand around zero."""
    has_qkv_bias: bool
    has_out_bias: bool
    has_ffn_bias: bool
    has_qk_norm: bool
    has_out_norms: bool
    """Whether what a sublayer gives is normed before it is added."""
    windows: tuple[int, ...]
    """How many tokens each layer looks back, itself included; 0: all."""
    ropes: tuple[Rope, ...]
    """Rotary positions of each layer."""


def read_decoder_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """The sizes that a ``config.json`` of one of the `DECODER_FAMILIES` states.

    >>> config = {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14}
    >>> config |= {"num_hidden_layers": 24, "intermediate_size": 4864, "vocab_size": 151936}
    >>> sizes = read_decoder_sizes(config | {"num_key_value_heads": 2})
    >>> sizes.head_width, sizes.n_kv_heads, sizes.has_qkv_bias, sizes.windows[0]
    (64, 2, True, 0)
    """
    family = DECODER_FAMILIES[config["model_type"]]
    width, n_heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    n_layers = int(config["num_hidden_layers"])
    head_width = int(config.get("head_dim") or family.head_width or width // n_heads)
    has_bias = family.reads_biases and bool(config.get("attention_bias"))
    types = layer_types(config, n_layers)
    ropes = [_rope(config, kind) for kind in types]
    return DecoderSizes(
        width=width,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=int(_given(config, "num_key_value_heads", family.n_kv_heads or n_heads)),
        head_width=head_width,
        ffn_width=int(config["intermediate_size"]),
        n_words=int(config["vocab_size"]),
        n_positions=int(_given(config, "max_position_embeddings", family.n_positions)),
        eps=float(_given(config, "rms_norm_eps", 1e-6)),
        activation=activation_of(config),
        query_scale=float(_given(config, "query_pre_attn_scalar", 256)) ** -0.5
        if family.is_gemma
        else head_width**-0.5,
        word_scale=width**0.5 if family.is_gemma else 1.0,
        norm_offset=1.0 if family.is_gemma else 0.0,
        has_qkv_bias=family.has_qkv_bias or has_bias,
        has_out_bias=has_bias,
        has_ffn_bias=family.has_ffn_biases and bool(config.get("mlp_bias")),
        has_qk_norm=family.has_qk_norm,
        has_out_norms=family.is_gemma,
        windows=tuple(_window(config) if kind == "sliding_attention" else 0 for kind in types),
        ropes=tuple(rope for rope in ropes if isinstance(rope, Rope)),
    )


def activation_of(config: Mapping[str, Any]) -> str:
    """The name of the function between the products of a feed-forward block."""
    family = DECODER_FAMILIES[config["model_type"]]
    default = "gelu_pytorch_tanh" if family.is_gemma else "silu"
    return str(config.get(family.activation_key) or default)


def layer_types(config: Mapping[str, Any], n_layers: int) -> list[str]:
    """``full_attention`` or ``sliding_attention``, of each layer.

    >>> layer_types({"model_type": "gemma3_text", "sliding_window_pattern": 3}, 3)
    ['sliding_attention', 'sliding_attention', 'full_attention']
    """
    kind, given = config["model_type"], config.get("layer_types")
    full, sliding = "full_attention", "sliding_attention"
    if kind == "llama":
        return [full] * n_layers
    if kind == "mistral":
        return [sliding if _window(config) else full] * n_layers
    if given:
        return list(given)
    if kind == "gemma3_text":
        every = int(config.get("sliding_window_pattern") or 6)
        return [sliding if (i + 1) % every else full for i in range(n_layers)]
    is_on = config.get("use_sliding_window") and _window(config)
    first = int(_given(config, "max_window_layers", 28))
    return [sliding if is_on and i >= first else full for i in range(n_layers)]


def why_not_packed_decoder(config: Mapping[str, Any]) -> str:
    """Why the packed forward cannot compute this decoder; empty where it can.

    >>> why_not_packed_decoder({"model_type": "gpt2"})
    'no packed forward for gpt2'
    """
    kind = config.get("model_type")
    if kind not in DECODER_FAMILIES:
        return f"no packed forward for {kind}"
    for key, meaning in _UNLIKE.items():
        if config.get(key):
            return f"{key} is set: {meaning}"
    for key in _NEEDED:
        if config.get(key) is None:
            return f"config.json has no {key}"
    if activation_of(config) not in ACTIVATIONS:
        return f"no packed forward with the activation {activation_of(config)}"
    types = layer_types(config, int(config["num_hidden_layers"]))
    unknown = set(types) - {"full_attention", "sliding_attention"}
    if unknown:
        return f"no packed forward for layers of the type {min(unknown)}"
    if "sliding_attention" in types and not _window(config):
        return "config.json has no sliding_window"
    for name in types:
        rope = _rope(config, name)
        if isinstance(rope, str):
            return rope
    sizes = read_decoder_sizes(config)
    if sizes.n_heads % sizes.n_kv_heads:
        return f"{sizes.n_heads} heads do not share {sizes.n_kv_heads} of keys and values evenly"
    if sizes.head_width % 2:
        return f"heads of {sizes.head_width} columns, which do not form pairs"
    return ""


_NEEDED = (
    *("hidden_size", "num_attention_heads", "num_hidden_layers"),
    *("intermediate_size", "vocab_size"),
)
_UNLIKE = {
    "attn_logit_softcapping": "its attention weights are bounded",
    "use_bidirectional_attention": "its tokens see those after them",
    "quantization_config": "its weights are not plain numbers",
}
"""Keys that make a model another one than its ``model_type`` says."""


def decoder_hub_name(name: str, model_type: str) -> str:
    """The name that hub checkpoints of *model_type* give our module or parameter *name*.

    >>> decoder_hub_name("words.weight", "qwen2"), decoder_hub_name("layers.3.key.bias", "qwen2")
    ('model.embed_tokens.weight', 'model.layers.3.self_attn.k_proj.bias')
    """
    top, _, rest = name.partition(".")
    if top != "layers":
        top = {"words": "embed_tokens"}.get(top, top)
        return f"{PREFIX}{top}" + (f".{rest}" if rest else "")
    index, module, *part = rest.split(".")
    layer = DECODER_FAMILIES[model_type].layer
    return PREFIX + ".".join(["layers", index, layer[module], *part])


def _rope(config: Mapping[str, Any], layer_type: str) -> Rope | str:
    """The rotary positions of layers of *layer_type*; Gemma's two types have their own."""
    if config["model_type"] != "gemma3_text":
        return read_rope(config)
    is_full = layer_type == "full_attention"
    own = dict((config.get("rope_parameters") or {}).get(layer_type) or {})
    own |= (config.get("rope_scaling") or {}) if is_full else {}
    key, theta = ("rope_theta", 1_000_000.0) if is_full else ("rope_local_base_freq", 10_000.0)
    own.setdefault("rope_theta", _given(config, key, theta))
    return read_rope(
        {"rope_parameters": own, "max_position_embeddings": config.get("max_position_embeddings")}
    )


def _window(config: Mapping[str, Any]) -> int:
    """How many tokens layers with a window look back; what a missing key means is 4096."""
    return int(config.get("sliding_window", 4096) or 0)


def _given(config: Mapping[str, Any], key: str, default: Any) -> Any:
    value = config.get(key)
    return default if value is None else value
