"""The E5S1 reader, on a file written here byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tailorbird.errors import WeightsError
from tailorbird.weights.e5s1 import E5S1File, unpack_q4_0

HIDDEN, LAYERS, FFN, ROWS, PIECES = 32, 1, 64, 4, 3
F32, Q4_0 = 0, 1


def q4_block(scale: float, nibbles: list[int]) -> bytes:
    """32 nibbles as a Q4_0 block: the first 16 are the low halves of the bytes."""
    pairs = zip(nibbles[:16], nibbles[16:], strict=True)
    return struct.pack("<e", scale) + bytes(low | high << 4 for low, high in pairs)


def matrix(n_out: int, n_in: int) -> tuple[int, int, bytes]:
    """Row r has scale 2^-r, column c the weight (c % 16 - 8) × scale."""
    blocks = [q4_block(2.0 ** -(r % 8), [c % 16 for c in range(32)]) for r in range(n_out)]
    return Q4_0, n_out * n_in, b"".join(block * (n_in // 32) for block in blocks)


def vector(*values: float) -> tuple[int, int, bytes]:
    return F32, len(values), struct.pack(f"<{len(values)}f", *values)


def tiny_tensors() -> dict[str, tuple[int, int, bytes]]:
    ones, zeros = vector(*[1.0] * HIDDEN), vector(*[0.0] * HIDDEN)
    tensors = {
        "emb.word": matrix(ROWS, HIDDEN),
        "emb.pos": vector(*(i / 4 for i in range(2 * HIDDEN))),
        "emb.type": zeros,
        "emb.ln.w": ones,
        "emb.ln.b": zeros,
    }
    for name in ("q", "k", "v", "ao"):
        tensors |= {f"l0.{name}.w": matrix(HIDDEN, HIDDEN), f"l0.{name}.b": zeros}
    tensors |= {"l0.fi.w": matrix(FFN, HIDDEN), "l0.fi.b": vector(*[0.5] * FFN)}
    tensors |= {"l0.fo.w": matrix(HIDDEN, FFN), "l0.fo.b": zeros}
    for name in ("aln", "oln"):
        tensors |= {f"l0.{name}.w": ones, f"l0.{name}.b": zeros}
    return tensors


def write_e5s1(path: Path, *, magic: bytes = b"E5S1", version: int = 1, drop: str = "") -> Path:
    """A file with an odd-sized vocabulary and normaliser, so that nothing is aligned by luck."""
    tensors = {name: tensor for name, tensor in tiny_tensors().items() if name != drop}
    blob = "<s>包裹x".encode()
    head = struct.pack(
        "<4sI7ifi5iQ",
        *(magic, version, HIDDEN, LAYERS, 4, FFN, ROWS, 2, 1),
        *(1e-12, 32, PIECES, 0, 2, 1, 3, len(blob)),
    )
    head += struct.pack("<4I", 0, 3, 9, 10) + struct.pack("<3f", 0.0, -1.0, -2.0) + blob
    head += struct.pack("<iI", 1, 5) + b"norma"
    entries = [(struct.pack("<H", len(name)) + name.encode(), *tensors[name]) for name in tensors]
    at = len(head) + 4 + sum(len(name) + 21 for name, *_ in entries)
    head += struct.pack("<i", len(entries))
    body = b""
    for name, kind, n_elements, data in entries:
        head += name + struct.pack("<BIQQ", kind, n_elements, at + len(body), len(data))
        body += data
    path.write_bytes(head + body)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_e5s1(tmp_path / "tiny.bin")


def test_low_nibbles_are_the_first_sixteen_weights() -> None:
    nibbles = [*range(16), *reversed(range(16))]
    block = np.frombuffer(q4_block(0.25, nibbles), dtype=np.uint8)
    assert unpack_q4_0(block).tolist() == [(nibble - 8) * 0.25 for nibble in nibbles]


def test_every_block_has_its_own_scale() -> None:
    blocks = np.frombuffer(q4_block(1.0, [9] * 32) + q4_block(-2.0, [9] * 32), dtype=np.uint8)
    assert unpack_q4_0(blocks).tolist() == [1.0] * 32 + [-2.0] * 32


def test_header_gives_a_bert_config(tiny: Path) -> None:
    header = E5S1File(tiny).header
    assert (header.n_hidden, header.n_rows, header.n_pieces) == (HIDDEN, ROWS, PIECES)
    config = header.bert_config()
    assert config["vocab_size"] == PIECES
    assert config["layer_norm_eps"] == 1e-12
    assert config["pad_token_id"] == 1
    assert (config["num_attention_heads"], config["intermediate_size"]) == (4, FFN)


def test_tensors_have_the_written_values(tiny: Path) -> None:
    file = E5S1File(tiny)
    assert file.read("emb.pos")[:5].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert file.read("l0.fi.b").tolist() == [0.5] * FFN
    words = file.read("emb.word").reshape(ROWS, HIDDEN)
    assert words[0, :3].tolist() == [-8.0, -7.0, -6.0]
    assert words[3, 15:17].tolist() == [7 / 8, -1.0]


def test_bert_weights_have_names_and_shapes_of_the_model(tiny: Path) -> None:
    from transformers import BertConfig, BertModel

    file = E5S1File(tiny)
    weights = dict(file.bert_weights())
    expected = BertModel(BertConfig(**file.header.bert_config()), add_pooling_layer=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.named_parameters()}
    assert {name: array.shape for name, array in weights.items()} == shapes
    assert len(weights["embeddings.word_embeddings.weight"]) == PIECES  # the unused row is left out


def test_file_that_is_not_e5s1_is_named(tmp_path: Path) -> None:
    path = write_e5s1(tmp_path / "other.bin", magic=b"GGUF")
    with pytest.raises(WeightsError, match=r"other\.bin: starts with b'GGUF', not with b'E5S1'"):
        E5S1File(path)


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is version 2 with blocks of 32; version 1"):
        E5S1File(write_e5s1(tmp_path / "new.bin", version=2))


@pytest.mark.parametrize("n_bytes", [3, 60, 90, 110, 140, 700])
def test_truncated_front_is_an_error_sentence(tiny: Path, n_bytes: int) -> None:
    tiny.write_bytes(tiny.read_bytes()[:n_bytes])
    with pytest.raises(WeightsError, match=rf"ends after {n_bytes} bytes, .* needs \d+; the file"):
        E5S1File(tiny)


def test_truncated_tensor_is_named_when_it_is_read(tiny: Path) -> None:
    tiny.write_bytes(tiny.read_bytes()[:-10])
    file = E5S1File(tiny)
    assert file.read("emb.ln.w").tolist() == [1.0] * HIDDEN
    with pytest.raises(WeightsError, match=r"tiny\.bin: ends after \d+ bytes, l0\.oln\.b needs"):
        file.read("l0.oln.b")


def test_empty_and_missing_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.bin").touch()
    for name in ("empty.bin", "missing.bin"):
        with pytest.raises(WeightsError, match=f"{name}: cannot be read as an E5S1 file"):
            E5S1File(tmp_path / name)


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    file = E5S1File(write_e5s1(tmp_path / "part.bin", drop="l0.v.w"))
    with pytest.raises(WeightsError, match=r"tensor 'l0\.v\.w' is not in the file"):
        dict(file.bert_weights())
