"""Adapters as bytes: one safetensors record each, many records a segment file, read by mapping.

    000001.segment   records one after another, each from a multiple of 64 bytes on

Segments grow, and only beyond what the index says is valid: whoever has one mapped goes on seeing
what was there. Only the bytes of a user who is removed are overwritten, so that they are gone
from the disk even while somebody has the file open. A segment with much that is no longer wanted is
copied without it and unlinked; it stays readable to those who have it open (POSIX).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from tailorbird.modeling.adapters.weights import AdapterWeights

SEGMENT_BYTES = 2**26
"""A new segment begins where one would grow beyond it: removing a user rewrites that much at most
for each version of their adapter."""

ALIGNMENT = 64
_HEAD_BYTES = 8  # of a safetensors file: how long its JSON is
_METADATA = "tailorbird"
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
    "BOOL": "bool",
}


def to_record(weights: AdapterWeights) -> bytes:
    """*weights* but for their facts, as one safetensors file."""
    from safetensors.torch import save

    metadata = {**weights.metadata(), "facts": {}}
    return save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.named().items()},
        metadata={_METADATA: json.dumps(metadata, ensure_ascii=False, sort_keys=True)},
    )


def from_record(memory: Any, start: int, facts: dict[str, Any]) -> AdapterWeights:
    """The weights whose record begins at byte *start* of *memory*; the tensors are views of it.

    Raises ValueError, KeyError or TypeError where it is none.
    """
    import torch

    from tailorbird.modeling.adapters.weights import AdapterWeights

    first = start + _HEAD_BYTES + int.from_bytes(memory[start : start + _HEAD_BYTES], "little")
    header = json.loads(memory[start + _HEAD_BYTES : first])
    metadata = json.loads(header.pop("__metadata__")[_METADATA])
    tensors: dict[str, torch.Tensor] = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = getattr(torch, _DTYPES[entry["dtype"]])
        if begin == end:  # frombuffer takes no empty tensor
            tensor = torch.empty(entry["shape"], dtype=dtype)
        else:
            n_values = (end - begin) // dtype.itemsize
            tensor = torch.frombuffer(memory, dtype=dtype, count=n_values, offset=first + begin)
        tensors[name] = tensor.view(entry["shape"])
    return AdapterWeights.from_parts({**metadata, "facts": facts}, tensors)


@dataclass(frozen=True, eq=False)
class StoredAdapter:
    """An adapter where it lies: none of its bytes is read before they are asked for.

    Pickled it says where that is; only if its file is gone it takes its bytes along.
    """

    hash: str
    facts: dict[str, Any]
    path: Path
    start: int
    size: int
    checksum: bytes  # sha256
    memory: Any = field(repr=False)
    """The file, mapped: what was there stays there, whatever becomes of the file."""

    def weights(self) -> AdapterWeights:
        """Views of its file, which become zeros when the last user who has it is removed.

        Raises StoreError where they have, or the bytes are damaged.
        """
        end = self.start + self.size
        with memoryview(self.memory) as view, view[self.start : end] as content:
            is_whole = hashlib.sha256(content).digest() == self.checksum
        if not is_whole:
            raise damaged(self.path, f"is damaged between bytes {self.start:,} and {end:,}")
        try:
            weights = from_record(self.memory, self.start, self.facts)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(self.path, f"holds an adapter of another form ({error})") from error
        weights.__dict__["hash"] = self.hash  # known: computing it reads all bytes again
        return weights

    def __reduce__(self) -> tuple[Any, ...]:
        known = self.hash, self.facts, self.path
        if self.path.exists():
            return _found, (*known, self.start, self.size, self.checksum)
        content = bytearray(self.memory[self.start : self.start + self.size])
        return StoredAdapter, (*known, 0, self.size, self.checksum, content)


def _found(
    name: str, facts: dict[str, Any], path: Path, start: int, size: int, checksum: bytes
) -> StoredAdapter:
    try:
        memory = _mapped(path, start + size)
    except FileNotFoundError as error:
        raise damaged(path, "is gone") from error
    return StoredAdapter(name, facts, path, start, size, checksum, memory)


def damaged(path: Path, what: str) -> StoreError:
    """The error of a segment in *path* which does not hold what it should."""
    return StoreError(
        what,
        where=str(path),
        cure="put the folder back from a copy; or personalise the user again (tailorbird "
        "personalise), or remove them (tailorbird forget)",
    )


def write_peft(weights: AdapterWeights, folder: Path, backbone: Any) -> None:
    """Write *weights* as PEFT's folder, with ``head.safetensors`` and ``head.json`` beside it.

    Raises ConfigError where PEFT has no form for them.
    """
    from safetensors.torch import save_file

    from tailorbird.modeling import adapters

    kind = weights.settings.name
    if kind not in ("lora", "adalora"):
        raise ConfigError(
            f"an adapter of the kind {kind} has no PEFT form", cure="LoRA and AdaLoRA have one"
        )
    n_frozen = backbone.n_frozen
    trainable = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    backbone.n_frozen = weights.n_frozen
    attachment = adapters.attach(backbone, weights.settings)
    try:
        attachment.load(weights.tensors)
        adapters.save_peft(attachment, folder)
    finally:
        attachment.detach()
        backbone.n_frozen = n_frozen
        for parameter in trainable:
            parameter.requires_grad_(True)
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.head.items()}
    save_file(head, folder / "head.safetensors")
    facts = {**weights.metadata(), "hash": weights.hash}
    text = json.dumps(facts, ensure_ascii=False, indent=2)
    (folder / "head.json").write_text(text + "\n", encoding="utf-8")


class Segments:
    """The segment files of one folder; keeps those that were read mapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[int, mmap.mmap] = {}

    def path(self, segment: int) -> Path:
        """Where *segment* is."""
        return self.folder / f"{segment:06d}.segment"

    def found(self) -> dict[int, Path]:
        """Every segment file that is there, by number."""
        paths = self.folder.glob("*.segment")
        return {int(path.stem): path for path in paths if path.stem.isdecimal()}

    def write(self, segment: int, at: int, content: bytes) -> None:
        """Put *content* at byte *at*, which is at or after the valid end.

        Raises OSError where the disk is full; the file is then cut off at *at* again.
        """
        handle = os.open(self.path(segment), os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        try:
            _write(handle, at, content)
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, at)
            raise
        finally:
            os.close(handle)

    def overwrite(self, segment: int, at: int, n_bytes: int) -> None:
        """Make *n_bytes* from byte *at* on zeros, on the disk; nothing where *segment* is gone."""
        with suppress(FileNotFoundError):
            handle = os.open(self.path(segment), os.O_RDWR | _BINARY)
            try:
                n_bytes = min(n_bytes, os.fstat(handle).st_size - at)
                _write(handle, at, bytes(max(0, n_bytes)))
                os.fsync(handle)
            finally:
                os.close(handle)

    def map(self, segment: int, end: int) -> mmap.mmap:
        """*segment*, mapped at least up to byte *end*.

        Raises FileNotFoundError where it is gone, StoreError where it is too short.
        """
        known = self._maps.get(segment)
        if known is not None and len(known) >= end:
            return known
        new = self._maps[segment] = _mapped(self.path(segment), end)
        return new

    def read(self, segment: int, at: int, n_bytes: int) -> bytes:
        """A copy of *n_bytes* from byte *at* on; fewer where the file ends before that."""
        with self.path(segment).open("rb") as file:
            file.seek(at)
            return file.read(n_bytes)

    def sync(self, segment: int) -> None:
        """Wait until the disk has what was written to *segment*."""
        handle = os.open(self.path(segment), os.O_RDWR | _BINARY)  # Windows syncs no read handle
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def cut(self, segment: int, end: int) -> None:
        """Drop what a writer that was interrupted left after the valid *end*."""
        path = self.path(segment)
        if path.exists() and path.stat().st_size > end:
            os.truncate(path, end)

    def forget_maps(self, kept: set[int]) -> None:
        """Let go of all mapped segments but those *kept*; views of them stay valid."""
        for segment in self._maps.keys() - kept:
            del self._maps[segment]


_BINARY = getattr(os, "O_BINARY", 0)


def _mapped(path: Path, end: int) -> mmap.mmap:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < end:
            raise damaged(path, f"ends at byte {size:,} and should hold {end:,}")
        # Private: torch wants memory that it could write to, and the file never changes.
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)


def _write(handle: int, at: int, content: bytes) -> None:
    os.lseek(handle, at, os.SEEK_SET)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
