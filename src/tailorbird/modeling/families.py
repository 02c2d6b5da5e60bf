"""The BERT family as it is on hubs: what each member calls its sizes and its tensors.

One packed forward (`encoder.py`) serves them all; they differ in words and in few facts:

| family | positions begin at | token types | of its own |
| --- | --- | --- | --- |
| BERT (also MacBERT, BERT-wwm, BGE, E5, MiniLM, GTE) | 0 | yes | |
| RoBERTa, XLM-RoBERTa, CamemBERT | padding id + 1 | one | |
| DistilBERT | 0 | none | names of its own |
| ELECTRA | 0 | yes | narrow embeddings, projected to the width |

Sources: the modeling files of transformers 5; Devlin et al. 2019 (BERT), Liu et al. 2019 (RoBERTa),
Conneau et al. 2020 (XLM-R), Sanh et al. 2019 (DistilBERT), Clark et al. 2020 (ELECTRA).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.errors import WeightsError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_fast": partial(F.gelu, approximate="tanh"),
    "gelu_accurate": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
}
"""Between the two products of a feed-forward block, by its name in ``config.json``."""

_BERT_KEYS = {
    "width": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "ffn_width": "intermediate_size",
    "n_words": "vocab_size",
    "n_positions": "max_position_embeddings",
    "n_types": "type_vocab_size",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
}
_BERT_DEFAULTS: dict[str, Any] = {
    "width": 768,
    "embedding_width": 0,  # 0: the width
    "n_layers": 12,
    "n_heads": 12,
    "ffn_width": 3072,
    "n_positions": 512,
    "n_types": 2,
    "eps": 1e-12,
    "activation": "gelu",
}
_BERT_EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "types": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "widen": "embeddings_project",
}
_BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
    "ffn_norm": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the packed forward must know of a checkpoint, in the words of this project."""

    width: int
    """D."""
    embedding_width: int
    """Columns of the embedding tables; D, but for small ELECTRAs."""
    n_layers: int
    n_heads: int
    """H."""
    ffn_width: int
    n_words: int
    """V, rows of the word table."""
    n_positions: int
    """Rows of the position table, those before the first position included."""
    first_position: int
    """The row of each text's first token."""
    n_types: int
    """Rows of the token type table; 0 where there is none."""
    eps: float
    activation: str


@dataclass(frozen=True, slots=True)
class Family:
    """How the checkpoints of one architecture are written."""

    prefix: str
    """Before the name of every tensor where the checkpoint holds a head as well."""
    keys: Mapping[str, str] = field(default_factory=lambda: _BERT_KEYS)
    """A field of `Sizes` → its key in ``config.json``."""
    defaults: Mapping[str, Any] = field(default_factory=lambda: _BERT_DEFAULTS)
    """What a missing key means."""
    embeddings: Mapping[str, str] = field(default_factory=lambda: _BERT_EMBEDDINGS)
    """Our modules outside the layers → theirs."""
    layers: str = "encoder.layer"
    layer: Mapping[str, str] = field(default_factory=lambda: _BERT_LAYER)
    """Our modules of a layer → theirs."""
    pad_id: int | None = None
    """Where positions begin after the padding id: that id, should the config have none."""


_ROBERTA = Family("roberta.", pad_id=1)
_DISTILBERT = Family(
    "distilbert.",
    keys={
        "width": "dim",
        "n_layers": "n_layers",
        "n_heads": "n_heads",
        "ffn_width": "hidden_dim",
        "n_words": "vocab_size",
        "n_positions": "max_position_embeddings",
        "activation": "activation",
    },
    defaults=_BERT_DEFAULTS | {"n_layers": 6, "n_types": 0},
    layers="transformer.layer",
    layer={
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_out": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "ffn_in": "ffn.lin1",
        "ffn_out": "ffn.lin2",
        "ffn_norm": "output_layer_norm",
    },
)
_ELECTRA = Family(
    "electra.",
    keys=_BERT_KEYS | {"embedding_width": "embedding_size"},
    defaults=_BERT_DEFAULTS
    | {"width": 256, "embedding_width": 128, "n_heads": 4, "ffn_width": 1024},
)

FAMILIES: dict[str, Family] = {
    "bert": Family("bert."),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "electra": _ELECTRA,
}
"""``model_type`` of a ``config.json`` → the family; all others run by `AutoModel`."""


def read_sizes(config: Mapping[str, Any]) -> Sizes:
    """The sizes that a ``config.json`` of one of the `FAMILIES` states.

    >>> sizes = read_sizes({"model_type": "roberta", "vocab_size": 9, "pad_token_id": 1})
    >>> sizes.width, sizes.first_position, sizes.n_types
    (768, 2, 2)
    """
    family = FAMILIES[config["model_type"]]
    found = {name: config[key] for name, key in family.keys.items() if config.get(key) is not None}
    values: dict[str, Any] = {**family.defaults, **found}
    values["embedding_width"] = values["embedding_width"] or values["width"]
    first = 0
    if family.pad_id is not None:
        given = config.get("pad_token_id")
        first = (family.pad_id if given is None else int(given)) + 1
    return Sizes(**values, first_position=first)


def why_not_packed(config: Mapping[str, Any]) -> str:
    """Why the packed forward cannot compute this model; empty where it can.

    >>> why_not_packed({"model_type": "mpnet"})
    'no packed forward for mpnet'
    >>> why_not_packed({"model_type": "bert", "vocab_size": 9, "is_decoder": True})
    'is_decoder is set: its tokens see only those before them'
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        return f"no packed forward for {kind}"
    for key, meaning in _UNLIKE.items():
        if config.get(key):
            return f"{key} is set: {meaning}"
    if config.get("vocab_size") is None:
        return "config.json has no vocab_size"
    sizes = read_sizes(config)
    if sizes.activation not in ACTIVATIONS:
        return f"no packed forward with the activation {sizes.activation}"
    if sizes.width % sizes.n_heads:
        return f"a width of {sizes.width} does not divide into {sizes.n_heads} heads"
    return ""


_UNLIKE = {
    "is_decoder": "its tokens see only those before them",
    "add_cross_attention": "its layers look at a second text",
    "pruned_heads": "its layers have different sizes",
    "quantization_config": "its weights are not plain numbers",
}
"""Keys that make a model another one than its ``model_type`` says."""


def refuse_unknown_positions(config: Mapping[str, Any], *, where: str) -> None:
    """Raise WeightsError where positions are not a table of their own.

    transformers 5 does not know the key any more and would give the states of another model.
    """
    kind = config.get("position_embedding_type") or "absolute"
    if config.get("model_type") in FAMILIES and kind != "absolute":
        raise WeightsError(
            f"position_embedding_type is {kind}; absolute is what can be computed",
            where=f"{where}/config.json",
            cure="use a model with absolute positions, or minilm or e5",
        )


def hub_name(name: str, model_type: str = "bert") -> str:
    """The name that hub checkpoints of *model_type* give our module or parameter *name*.

    >>> hub_name("layers.3.query.weight"), hub_name("layers.3.query.weight", "distilbert")
    ('encoder.layer.3.attention.self.query.weight', 'transformer.layer.3.attention.q_lin.weight')
    """
    family = FAMILIES[model_type]
    top, _, rest = name.partition(".")
    if top != "layers":
        return family.embeddings[top] + (f".{rest}" if rest else "")
    index, module, *part = rest.split(".")
    return ".".join([family.layers, index, family.layer[module], *part])
