"""Texts to token ids, with the tokenizer that came with the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from tailorbird.errors import WeightsError
from tailorbird.modeling.packing import TokenizedTexts


class TextTokenizer:
    """A hub tokenizer that never pads; *prefix* is put before every text (E5 wants one)."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, prefix: str = "") -> None:
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.max_tokens = max_tokens
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """Token ids of each text, special tokens included, cut at *max_tokens*."""
        encodings = self.tokenizer.encode_batch_fast([self.prefix + text for text in texts])
        return TokenizedTexts.from_lists([encoding.ids for encoding in encodings])

    def fit_max_tokens(self, texts: Sequence[str]) -> int:
        """Set *max_tokens* to cover 99.5 % of *texts*, at least 64 and at most what it was.

        Un-padded batches make short texts cheap whatever the limit is; the limit spares the
        few very long ones from costing as much as all others together.
        """
        lengths = sorted(self(texts).lengths)
        covered = lengths[min(len(lengths) - 1, int(len(lengths) * 0.995))]
        self.max_tokens = min(self.max_tokens, max(64, covered))
        self.tokenizer.enable_truncation(self.max_tokens)
        return self.max_tokens


def load_tokenizer(folder: Path, *, max_tokens: int, prefix: str = "") -> TextTokenizer:
    """The tokenizer of a model folder.

    Raises WeightsError where the folder has no ``tokenizer.json``.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise WeightsError(
            "has no tokenizer.json",
            where=str(folder),
            cure="save the model's fast tokenizer there: "
            "AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)",
        )
    return TextTokenizer(Tokenizer.from_file(str(path)), max_tokens=max_tokens, prefix=prefix)
