"""What makes vectors of questions and passages: a pretrained or tuned encoder of the workspace."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tailorbird.apart import Lane, Placed, Process
from tailorbird.errors import KnowledgeError
from tailorbird.store import Workspace, files
from tailorbird.weights import resolve_backbone

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

DEFAULT = "e5"
"""Reads Chinese and English alike, and was trained to find passages."""
CHOICE = "knowledge.json"
"""Remembers in the workspace which encoder its documents are searched with."""
MAX_TOKENS = 512
"""Of a passage; the longest piece has about half of it."""
BATCH = 16
"""Texts embedded before a question that came meanwhile has its turn."""
_BLOCK = 2**20

Say = Callable[[str], None]


class Embeds(Protocol):
    """Whatever makes vectors of texts."""

    @property
    def hash(self) -> str:
        """Names the weights and all else that a vector depends on, in at most 64 characters."""

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) fp32, rows of length 1."""


def open_encoder(workspace: Workspace, name: str = "", *, say: Say = lambda _: None) -> TextEncoder:
    """The encoder *name*, else the one that was named last in this workspace, else E5.

    Args:
        workspace: remembers the name.
        name: of an embedded model (``e5``, ``minilm``), a hub model, or a folder: one in hub form,
            a model that a run left, or a bundle.
        say: gets a sentence where weights are unpacked, which takes its time once.

    Raises WeightsError where there is no such model.
    """
    remembered = workspace.path / CHOICE
    if name:
        is_folder = Path(name).expanduser().is_dir()
        chosen = str(Path(name).expanduser().absolute()) if is_folder else name
        folder = _folder_of(chosen, workspace, say)  # before it is remembered: it has to be there
        content = files.to_json_bytes({"encoder": chosen}, where=str(remembered))
        files.write_atomically(remembered, content)
        return TextEncoder(lambda: folder)
    if remembered.is_file():
        try:
            name = str(json.loads(remembered.read_text(encoding="utf-8"))["encoder"])
        except (ValueError, KeyError, TypeError) as error:
            raise KnowledgeError(
                f"does not name an encoder ({error})",
                where=str(remembered),
                cure="remove the file, or name one with --encoder",
            ) from error
    return TextEncoder(lambda: _folder_of(name or DEFAULT, workspace, say))


def _folder_of(name: str, workspace: Workspace, say: Say) -> tuple[Path, dict[str, str]]:
    """The folder of a model, and what has to be known beside it where it is no tuned one."""
    path = Path(name).expanduser()
    for folder in (path, path / "model"):  # what a run left; what a bundle holds
        if (folder / "model.json").is_file():
            return folder, {}
    found = resolve_backbone(name, cache=workspace.cache_path, say=say)
    return found.path, {
        "pooling": found.pooling or "mean",
        "query_prefix": found.query_prefix,
        "passage_prefix": found.passage_prefix,
    }


class TextEncoder:
    """`Embeds` by a text model; nothing is read before the first vector or hash is wanted.

    Threads may call it at once: they take turns, a batch each.
    """

    def __init__(self, find: Callable[[], tuple[Path, dict[str, str]]]) -> None:
        self._find = find
        self._turn = threading.Lock()
        self._finding = threading.Lock()

    @cached_property
    def _found(self) -> tuple[Path, dict[str, str]]:
        return self._find()

    @cached_property
    def hash(self) -> str:
        """Of the weights, their config and tokenizer, and how they make one vector of a text."""
        with self._finding:
            folder, facts = self._found
            digest = hashlib.sha256(json.dumps([facts, MAX_TOKENS], sort_keys=True).encode())
            wanted = ["config.json", "model.json", "tokenizer.json"]
            paths = [folder / name for name in wanted] + sorted(folder.glob("*.safetensors"))
            for path in filter(Path.is_file, paths):
                digest.update(f"\0{path.name}\0".encode())
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
            return digest.hexdigest()

    @cached_property
    def _model(self) -> tuple[TextModel, Any, Any]:
        """The model, and what cuts queries and passages into tokens."""
        from tailorbird.config import ModelSettings
        from tailorbird.hardware import compute_dtype
        from tailorbird.modeling import build_model, load_model
        from tailorbird.modeling.heads import HeadSpec
        from tailorbird.weights import BackboneFolder

        folder, facts = self._found
        if facts:
            backbone = BackboneFolder(folder, folder.name, "", **facts)
            spec = HeadSpec(task="retrieval", name="embedding")
            settings = ModelSettings(max_tokens=MAX_TOKENS)
            model = build_model(backbone, (), settings=settings, spec=spec).eval()
        else:
            model = load_model(folder)
        model.backbone.compute_dtype = compute_dtype()[0]  # bf16 moves cosines by a thousandth
        queries = model.tokenizer
        passages = queries.cut_at(queries.max_tokens)
        passages.prefix = queries.passage_prefix
        return model.make_ready(), queries, passages

    def apart_in(self, process: Process) -> ApartEncoder:
        """The same, whose model computes in *process*."""
        return ApartEncoder(self, process)

    @property
    def place(self) -> tuple[Path, dict[str, str]]:
        """The folder of the model, and what has to be known beside it; found when it is asked."""
        with self._finding:
            return self._found

    @property
    def model(self) -> TextModel:
        """The text model, of the task `retrieval`; loaded when it is asked for."""
        return self._model[0]

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) fp32, rows of length 1."""
        parts: list[np.ndarray] = []
        for i in range(0, len(texts), BATCH):
            with self._turn:
                model, queries, passages = self._model
                tokens = (queries if is_query else passages)(texts[i : i + BATCH])
                parts.append(model.features(tokens).numpy())
        if not parts:
            return np.empty((0, 0), np.float32)
        vectors = np.concatenate(parts).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (N, 1)
        unit: np.ndarray = vectors / np.maximum(lengths, 1e-12)
        return unit


class ApartEncoder:
    """A `TextEncoder` that computes in *process*: searches there wait for nothing here."""

    def __init__(self, encoder: TextEncoder, process: Process) -> None:
        self.encoder = encoder
        self._process = process
        self._placing = threading.Lock()
        self._placed: Placed | None = None

    @property
    def hash(self) -> str:
        """The encoder's."""
        return self.encoder.hash

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        """(N, D) fp32, rows of length 1."""
        with self._placing:
            if self._placed is None:
                self._placed = self._process.place(partial(_encoder_of, *self.encoder.place))
            there = self._placed
        # As there: a batch each, so that a question need not wait for a whole document.
        batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
        embed = TextEncoder.embed
        parts = [there.ask(Lane.SEARCH, embed, batch, is_query=is_query) for batch in batches]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def _encoder_of(folder: Path, facts: dict[str, str]) -> TextEncoder:
    return TextEncoder(lambda: (folder, facts))
