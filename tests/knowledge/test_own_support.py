"""What judges finds is fitted to the documents, once for each state of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.own_support import FILE, OwnSupport
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.store import Workspace
from tailorbird.testing.encoder import WordEncoder

TOPICS = (
    "parcels",
    "invoices",
    "returns",
    "coupons",
    "kettles",
    "lamps",
    "shirts",
    "vases",
    "pens",
)


def handbook(n: int = len(TOPICS)) -> bytes:
    rows = [f"How do I ask for {one}?,Write to the desk of {one} on Mondays." for one in TOPICS[:n]]
    return "\n".join(["question,answer", *rows]).encode()


def judged(base: KnowledgeBase) -> OwnSupport:
    support = OwnSupport(base)
    base.support = support
    return support


def test_a_base_is_judged_by_its_own_model_once_it_has_enough_pieces(base: KnowledgeBase) -> None:
    support = judged(base)
    base.add("handbook.csv", handbook(3))
    assert support.follow()
    assert support.threshold == LearnedSupport.default().threshold
    base.add("handbook.csv", handbook())
    assert support.follow()
    first = base.search("how do I ask for kettles?")[0]
    assert first.question == "How do I ask for kettles?"
    assert first.support > support.threshold
    odd = base.search("may dogs fly to the moon?")
    assert all(one.support < first.support for one in odd)


class CountingEncoder(WordEncoder):
    n_queries = 0

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        self.n_queries += is_query
        return super().embed(texts, is_query=is_query)


def test_nothing_is_fitted_again_while_documents_stay_and_by_nobody_else(
    workspace: Workspace,
) -> None:
    encoder = CountingEncoder()
    base = KnowledgeBase(workspace, encoder)
    base.add("handbook.csv", handbook())
    support = judged(base)
    assert support.follow()
    n_queries = encoder.n_queries
    assert not support.follow()
    other = judged(base)
    assert other.follow()  # reads what the first one kept
    assert encoder.n_queries == n_queries > 0
    assert other.threshold == support.threshold


def test_a_damaged_file_is_fitted_anew(base: KnowledgeBase) -> None:
    base.add("handbook.csv", handbook())
    support = judged(base)
    support.follow()
    (base.workspace.path / FILE).write_text("{", encoding="utf-8")
    other = judged(base)
    assert other.follow()
    assert other.threshold == support.threshold


def test_a_process_that_ends_leaves_what_is_being_fitted_to_the_next(workspace: Workspace) -> None:
    encoder = CountingEncoder()
    base = KnowledgeBase(workspace, encoder)
    base.add("handbook.csv", handbook())
    support = judged(base)
    support.close()
    assert not support.follow(rest=2.0)
    assert encoder.n_queries <= 2  # one search, and no more
    assert judged(base).follow()


def test_what_was_fitted_from_other_coefficients_is_fitted_anew(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.add("handbook.csv", handbook())
    judged(base).follow()
    before = (base.workspace.path / FILE).read_text(encoding="utf-8")
    shipped = LearnedSupport.default()
    other = replace(shipped, bias=shipped.bias + 1.0)
    monkeypatch.setattr(LearnedSupport, "default", lambda: other)
    assert judged(base).follow()
    assert (base.workspace.path / FILE).read_text(encoding="utf-8") != before
