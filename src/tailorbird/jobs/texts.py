"""The texts of a pool, tokenised once for all jobs, and what frozen layers make of them.

It stands in for a tokenizer: what it knows it looks up, the rest goes to the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.records import Example


class PoolTokens:
    """The texts of *pool*, and its pairs of texts, each different one tokenised once."""

    def __init__(self, tokenizer: Any, pool: Sequence[Example]) -> None:
        self.tokenizer = tokenizer
        self._plain = list(dict.fromkeys(e.text for e in pool if not e.second))
        self._pairs = list(dict.fromkeys((e.text, e.second) for e in pool if e.second))

    @cached_property
    def plain(self) -> tuple[dict[Hashable, int], TokenizedTexts]:
        """Where each text stands among the tokens."""
        return {text: k for k, text in enumerate(self._plain)}, self.tokenizer(self._plain)

    @cached_property
    def pairs(self) -> tuple[dict[Hashable, int], TokenizedTexts]:
        """The same of pairs."""
        rows: dict[Hashable, int] = {pair: k for k, pair in enumerate(self._pairs)}
        firsts, seconds = zip(*self._pairs, strict=True) if self._pairs else ((), ())
        return rows, self.tokenizer.pairs(firsts, seconds)


@dataclass
class KnownTexts:
    """A tokenizer for texts of a pool; what it gives has states where the layers are frozen.

    Args:
        pool: what is known.
        with_states: adds the states of frozen layers to tokens, where there are any.
    """

    pool: PoolTokens
    with_states: Callable[[TokenizedTexts], TokenizedTexts]
    _tokens: dict[str, TokenizedTexts] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """Token ids of each text."""
        found = self._find("plain", texts)
        if found is not None:
            return found
        tokens: TokenizedTexts = self.pool.tokenizer(texts)
        return tokens

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> TokenizedTexts:
        """Two texts as one."""
        found = self._find("pairs", list(zip(firsts, seconds, strict=True)))
        if found is not None:
            return found
        tokens: TokenizedTexts = self.pool.tokenizer.pairs(firsts, seconds)
        return tokens

    def _find(self, kind: str, keys: Sequence[Hashable]) -> TokenizedTexts | None:
        rows, tokens = getattr(self.pool, kind)
        at = [rows.get(key, -1) for key in keys]
        if -1 in at:
            return None
        if kind not in self._tokens:
            self._tokens[kind] = self.with_states(tokens)
        return self._tokens[kind].subset(at)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a tokenizer can."""
        if name.startswith("_") or name == "pool":  # asked for while it is being copied
            raise AttributeError(name)
        return getattr(self.pool.tokenizer, name)
