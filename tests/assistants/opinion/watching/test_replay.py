"""A replay gives what the live watch gives; an alert is told once, and tells its story."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tailorbird.assistants.opinion.watching import Watcher, WatchSettings, replay
from tailorbird.assistants.opinion.watching.alerts import Ledger
from tailorbird.assistants.opinion.watching.posts import HeldPosts, ReadPost
from tailorbird.assistants.opinion.watching.series import Key, Window
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow

from .conftest import START, Store

SETTINGS = WatchSettings(history_days=14)


def values(alert: Any) -> dict[str, Any]:
    """What a replay and the tables both know."""
    names = ("id", "created", "topic", "entity", "since", "until", "level", "story", "group")
    return {name: getattr(alert, name) for name in names}


def kept(workspace: Workspace) -> list[dict[str, Any]]:
    with workspace.sessions() as session:
        rows = session.query(AlertRow).order_by(AlertRow.created, AlertRow.id)
        return [values(row) for row in rows]


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def live(workspace: Workspace, store: Store, posts: list[ReadPost]) -> datetime:
    """Posts come as time goes, and the watch looks now and then; when it looked last."""
    clock = Clock(START)
    watcher = Watcher(workspace, SETTINGS, clock=clock)
    waiting = list(posts)
    rng = np.random.default_rng(0)
    while waiting or clock.now < posts[-1].time + timedelta(hours=2):
        clock.now += timedelta(minutes=int(rng.integers(60, 400)))
        here = [one for one in waiting if one.time <= clock.now]
        waiting = waiting[len(here) :]
        store(here)
        watcher.look()
    return clock.now


@pytest.fixture(scope="module")
def in_time(stream: list[ReadPost]) -> list[ReadPost]:
    return sorted(stream, key=lambda one: (one.time, one.id))


def test_a_replay_gives_exactly_what_the_live_watch_gave(
    workspace: Workspace, store: Store, in_time: list[ReadPost]
) -> None:
    live(workspace, store, in_time)
    replayed = [values(one) for one in replay(in_time, SETTINGS)]
    assert replayed  # there is something to compare
    assert kept(workspace) == replayed
    assert len([one for one in replayed if one["topic"] == "food"]) == 1  # told once


def test_a_watch_that_restarts_tells_nothing_twice(
    workspace: Workspace, store: Store, in_time: list[ReadPost]
) -> None:
    half = [one for one in in_time if one.time < START + timedelta(days=15, hours=13)]
    last = live(workspace, store, half)
    before = kept(workspace)
    assert before
    again = Watcher(workspace, SETTINGS, clock=Clock(last))
    assert again.look() == []
    assert kept(workspace) == before


def test_the_rise_is_found_dated_explained_and_grouped(in_time: list[ReadPost]) -> None:
    alerts = replay(in_time, SETTINGS)
    begin = START + timedelta(days=15, hours=9)
    food = next(one for one in alerts if one.topic == "food")
    assert begin <= food.created <= begin + timedelta(hours=3)
    assert abs(food.since - begin) <= timedelta(hours=1)
    assert abs(food.until - (begin + timedelta(hours=12))) <= timedelta(hours=2)
    assert food.is_over
    assert food.story["end"] == "down"
    assert food.story["ratio"] > 3
    assert {"acme", "milk", "powder"} & set(food.story["words"])
    titles = [one["title"] for one in food.story["texts"]]
    assert 2 <= len(titles) <= 5
    assert all("Acme" in title for title in titles[:2])
    acme = next(one for one in alerts if one.entity == "Acme")
    assert acme.group == food.group
    assert [one for one in alerts if one.topic == "banks"] == []


def test_more_posts_of_all_kinds_are_no_surge() -> None:
    rng = np.random.default_rng(2)
    ledger = Ledger(SETTINGS, HeldPosts([]))
    first = 4 * 24
    found = []
    for t in range(20 * 24):
        busy = 4 if 17 * 24 <= t < 17 * 24 + 12 else 1
        negatives, others = int(rng.poisson(2 * busy)), int(rng.poisson(8 * busy))
        counts = {Key("food"): (negatives + others, negatives)}
        found += ledger.step(first + t, Window(negatives + others, counts))
    assert found == []


def test_a_day_without_sources_is_a_hole_and_what_follows_no_surge() -> None:
    rng = np.random.default_rng(3)
    ledger = Ledger(SETTINGS, HeldPosts([]))
    found = []
    for t in range(30 * 24):
        is_down = 16 * 24 <= t < 18 * 24
        negatives, others = (0, 0) if is_down else (int(rng.poisson(3)), int(rng.poisson(9)))
        counts = {} if is_down else {Key("food"): (negatives + others, negatives)}
        found += ledger.step(96 + t, Window(negatives + others, counts))
        if t == 20 * 24:  # the usual has not sunk
            usual = ledger.detector.expected(Key("food"), 96 + t)
            assert usual == pytest.approx(3.0, rel=0.3)
    assert found == []


def test_a_level_that_stays_becomes_the_usual_one() -> None:
    rng = np.random.default_rng(4)
    ledger = Ledger(SETTINGS, HeldPosts([]))
    ids, ends = set(), set()
    for t in range(60 * 24):
        negatives, others = int(rng.poisson(2 if t < 20 * 24 else 9)), int(rng.poisson(9))
        window = Window(negatives + others, {Key("food"): (negatives + others, negatives)})
        for alert in ledger.step(96 + t, window):
            ids.add(alert.id)
            ends.add(alert.story["end"])
    assert len(ids) == 1
    assert "level" in ends
    assert ledger.detector.open_rises() == []


def test_a_young_series_raises_nothing_in_its_first_week() -> None:
    rng = np.random.default_rng(5)
    ledger = Ledger(SETTINGS, HeldPosts([]))
    found = []
    for t in range(20 * 24):
        counts = {Key("old"): (9, min(9, int(rng.poisson(2))))}
        if t >= 12 * 24:
            counts[Key("new")] = (20, 20)
        found += ledger.step(96 + t, Window(26, counts))
    assert [one for one in found if one.topic == "new"] == []


def test_a_story_told_again_by_others_counts_once(in_time: list[ReadPost]) -> None:
    copies = [replace(one, id=f"{one.id}c{k}", copy_of=one.id) for one in in_time for k in range(3)]
    plain = [values(one) for one in replay(in_time, SETTINGS)]
    assert [values(one) for one in replay([*in_time, *copies], SETTINGS)] == plain


def test_nothing_gives_no_alert() -> None:
    assert replay([], SETTINGS) == []


def test_a_year_of_fifty_series_takes_seconds() -> None:
    rng = np.random.default_rng(6)
    ledger = Ledger(WatchSettings(), HeldPosts([]))
    keys = [Key(f"t{k}") for k in range(50)]
    others = rng.poisson(2.0, (120 * 24, 50)).tolist()
    negatives = rng.poisson(0.5, (120 * 24, 50)).tolist()
    begun_s = time.process_time()
    for t, (n_others, n_negatives) in enumerate(zip(others, negatives, strict=True)):
        counts = {
            key: (a + b, b) for key, a, b in zip(keys, n_others, n_negatives, strict=True) if a + b
        }
        ledger.step(t, Window(sum(n_others), counts))
    assert (time.process_time() - begun_s) * 3 < 30  # the year, on a slow machine
