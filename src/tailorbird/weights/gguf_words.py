"""The tokenizer that a GGUF file carries, as a fast tokenizer of the `tokenizers` library.

Two kinds of vocabulary, by ``tokenizer.ggml.model``:

- ``gpt2``: byte-level BPE with its merges; how text is cut before them has only a name there
  (``tokenizer.ggml.pre``), and the cut behind each name is in `_CUTS`;
- ``llama`` of Gemma: pieces of characters, where the file has no merges: they follow from the order
  of the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as cuts

from tailorbird.errors import WeightsError
from tailorbird.weights.gguf_file import GGUFFile

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # tokenizer.ggml.token_type
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_CUTS: Mapping[str, str] = {
    "gpt-2": "",
    "default": "",
    "smollm": "digits",
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
}
"""Name of the cut → its expression; empty: GPT-2's; ``digits``: GPT-2's after single digits."""


def tokenizer_of(file: GGUFFile) -> Tokenizer:
    """The tokenizer of *file*; it adds nothing of its own before or after a text.

    Raises WeightsError where the vocabulary is of a kind that is not known here.
    """
    kind, cut = file.get("tokenizer.ggml.model", ""), file.get("tokenizer.ggml.pre", "default")
    pieces: list[str] = list(file.get("tokenizer.ggml.tokens", []))
    types: list[int] = list(file.get("tokenizer.ggml.token_type", [_NORMAL] * len(pieces)))
    if kind == "gpt2" and cut in _CUTS:
        merges = [tuple(merge.split(" ", 1)) for merge in file.get("tokenizer.ggml.merges", [])]
        tokenizer = _byte_level(pieces, merges, _CUTS[cut], normalize=_CUTS[cut] == _QWEN2)
    elif kind == "llama" and file.architecture == "gemma3":
        pieces = [
            "▁" * len(piece) if piece.isspace() and " " in piece else piece for piece in pieces
        ]
        tokenizer = _gemma(pieces, types)
    else:
        raise WeightsError(
            f"has a vocabulary of the kind {kind!r}, cut by {cut!r}, which is not read from GGUF",
            where=str(file.path),
            cure=f"gpt2 cut by {', '.join(_CUTS)} and Gemma 3's are; else name the model's folder"
            " with safetensors and tokenizer.json",
        )
    tokenizer.add_special_tokens(_added(pieces, types, _CONTROL))
    tokenizer.add_tokens(_added(pieces, types, _USER_DEFINED))
    return tokenizer


def special_tokens_of(file: GGUFFile) -> dict[str, str]:
    """``bos_token`` and its like, as ``tokenizer_config.json`` names them."""
    pieces = file.get("tokenizer.ggml.tokens", [])
    keys = {
        "bos_token": "bos_token_id",
        "eos_token": "eos_token_id",
        "unk_token": "unknown_token_id",
        "pad_token": "padding_token_id",
    }
    ids = {name: file.get(f"tokenizer.ggml.{key}") for name, key in keys.items()}
    return {name: str(pieces[int(at)]) for name, at in ids.items() if at is not None}


def merges_in_order(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """The merges that make *pieces* (a vocabulary in the order it was learned), earliest first.

    >>> merges_in_order(["a", "b", "c", "ab", "bc", "abc"])
    [('a', 'b'), ('b', 'c'), ('ab', 'c'), ('a', 'bc')]
    """
    place = {piece: at for at, piece in enumerate(pieces)}
    merges: list[tuple[str, str]] = []
    for piece in pieces:
        halves = ((piece[:at], piece[at:]) for at in range(1, len(piece)))
        known = [(left, right) for left, right in halves if left in place and right in place]
        merges += reversed(known)  # the longest beginning first, as transformers orders them
    return merges


def _byte_level(
    pieces: Sequence[str], merges: Iterable[Any], cut: str, *, normalize: bool
) -> Tokenizer:
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    by_bytes = cuts.ByteLevel(add_prefix_space=False, use_regex=cut in ("", "digits"))
    first: list[Any] = []
    if cut == "digits":
        first = [cuts.Digits(individual_digits=True)]
    elif cut:
        first = [cuts.Split(Regex(cut), behavior="isolated")]
    tokenizer.pre_tokenizer = cuts.Sequence([*first, by_bytes])
    if normalize:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _gemma(pieces: Sequence[str], types: Sequence[int]) -> Tokenizer:
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    ordinary = [
        p for p, kind in zip(pieces, types, strict=True) if kind in (_NORMAL, _USER_DEFINED)
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=merges_in_order(ordinary),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = cuts.Split(" ", behavior="merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def _added(pieces: Sequence[str], types: Sequence[int], kind: int) -> list[AddedToken]:
    """Pieces of a *kind* that are matched whole, wherever they stand in a text."""
    return [
        AddedToken(piece, normalized=False, special=kind == _CONTROL)
        for piece, its_kind in zip(pieces, types, strict=True)
        if its_kind == kind
    ]
