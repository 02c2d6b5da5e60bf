"""Random models of 32 dimensions in hub form: what tests tune in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_tiny_backbone(folder: Path, *, n_layers: int = 2, seed: int = 0) -> Path:
    """A random two-layer BERT of 32 dimensions in hub form, with a tokenizer of single characters.

    Loads in milliseconds by `tailorbird.modeling` and by `AutoModel.from_pretrained`, and learns
    small tasks; returns *folder*, a value for ``model.backbone``.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=_write_tiny_tokenizer(folder),
        hidden_size=32,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_tiny_decoder(
    folder: Path, kind: str = "llama", *, n_layers: int = 2, seed: int = 0, **options: Any
) -> Path:
    """A random causal language model of 32 dimensions in hub form, with the same tokenizer.

    Args:
        folder: returned; made if missing.
        kind: its ``model_type``: llama, mistral, qwen2, qwen3, gemma3_text.
        n_layers: how many layers.
        seed: of its weights; norms and biases are random, too, so that a test sees them.
        options: further keys of its config, as ``tie_word_embeddings=True``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
        "initializer_range": 0.15,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    vocabulary = {"vocab_size": _write_tiny_tokenizer(folder)}
    config = AutoConfig.for_model(kind, **sizes | vocabulary | options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(folder)
    return folder


def _write_tiny_tokenizer(folder: Path) -> int:
    """A tokenizer of single characters in *folder*; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)] + list("我的包裹退款还没到钱要想查订单")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: index for index, token in enumerate([*specials, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    ).save_pretrained(folder)
    return len(vocabulary)
