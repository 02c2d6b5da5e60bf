"""A knowledge base and the support model that it teaches."""

from __future__ import annotations

import numpy as np
import pytest

from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.support_fitting import fit_support

THINGS = ["lamp", "sofa", "table", "chair", "carpet", "mirror", "clock", "vase", "shelf", "bed"]
ROWS = [f"how do i {do} my {thing},The {thing}: {do} it."
        for thing in THINGS for do in ("return", "clean")]  # fmt: skip


@pytest.fixture
def shop(base: KnowledgeBase) -> KnowledgeBase:
    base.add("faq.csv", ("question,answer\n" + "\n".join(ROWS) + "\n").encode())
    return base


def test_passages_say_how_near_they_are_and_how_near_the_others(shop: KnowledgeBase) -> None:
    found = shop.search("how do i clean my lamp", k=3)
    assert found[0].cosine == pytest.approx(1.0, abs=2e-3)  # vectors are kept as fp16
    assert [one.cosine for one in found] == sorted((one.cosine for one in found), reverse=True)
    vectors = shop.encoder.embed([one.question for one in shop.passages()], is_query=False)
    asked = shop.encoder.embed(["how do i clean my lamp"], is_query=True)[0]
    cosines = vectors @ asked
    expected = (float(np.mean(cosines)), float(np.std(cosines)))
    assert found[0].background == pytest.approx(expected, abs=2e-3)
    assert len({one.background for one in found}) == 1


def test_a_base_teaches_its_support_model_and_uses_it(shop: KnowledgeBase) -> None:
    pieces = shop.passages()
    assert len(pieces) == 20
    support = fit_support(pieces, lambda question, k: shop.search(question, k=k))
    shop.support = support
    known = shop.search("please, how do i return my vase")
    assert max(one.support for one in known) >= support.threshold
    unknown = shop.search("what is the weather in Berlin")
    assert all(one.support < support.threshold for one in unknown)
