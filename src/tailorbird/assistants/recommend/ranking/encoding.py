"""Vectors of item texts by a frozen text model, each text read once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tailorbird.store import files
from tailorbird.weights import choose_backbone, resolve_backbone

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

Floats = NDArray[np.float32]
Say = Callable[[str], None]

BATCH = 256
MAX_TOKENS = 128
"""Of an item; what comes after says little more of what it is."""


class EncodesItems(Protocol):
    """Whatever makes vectors of item texts."""

    @property
    def name(self) -> str:
        """Names the weights: equal names give equal vectors."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """(N, W) rows of length 1."""


class TrunkEncoder:
    """A pretrained or tuned text model; nothing is loaded before the first text is new.

    Args:
        backbone: auto, minilm, e5, a hub name, a folder in hub form, or one that a run left.
        cache: folder where weights are unpacked and vectors are kept.
        texts: what is going to be read; *auto* chooses by its language.
        say: is told which model was chosen and why.
    """

    def __init__(
        self,
        backbone: str,
        cache: Path,
        *,
        texts: Sequence[str] = (),
        say: Say = lambda _: None,
    ) -> None:
        if backbone == "auto":
            backbone, reason = choose_backbone(texts)
            say(reason)
        self.name = backbone
        self._cache = cache
        self._model: TextModel | None = None
        self._kept: dict[str, Floats] = {}
        self._is_read = False

    def encode(self, texts: Sequence[str]) -> Floats:
        """(N, W) rows of length 1; those of texts that were read before are taken from disk."""
        if not texts:
            return np.zeros((0, 0), np.float32)
        self._read_kept()
        new = [text for text in dict.fromkeys(texts) if _key(text) not in self._kept]
        for k in range(0, len(new), BATCH):
            part = new[k : k + BATCH]
            vectors = self._loaded().features(part).numpy().astype(np.float32)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            self._kept |= {_key(text): row for text, row in zip(part, vectors, strict=True)}
        if new:
            self._write_kept()
        return np.stack([self._kept[_key(text)] for text in texts])

    def _loaded(self) -> TextModel:
        if self._model is None:
            from tailorbird.config import ModelSettings
            from tailorbird.modeling import build_model, load_model
            from tailorbird.modeling.heads import HeadSpec

            folder = Path(self.name).expanduser()
            if (folder / "model.json").is_file():
                self._model = load_model(folder)
            else:
                found = resolve_backbone(self.name, cache=self._cache)
                spec = HeadSpec(task="retrieval", name="embedding")
                settings = ModelSettings(max_tokens=MAX_TOKENS)
                self._model = build_model(found, (), settings=settings, spec=spec).eval()
        return self._model

    @cached_property
    def _file(self) -> Path:
        digest = hashlib.sha256(self.name.encode())
        folder = Path(self.name).expanduser()
        for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
            with path.open("rb") as file:  # the same place may hold other weights by now
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return self._cache / "item_vectors" / f"{digest.hexdigest()[:16]}.safetensors"

    def _read_kept(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        if self._file.is_file():
            from safetensors.numpy import load_file

            kept = load_file(self._file)
            keys = [row.tobytes().hex() for row in kept["keys"]]
            self._kept = dict(zip(keys, kept["vectors"], strict=True))

    def _write_kept(self) -> None:
        from safetensors.numpy import save

        keys = np.stack([np.frombuffer(bytes.fromhex(key), np.uint8) for key in self._kept])
        self._file.parent.mkdir(parents=True, exist_ok=True)
        content = save({"keys": keys, "vectors": np.stack(list(self._kept.values()))})
        files.write_atomically(self._file, content)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
