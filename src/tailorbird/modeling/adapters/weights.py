"""What was tuned over a trunk, as one value: the weights of a user, a trial, a fold or a seed.

Shape letters: R rank; a linear layer's weight is (out, in).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError, WeightsError

_FACTS, _HEAD, _BODY = "tailorbird", "head.", "backbone."


@dataclass(frozen=True, slots=True, eq=False)
class LoraFactors:
    """The term ``s B A`` that LoRA adds to one weight."""

    a: Tensor  # (R, in)
    b: Tensor  # (out, R)
    scale: float
    down: Tensor = field(init=False, repr=False)  # (in, R)
    up: Tensor = field(init=False, repr=False)
    """(R, out); both are views that a batch of hundreds of users need not make again."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "down", self.a.mT)
        object.__setattr__(self, "up", self.b.mT)


def trunk_hash(backbone: nn.Module) -> str:
    """32 hexadecimal digits over the pretrained weights of a backbone without adapters.

    It is the `AdapterWeights.trunk` of everything that is tuned over them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class AdapterWeights:
    """Everything that was tuned over a trunk that stayed as it was, and what it needs to be used.

    Two of the same content have the same `hash`, whoever they belong to; facts do not count.
    """

    settings: MethodSettings
    n_frozen: int
    tensors: Mapping[str, Tensor]
    """What was tuned or added, by its name inside the backbone."""
    head: Mapping[str, Tensor]
    """The head's own tensors, by name."""
    labels: tuple[str, ...] = ()
    trunk: str = ""
    """Names the pretrained weights that it belongs to."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, JSON-ready: rows, scores, seed."""

    @cached_property
    def hash(self) -> str:
        """64 hexadecimal digits over all that changes an answer."""
        facts = [asdict(self.settings), self.n_frozen, list(self.labels), self.trunk]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(self.named().items()):
            kept = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {tuple(kept.shape)} {kept.dtype}".encode())
            digest.update(kept.view(-1).numpy().tobytes())
        return digest.hexdigest()

    @property
    def n_bytes(self) -> int:
        """What its tensors take in memory."""
        return sum(tensor.nbytes for tensor in self.named().values())

    def named(self) -> dict[str, Tensor]:
        """All tensors, those of the body and of the head told apart by their first word."""
        body = {f"{_BODY}{name}": tensor for name, tensor in self.tensors.items()}
        return body | {f"{_HEAD}{name}": tensor for name, tensor in self.head.items()}

    def lora(self) -> dict[str, LoraFactors]:
        """The low-rank terms by the linear layer they are on.

        Raises ConfigError where it is no plain LoRA, so that it cannot share a batch with others.
        """
        settings = self.settings
        if settings.name != "lora" or settings.dora:
            kind = "DoRA" if settings.name == "lora" else settings.name
            raise ConfigError(
                f"an adapter of the kind {kind} cannot share a batch with others",
                cure="tune with method.name=lora, without method.dora",
            )
        root = math.sqrt(settings.rank) if settings.rslora else settings.rank
        places = [name.removesuffix(".adapter.a") for name in self.tensors if name.endswith(".a")]
        return {
            place: LoraFactors(
                self.tensors[f"{place}.adapter.a"],
                self.tensors[f"{place}.adapter.b"],
                settings.alpha / root,
            )
            for place in places
        }

    def metadata(self) -> dict[str, Any]:
        """All but the tensors, JSON-ready."""
        return {
            "settings": asdict(self.settings),
            "n_frozen": self.n_frozen,
            "labels": list(self.labels),
            "trunk": self.trunk,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_parts(
        cls, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> AdapterWeights:
        """The inverse of `metadata` and `named`."""
        return cls(
            MethodSettings(**metadata["settings"]),
            int(metadata["n_frozen"]),
            {k.removeprefix(_BODY): t for k, t in tensors.items() if k.startswith(_BODY)},
            {k.removeprefix(_HEAD): t for k, t in tensors.items() if k.startswith(_HEAD)},
            tuple(metadata["labels"]),
            metadata["trunk"],
            metadata["facts"],
        )

    def save(self, path: Path) -> None:
        """Write one file; where that fails, what stood at *path* before still does."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.named().items()}
        try:
            save_file(tensors, part, metadata={_FACTS: json.dumps(self.metadata())})
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> AdapterWeights:
        """Read what `save` wrote.

        Raises WeightsError where it is missing or damaged.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = json.loads((file.metadata() or {})[_FACTS])
            return cls.from_parts(metadata, load_file(path))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise WeightsError(
                f"holds no adapter that can be read ({error})",
                where=str(path),
                cure="copy the file again, or tune again",
            ) from error
