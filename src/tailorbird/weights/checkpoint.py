"""Tensors out of a hub folder: one safetensors file or several with an index; never a pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tailorbird.errors import WeightsError

INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
HOW_TO_CONVERT = (
    "pickled weights are never loaded: convert them with"
    " AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
)
_TF_NAMES = {".gamma": ".weight", ".beta": ".bias"}
"""Norms in checkpoints that were once made from TensorFlow's, bert-base-uncased among them."""


def holds_pickles_only(folder: Path) -> bool:
    """Whether the weights of *folder* are there, but pickled."""
    is_pickled = any(path for pattern in PICKLES for path in folder.glob(pattern))
    return is_pickled and not any(folder.glob("*.safetensors"))


class Checkpoint:
    """The tensors of a hub folder, under the names they have without the prefix of a head.

    Raises WeightsError where there are none, where a file of the index is missing or broken.
    """

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        self.folder = folder
        self._places: dict[str, tuple[Path, str]] = {}  # name → file and the name there
        for path in _files(folder):
            for name in _names(path):
                plain = re.sub(r"\.(gamma|beta)$", lambda end: _TF_NAMES[end[0]], name)
                self._places[plain.removeprefix(prefix)] = path, name

    @property
    def names(self) -> frozenset[str]:
        """Every tensor there is, those of heads included."""
        return frozenset(self._places)

    def read(self, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """The tensors named in *shapes*, in fp32; only they are read from the disk.

        Raises WeightsError where one is missing or has another shape.
        """
        wanted: dict[Path, list[str]] = {}
        for name in shapes:
            if name not in self._places:
                raise WeightsError(
                    f"has no tensor {name}",
                    where=str(self.folder),
                    cure="the weights are not whole, or not of the kind that config.json names;"
                    " fetch the folder again",
                )
            wanted.setdefault(self._places[name][0], []).append(name)
        tensors: dict[str, Tensor] = {}
        for path, names in wanted.items():
            with safe_open(path, framework="pt") as file:
                for name in names:
                    tensors[name] = file.get_tensor(self._places[name][1]).float()
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                raise WeightsError(
                    f"tensor {name} is {_by(tensors[name].shape)}, by config.json {_by(shape)}",
                    where=str(self.folder),
                    cure="weights and config.json belong to different models; fetch both again",
                )
        return tensors


def _files(folder: Path) -> list[Path]:
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / INDEX
    if not index.is_file():
        cure = HOW_TO_CONVERT if holds_pickles_only(folder) else ""
        raise WeightsError("has no model.safetensors", where=str(folder), cure=cure)
    try:
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError("is no index of safetensors files", where=str(index)) from error
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"names {missing[0]}, which is not there",
            where=str(index),
            cure="fetch the folder again",
        )
    return [folder / name for name in files]


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot be read ({error})", where=str(path), cure="fetch the file again"
        ) from error


def _by(shape: torch.Size) -> str:
    return " × ".join(map(str, shape))
