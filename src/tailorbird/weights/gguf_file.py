"""GGUF files of llama.cpp: sizes, weights and words, in the names that hub folders have.

The package ``gguf`` parses the file and unpacks its quantised blocks; what is here is how four
architectures are spelled. Two of them are stored otherwise than on hubs and are turned back:

- llama: rows of the query and key matrices are interleaved, pair by pair, for llama.cpp's rotation;
- gemma3: norms are stored as 1 + weight.

Source: ``convert_hf_to_gguf.py`` and ``gguf-py`` of llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import WeightsError, missing_extra

_SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "context_length": "max_position_embeddings",
}
_IDS = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "padding_token_id": "pad_token_id",
}
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_LAYERS: dict[str, dict[str, str]] = {
    "llama": _LAYER,
    "qwen2": _LAYER,
    "qwen3": _LAYER | _HEAD_NORMS,
    "gemma3": _LAYER
    | _HEAD_NORMS
    | {
        "ffn_norm": "pre_feedforward_layernorm",
        "post_attention_norm": "post_attention_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}
"""Architecture → tensors of a layer, ours → the hub's."""
_CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
}
_SILU = {"hidden_act": "silu"}
_GEMMA3_LAYERS_OF_27B = 62  # the one Gemma 3 whose queries are not scaled by the width of a head


class GGUFFile:
    """An open GGUF file.

    Raises MissingExtraError without the package ``gguf``, WeightsError where the file is none, or
    of an architecture or with extensions that are not known here.
    """

    def __init__(self, path: Path) -> None:
        try:
            from gguf import GGUFReader
        except ImportError as error:
            raise missing_extra("gguf", extra="causal") from error
        self.path = path
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise WeightsError(
                f"cannot be read as GGUF ({str(error).strip() or type(error).__name__})",
                where=str(path),
                cure="fetch the file again; it may be cut off",
            ) from error
        self._values: dict[str, Any] = {}
        self.architecture = str(self.get("general.architecture", ""))
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self._refuse_unknown()

    def get(self, key: str, default: Any = None) -> Any:
        """The value under *key*: a number, a string or a list."""
        if key not in self._values:  # a vocabulary takes seconds to read
            field = self._reader.get_field(key)
            self._values[key] = None if field is None else field.contents()
        found = self._values[key]
        return default if found is None else found

    def size(self, key: str, default: Any = None) -> Any:
        """The value under *key* of the architecture; WeightsError where it is missing."""
        found = self.get(f"{self.architecture}.{key}", default)
        if found is None:
            raise self._error(f"has no {self.architecture}.{key}", "the file is not whole")
        return found

    @property
    def n_tensors(self) -> int:
        """How many tensors there are."""
        return len(self._tensors)

    def config(self) -> dict[str, Any]:
        """The ``config.json`` of the model, as hubs write it."""
        sizes = {name: int(self.size(key)) for key, name in _SIZES.items()}
        n_heads = sizes["num_attention_heads"]
        config: dict[str, Any] = {
            "architectures": [_CLASSES[self.architecture]],
            "model_type": "gemma3_text" if self.architecture == "gemma3" else self.architecture,
            **sizes,
            "num_key_value_heads": int(self.size("attention.head_count_kv", n_heads)),
            "head_dim": self._head_width(sizes["hidden_size"] // n_heads),
            "vocab_size": int(self._tensors["token_embd.weight"].shape[-1]),
            "rms_norm_eps": _rounded(self.size("attention.layer_norm_rms_epsilon")),
            "rope_theta": _rounded(self.size("rope.freq_base", 10000.0)),
            "tie_word_embeddings": "output.weight" not in self._tensors,
            "attention_bias": "blk.0.attn_output.bias" in self._tensors,
            "attention_dropout": 0.0,
            "dtype": "bfloat16",
        }
        for key, name in _IDS.items():
            found = self.get(f"tokenizer.ggml.{key}")
            config[name] = None if found is None else int(found)
        return config | (self._gemma3(config) if self.architecture == "gemma3" else _SILU)

    def weights(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tensor under its hub name, unpacked to fp32, one at a time."""
        from gguf.quants import dequantize

        for name, tensor in self._tensors.items():
            try:
                values = dequantize(tensor.data, tensor.tensor_type)
            except (NotImplementedError, ValueError) as error:
                raise self._error(
                    f"tensor {name} is {tensor.tensor_type.name}, which cannot be unpacked",
                    "use a file with Q4_0 to Q8_0, a K kind, F16 or BF16",
                ) from error
            yield self._hub_name(name), self._turned_back(name, np.array(values, np.float32))

    def _hub_name(self, name: str) -> str:
        if found := re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name):
            layer = _LAYERS[self.architecture].get(found[2])
            return f"model.layers.{found[1]}.{layer}.{found[3]}" if layer else ""
        top, _, kind = name.rpartition(".")
        return f"{_TOP[top]}.{kind}" if top in _TOP else ""

    def _turned_back(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the hub has it: the two architectures that llama.cpp stores otherwise."""
        if self.architecture == "gemma3" and name.endswith("norm.weight"):
            return values - 1
        kind = re.fullmatch(r"blk\.\d+\.(attn_q|attn_k)\.(?:weight|bias)", name)
        if self.architecture != "llama" or kind is None:
            return values
        n_heads = int(self.size("attention.head_count"))
        if kind[1] == "attn_k":
            n_heads = int(self.size("attention.head_count_kv", n_heads))
        # (heads, pairs, 2, in) → (heads, 2, pairs, in): first halves first, as rotate_half wants
        pairs = values.reshape(n_heads, -1, 2, *values.shape[1:])
        return pairs.swapaxes(1, 2).reshape(values.shape)

    def _head_width(self, default: int) -> int:
        key = "rope.dimension_count" if self.architecture == "llama" else "attention.key_length"
        return int(self.size(key, default))

    def _gemma3(self, config: dict[str, Any]) -> dict[str, Any]:
        """What Gemma 3 has beside the others; its pattern and local base are not in the file."""
        scale = config["head_dim"]
        if config["num_hidden_layers"] == _GEMMA3_LAYERS_OF_27B:
            scale = config["hidden_size"] // config["num_attention_heads"]
        every = 6  # five layers that look back a window, then one that looks back to the start
        kinds = [
            "sliding_attention" if (i + 1) % every else "full_attention"
            for i in range(config["num_hidden_layers"])
        ]
        return {
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": scale,
            "sliding_window": int(self.size("attention.sliding_window", 512)),
            "layer_types": kinds,
            "rope_local_base_freq": 10000.0,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
        }

    def _refuse_unknown(self) -> None:
        if self.architecture not in _LAYERS:
            raise self._error(
                f"is of the architecture {self.architecture or 'nobody says which'};"
                f" {', '.join(_LAYERS)} can be read",
                "name the model's folder with safetensors instead",
            )
        scaling = self.get(f"{self.architecture}.rope.scaling.type", "none")
        foreign = [name for name in self._tensors if not self._hub_name(name)]
        if scaling != "none" or foreign:
            raise self._error(
                f"has {foreign[0] if foreign else f'positions scaled by {scaling}'},"
                " which is not read from GGUF",
                "name the model's folder with safetensors instead",
            )
        if "token_embd.weight" not in self._tensors:
            raise self._error("has no tensor token_embd.weight", "the file is not whole")

    def _error(self, what: str, cure: str) -> WeightsError:
        return WeightsError(what, where=str(self.path), cure=cure)


def _rounded(value: float) -> float:
    """The decimal that was meant, after its trip through f32: 1e-05, not 9.99999974e-06."""
    return float(f"{value:.6g}")
