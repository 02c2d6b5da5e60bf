"""GGUF files as folders in hub form: bf16 safetensors, config, tokenizer, chat template."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tailorbird.errors import WeightsError
from tailorbird.weights.gguf_file import GGUFFile
from tailorbird.weights.gguf_words import special_tokens_of, tokenizer_of
from tailorbird.weights.unpacked import whole_folder, write_json

TEMPLATE_FILE = "chat_template.jinja"
"""Where a model folder has its chat template, for transformers too."""


def gguf_folder(path: Path, cache: Path, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder in the *cache* for a GGUF file of the user; written at the first call.

    A file that was changed gets a folder of its own. Raises as `GGUFFile` does.
    """
    if not path.is_file():
        raise WeightsError("is not there", where=str(path), cure="check the path")
    path = path.resolve()
    facts = path.stat()
    mark = hashlib.sha256(f"{path}|{facts.st_size}|{facts.st_mtime_ns}".encode()).hexdigest()[:8]

    def write(folder: Path) -> dict[str, Any]:
        say(f"{path.name}: unpacking it to safetensors in {cache}, once")
        return write_gguf_folder(path, folder)

    return whole_folder(cache / f"{path.stem}-{mark}", write)


def write_gguf_folder(path: Path, folder: Path, *, default_template: str = "") -> dict[str, Any]:
    """Fill *folder* from the GGUF file at *path*; returns what is known of its origin.

    Args:
        path: of an architecture that `GGUFFile` reads.
        folder: exists, and is empty.
        default_template: the chat template where the file brings none.

    Weights are written in bf16, in which such models are published: what it rounds off is a
    hundredth of what their quantisation did.
    """
    file = GGUFFile(path)
    config = file.config()
    tokenizer_of(file).save(str(folder / "tokenizer.json"), pretty=False)
    special_tokens = special_tokens_of(file)
    write_json(folder / "special_tokens_map.json", special_tokens)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config["max_position_embeddings"],
            "add_bos_token": bool(file.get("tokenizer.ggml.add_bos_token", False)),
            "clean_up_tokenization_spaces": False,
            **special_tokens,
        },
    )
    template = file.get("tokenizer.chat_template", default_template)
    if template:
        (folder / TEMPLATE_FILE).write_text(template, encoding="utf-8")
    write_json(folder / "config.json", config)
    tensors = {name: torch.from_numpy(w).to(torch.bfloat16) for name, w in file.weights()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return {
        "model": path.stem,
        "licence": str(file.get("general.license", "")),
        "pooling": "",
        "query_prefix": "",
    }
