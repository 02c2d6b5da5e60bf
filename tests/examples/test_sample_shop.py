"""The sample shop is what its generator makes, and every row of it can be read."""

from __future__ import annotations

import runpy
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from tailorbird.assistants.recommend.catalogue.reading import read_events, read_items
from tailorbird.text import language_of

SHOP = Path(__file__).parents[2] / "examples" / "recommend"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(SHOP / "generate.py"))


def test_the_same_seed_gives_the_same_files(generator: dict[str, Any]) -> None:
    items, events = generator["generate"](seed=6)
    assert (SHOP / "items.jsonl").read_text(encoding="utf-8") == items
    assert (SHOP / "events.csv").read_text(encoding="utf-8") == events
    assert generator["generate"](seed=7)[1] != events


def test_every_row_can_be_read_and_files_are_small() -> None:
    items = read_items(SHOP / "items.jsonl")
    events = read_events(SHOP / "events.csv")
    known = {item.id: item for item in items}
    log = list(events)
    assert (len(known), items.n_rejected, events.n_rejected) == (240, 0, 0)
    assert 4_000 < len(log) < 9_000
    assert len({one.user for one in log}) == 300
    languages = Counter(language_of(item.title) for item in known.values())
    assert languages == {"en": 120, "zh": 120}
    assert all(item.created and item.features["price"] for item in known.values())
    assert set(Counter(one.kind for one in log)) == {
        "browse", "click", "comment", "share", "purchase", "rating",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in SHOP.iterdir() if path.is_file()) < 600_000


def test_nothing_is_done_with_an_item_before_it_is_there() -> None:
    created = {item.id: item.created for item in read_items(SHOP / "items.jsonl")}
    for event in read_events(SHOP / "events.csv"):
        there = created[event.item]
        assert there is not None
        assert event.time >= there.astimezone(UTC)


def test_customers_have_tastes_that_can_be_learned() -> None:
    """Of what a customer clicks most are of the kinds that they clicked most before."""
    kinds = {item.id: item.tags[0] for item in read_items(SHOP / "items.jsonl")}
    clicks: dict[str, list[str]] = {}
    for event in read_events(SHOP / "events.csv"):
        if event.kind == "click":
            clicks.setdefault(event.user, []).append(kinds[event.item])
    n_right = n_all = 0
    for mine in clicks.values():
        half = len(mine) // 2
        favourites = {kind for kind, _ in Counter(mine[:half]).most_common(2)}
        if half >= 4:
            n_right += sum(kind in favourites for kind in mine[half:])
            n_all += len(mine) - half
    assert n_right / n_all > 0.4  # two of twenty kinds would be 0.1 by chance
