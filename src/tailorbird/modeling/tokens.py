"""Texts to token ids, with the tokenizer that came with the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tailorbird.errors import WeightsError
from tailorbird.modeling.packing import TokenizedTexts


class TextTokenizer:
    """A hub tokenizer that never pads; *prefix* is put before every text (E5 wants one).

    Texts that are looked for, not looked up, have *passage_prefix* instead.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, max_tokens: int, prefix: str = "", passage_prefix: str = ""
    ) -> None:
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.passage_prefix = passage_prefix
        self.max_tokens = max_tokens
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)

    @property
    def facts(self) -> dict[str, Any]:
        """What makes it anew, JSON-ready."""
        return {
            "max_tokens": self.max_tokens,
            "prefix": self.prefix,
            "passage_prefix": self.passage_prefix,
        }

    def cut_at(self, max_tokens: int) -> TextTokenizer:
        """The same that cuts at *max_tokens*; this one stays as it is."""
        tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        prefixes = {"prefix": self.prefix, "passage_prefix": self.passage_prefix}
        return TextTokenizer(tokenizer, max_tokens=max_tokens, **prefixes)

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """Token ids of each text, special tokens included, cut at *max_tokens*."""
        return self._plain([self.prefix + text for text in texts])

    def searched(self, queries: Sequence[str], passages: Sequence[str]) -> TokenizedTexts:
        """Query, passage, query, passage, …, each with its own prefix; as many as both together."""
        return self._plain(
            [
                text
                for query, passage in zip(queries, passages, strict=True)
                for text in (self.prefix + query, self.passage_prefix + passage)
            ]
        )

    def _plain(self, texts: list[str]) -> TokenizedTexts:
        encodings = self.tokenizer.encode_batch_fast(texts)
        return TokenizedTexts.from_lists([encoding.ids for encoding in encodings])

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> TokenizedTexts:
        """Two texts as one, in the backbone's own way; the longer of the two is cut first."""
        together = [
            (self.prefix + first, self.prefix + second)
            for first, second in zip(firsts, seconds, strict=True)
        ]
        encodings = self.tokenizer.encode_batch_fast(together)
        return TokenizedTexts.from_lists(
            [encoding.ids for encoding in encodings],
            types=[encoding.type_ids for encoding in encodings],
        )

    def words(self, texts: Sequence[Sequence[str]]) -> tuple[TokenizedTexts, list[list[int]]]:
        """Texts that are cut into words: the first token of each word is picked.

        Returns: the tokens, and which words of each text there is a token for; those beyond
        *max_tokens* are missing, and those of characters that the tokenizer drops. Each word is
        tokenised by itself, so that no token belongs to two words, whatever the language; the
        prefix of the backbone is left out.
        """
        ids: list[list[int]] = []
        picked: list[list[bool]] = []
        found: list[list[int]] = []
        for encoding in self.tokenizer.encode_batch(list(texts), is_pretokenized=True):
            words, tokens = encoding.word_ids, encoding.tokens
            # A space before a Chinese character is a token of its own that the text never had.
            kept = [
                i
                for i, word in enumerate(words)
                if not (tokens[i] == "▁" and word is not None and words[i + 1 : i + 2] == [word])
            ]
            of_kept = [words[i] for i in kept]
            is_first = [
                word is not None and word != last
                for word, last in zip(of_kept, [None, *of_kept[:-1]], strict=True)
            ]
            ids.append([encoding.ids[i] for i in kept])
            picked.append(is_first)
            new = (w for w, is_new in zip(of_kept, is_first, strict=True) if is_new)
            found.append([w for w in new if w is not None])
        return TokenizedTexts.from_lists(ids, picked=picked), found

    def pieces(self, texts: Sequence[str]) -> list[list[tuple[int, int, int]]]:
        """(id, start, end) of each token of each text, cut at *max_tokens*; characters of the text.

        Tokens that are not of the text itself, as the prefix and what stands around it, have
        start = end = 0.
        """
        before = len(self.prefix)
        found = []
        for encoding in self.tokenizer.encode_batch([self.prefix + text for text in texts]):
            places = [
                (id_, start - before, end - before)
                if end > before and not is_special
                else (id_, 0, 0)
                for id_, (start, end), is_special in zip(
                    encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True
                )
            ]
            found.append([(id_, max(0, start), end) for id_, start, end in places])
        return found

    @property
    def mask_id(self) -> int | None:
        """The token that stands for a hidden one; None where the tokenizer has none."""
        named = (self.tokenizer.token_to_id(name) for name in ("[MASK]", "<mask>"))
        return next((id_ for id_ in named if id_ is not None), None)

    def fit_max_tokens(self, texts: Sequence[str] | TokenizedTexts) -> int:
        """Set *max_tokens* to cover 99.5 % of *texts*, at least 64 and at most what it was.

        Un-padded batches make short texts cheap whatever the limit is; the limit spares the
        few very long ones from costing as much as all others together.
        """
        tokens = texts if isinstance(texts, TokenizedTexts) else self(texts)
        lengths = sorted(tokens.lengths)
        covered = lengths[min(len(lengths) - 1, int(len(lengths) * 0.995))]
        self.max_tokens = min(self.max_tokens, max(64, covered))
        self.tokenizer.enable_truncation(self.max_tokens)
        return self.max_tokens


def load_tokenizer(
    folder: Path, *, max_tokens: int, prefix: str = "", passage_prefix: str = ""
) -> TextTokenizer:
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
    return TextTokenizer(
        Tokenizer.from_file(str(path)),
        max_tokens=max_tokens,
        prefix=prefix,
        passage_prefix=passage_prefix,
    )
