"""Search by words: BM25 (Robertson et al. 1994; as in Lucene, Kamphuis et al. 2020).

Formula, with tf of a word w in a text t, |t| its words, and N texts of which n have w::

    score(q, t) = Σ_w  ln(1 + (N - n + ½) / (n + ½)) · tf / (tf + k1 (1 - b + b |t| / mean |t|))

with k1 = 1.5 and b = 0.75.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from tailorbird.errors import missing_extra

_WORD = re.compile(r"[\u3400-\u9fff\U00020000-\U0002ffff]+|[^\W_]+(?:[-'.][^\W_]+)*")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0002ffff]")
_ENGLISH = """
a an and are as at be but by can could do does for from had has have how i if in is it its me my of
on or our so that the their then there these they this to was we were what when where which who will
with would you your
"""
_CHINESE = """
的 了 是 在 我 你 您 他 她 它 们 我们 你们 吗 呢 吧 啊 呀 哦 就 都 也 很 和 与 及 或 把 被 让 给
这 那 这个 那个 有 没 要 会 能 可以 请 请问 怎么 什么 如何 哪 一个 一下 还 到 说 对 着 过 从 向 为
"""
STOP_WORDS = frozenset(_ENGLISH.split() + _CHINESE.split())
"""Words that are in texts about anything."""


def words_of(text: str) -> list[str]:
    """The words of a text that say what it is about, in small letters; English ones by their stem.

    >>> words_of("How do I return the boxes?"), words_of("我想退货")
    (['return', 'box'], ['想', '退货'])
    """
    jieba = _rjieba()
    found: list[str] = []
    for run in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        found += jieba.cut_for_search(run) if _HAN.match(run) else [_stem(run)]
    return [word for word in found if word not in STOP_WORDS]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of *text* stand, the Chinese ones as jieba cuts them.

    >>> text = "我想买 two boxes"
    >>> [text[start:end] for start, end in word_spans(text)]
    ['我', '想', '买', 'two', 'boxes']
    """
    found: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        if not _HAN.match(match[0]):
            found.append(match.span())
            continue
        place = match.start()
        for word in _rjieba().cut(match[0]):
            found.append((place, place + len(word)))
            place += len(word)
    return found


def without_strange(text: str, known: Container[str]) -> tuple[str, float]:
    """*text* without the words that are not *known*, and their share of the telling ones.

    A Chinese word is known by any of its parts; words that say little are never strange.

    >>> without_strange("Do you sell live tigers?", {"sell", "buy"})
    ('Do you sell?', 0.6666666666666666)
    """
    text = unicodedata.normalize("NFKC", text)
    kept, n_telling, n_strange, place = "", 0, 0, 0
    for start, end in word_spans(text):
        words = words_of(text[start:end])
        n_telling += bool(words)
        if not words or any(word in known for word in words):
            continue
        n_strange += 1
        kept += text[place:start].rstrip()
        place = end
    return kept + text[place:], n_strange / max(1, n_telling)


def _rjieba() -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise missing_extra("rjieba", extra="knowledge") from error
    return rjieba


def _stem(word: str) -> str:
    """Without the endings of plurals (Harman 1991, the S-stemmer), which cost no meaning."""
    if len(word) > 4 and word.endswith("ies") and word[-4] not in "ea":
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and word[-2] not in "us'":
        return word[:-1]
    return word


class WordIndex:
    """Texts by their words; it never changes."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        """Index *texts*, each as its words."""
        self._index = None
        if any(texts):
            try:
                import bm25s
            except ImportError as error:
                raise missing_extra("bm25s", extra="knowledge") from error
            self._index = bm25s.BM25(k1=1.5, b=0.75, method="lucene", backend="numpy")
            self._index.index([list(words) for words in texts], show_progress=False)

    def best(self, words: Sequence[str], n: int) -> list[int]:
        """The places of at most *n* texts that share a word with *words*, best first."""
        if self._index is None:
            return []
        known = self._index.get_tokens_ids(list(words))
        if not known:
            return []
        scores: np.ndarray = self._index.get_scores_from_ids(known)  # (N,)
        return best_of(scores, n, above=0.0)


def best_of(scores: np.ndarray, n: int, *, above: float) -> list[int]:
    """The places of the *n* largest scores that are above a bound, best first; of equal ones the
    first.

    >>> best_of(np.array([1.0, 3.0, 0.0, 3.0]), 3, above=0.0)
    [1, 3, 0]
    """
    if len(scores) > 4 * n:  # a full sort of all would take longer than the rest of a search
        candidates = np.sort(np.argpartition(-scores, n)[: n + 1])
    else:
        candidates = np.arange(len(scores))
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:n]
    return [int(i) for i in order if scores[i] > above]
