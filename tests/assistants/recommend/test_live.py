"""The recommender: what people do is in their next list, and no list is lost or wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.assistants.recommend.live_fakes import (
    ITEMS,
    NOON,
    TagModel,
    event,
    posted,
    recommender_in,
)

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.live import Recommender, Wish
from tailorbird.assistants.recommend.seam import Item, Reason, Scored, best_first
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import DailyListRow, EventRow, ImpressionRow


@pytest.fixture
def recommender(tmp_path: Path) -> Iterator[Recommender]:
    with recommender_in(tmp_path) as made:
        yield made


def ids(recommender: Recommender, user: str | None, n: int = 3, **wish: object) -> list[str]:
    listing = recommender.preview(Wish(user=user, n=n, **wish))  # type: ignore[arg-type]
    return [one.scored.item for one in listing.choices]


def test_events_are_in_the_next_list(recommender: Recommender) -> None:
    assert ids(recommender, "ada") == ["tea-0", "tea-1", "tea-2"]
    taken = recommender.take([posted("ada", "wool-4")])
    assert (taken.n_new, taken.n_known, taken.unknown_items) == (1, 0, ())
    assert ids(recommender, "ada") == ["wool-0", "wool-1", "wool-2"]
    assert ids(recommender, "bo") == ["tea-0", "tea-1", "tea-2"]


def test_what_is_sent_again_counts_once(recommender: Recommender) -> None:
    recommender.preview(Wish(user="ada"))  # her history is held from here on
    first = [posted("ada", "wool-4"), posted("ada", "tea-1", minute=1, id="mine")]
    assert recommender.take(first).n_new == 2
    again = [*first, posted("ada", "tea-1", "share", minute=9, id="mine"), posted("ada", "wool-4")]
    taken = recommender.take(again)
    assert (taken.n_new, taken.n_known) == (0, 4)
    assert len(recommender.histories.of("ada").events) == 2
    with recommender.workspace.sessions() as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 2


def test_one_request_with_the_same_event_twice_keeps_one(recommender: Recommender) -> None:
    taken = recommender.take([posted("ada", "wool-4"), posted("ada", "wool-4")])
    assert (taken.n_new, taken.n_known) == (1, 1)


def test_events_of_unknown_items_are_kept_and_told(recommender: Recommender) -> None:
    taken = recommender.take(
        [posted("ada", "not-yet", "purchase"), posted("ada", "tea-1", minute=1)]
    )
    assert taken.unknown_items == ("not-yet",)
    assert [one.item for one in recommender.histories.of("ada").events] == ["not-yet", "tea-1"]
    assert len(ids(recommender, "ada")) == 3


def test_an_event_that_comes_late_stands_in_its_place(recommender: Recommender) -> None:
    recommender.histories.of("ada")
    recommender.take([posted("ada", "tea-1", minute=5)])
    recommender.take([posted("ada", "wool-1", minute=2)])
    assert [one.item for one in recommender.histories.of("ada").events] == ["wool-1", "tea-1"]


def test_a_sender_whose_clock_is_ahead_is_heard_at_once(recommender: Recommender) -> None:
    recommender.take([posted("ada", "wool-4", minute=63)])  # it is minute 60
    assert ids(recommender, "ada", 1) == ["wool-0"]
    recommender.take([posted("bo", "wool-4", minute=70)])  # as a file may say
    assert ids(recommender, "bo", 1) == ["tea-0"]


def test_what_was_bought_or_judged_is_not_shown_again(recommender: Recommender) -> None:
    recommender.take(
        [posted("ada", "tea-0", "purchase"), posted("ada", "tea-1", "rating", value=2)]
    )
    recommender.take([posted("ada", "tea-2")])
    assert ids(recommender, "ada") == ["tea-2", "tea-3", "tea-4"]


def test_ten_thousand_events_of_one_user_cost_no_more_than_the_latest(tmp_path: Path) -> None:
    with recommender_in(tmp_path, n_history=50) as recommender:
        done = [posted("ada", f"old-{n}", "purchase", minute=n - 10_000) for n in range(10_000)]
        recommender.take([*done, posted("ada", "wool-1")])
        history = recommender.histories.of("ada")
        assert len(history.events) == 50
        assert history.events[-1].item == "wool-1"
        assert len(history.done) == 10_000
        assert ids(recommender, "ada", 1) == ["wool-0"]
        assert len(recommender._model.asked[-1][1]) == 50  # type: ignore[union-attr]


def test_only_so_many_users_are_held(tmp_path: Path) -> None:
    with recommender_in(tmp_path, max_users=3) as recommender:
        recommender.take([posted(f"u{n}", "wool-1") for n in range(10)])
        for n in range(10):
            assert ids(recommender, f"u{n}", 1) == ["wool-0"]
        assert len(recommender.histories) == 3


def test_what_another_process_wrote_is_seen_once_a_history_is_old(recommender: Recommender) -> None:
    now_s = 0.0
    recommender.histories._clock = lambda: now_s
    assert ids(recommender, "ada", 1) == ["tea-0"]
    with recommender.workspace.writing() as session:
        session.add(EventRow(key="k", user="ada", item="wool-3", kind="click", time=NOON))
    now_s = 29.0
    assert ids(recommender, "ada", 1) == ["tea-0"]
    now_s = 31.0
    assert ids(recommender, "ada", 1) == ["wool-0"]


def test_somebody_without_a_name_is_known_by_what_they_looked_at(recommender: Recommender) -> None:
    assert ids(recommender, None, 1) == ["tea-0"]
    assert ids(recommender, None, 1, recent=("wool-5",)) == ["wool-0"]
    assert ids(recommender, "ada", 1, imagined=(event("ada", "wool-5"),)) == ["wool-0"]
    assert ids(recommender, "ada", 1) == ["tea-0"]  # it was only imagined


def test_items_come_and_go_at_once(recommender: Recommender) -> None:
    change = recommender.put_items([Item("silk", "", tags=("wool",)), Item("bare", ""), ITEMS[0]])
    assert (change.n_new, change.n_changed, change.n_unchanged) == (2, 0, 1)
    assert change.n_without_text == 1
    recommender.take([posted("ada", "wool-4")])
    assert "silk" in ids(recommender, "ada", 10)
    assert recommender.withdraw(["silk", "never-there"]) == ["silk"]
    assert "silk" not in ids(recommender, "ada", 30)
    assert recommender.withdraw(["silk"]) == []
    assert recommender.put_items([Item("silk", "Silk", tags=("wool",))]).n_changed == 1
    assert "silk" in ids(recommender, "ada", 30)
    assert ids(recommender, "ada", 2, exclude=frozenset({"wool-0"})) == ["wool-1", "wool-2"]


def test_what_sellers_write_of_themselves_is_masked(recommender: Recommender) -> None:
    recommender.put_items([Item("x", "Lamp", "call me at +44 20 7946 0958")])
    assert recommender.shelf.items["x"].description == "call me at [PHONE]"


def test_a_list_is_logged_with_what_was_shown(recommender: Recommender) -> None:
    recommender.take([posted("ada", "wool-4")])
    listing = recommender.recommend(Wish(user="ada", n=2))
    recommender.close()
    with recommender.workspace.sessions() as session:
        (row,) = session.scalars(select(ImpressionRow)).all()
    assert (row.id, row.user, row.model) == (listing.impression, "ada", "tags-1")
    assert row.items[0] == {
        "id": "wool-0",
        "score": 1 + round(1 / 11, 6),
        "propensity": 1.0,
        "explored": False,
        "reason": "liked",
    }


def test_a_list_is_given_also_when_it_cannot_be_logged(recommender: Recommender) -> None:
    recommender.close()
    listing = recommender.recommend(Wish(user="ada", n=2))
    assert listing.impression is None
    assert len(listing.choices) == 2


def test_a_model_is_replaced_without_a_lost_list(recommender: Recommender) -> None:
    seen: set[str] = set()
    failed: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                listing = recommender.preview(Wish(user="ada", n=5))
            except BaseException as error:
                failed.append(error)
                return
            assert len(listing.choices) == 5
            seen.add(listing.model)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(2, 12):
        recommender.replace(TagModel(f"tags-{n}"))
    while "tags-11" not in seen and not failed:
        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert ids(recommender, None, 1) == ["tea-0"]  # a new model knows the whole shelf


def test_without_a_model_the_list_of_the_night_is_given(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        made = Recommender(workspace, None, ListSettings(), diversify=best_first)
        made.put_items(ITEMS)
        with pytest.raises(UnavailableError, match="nothing has learned yet"):
            made.recommend(Wish(user="ada"))
        rows = [
            {"id": one, "score": 1.0, "reason": {"kind": "popular"}} for one in ("tea-1", "tea-2")
        ]
        with workspace.writing() as session:
            session.add(DailyListRow(user="ada", model="m", items=rows))
        made.withdraw(["tea-1"])
        listing = made.recommend(Wish(user="ada"))
        assert [one.scored.item for one in listing.choices] == ["tea-2"]
        assert (listing.impression, listing.is_nightly) == (None, True)
        made.close()


def test_lists_are_deleted_in_parts_and_never_where_that_is_not_wanted(tmp_path: Path) -> None:
    with recommender_in(tmp_path, keep_lists_days=40) as recommender:
        with recommender.workspace.writing() as session:
            for n in range(1_100):
                moment = NOON - timedelta(days=n % 11 * 10)  # 0 to 100 days ago, a hundred each
                session.add(ImpressionRow(time=moment, model="m", items=[]))
        assert recommender.drop_old_lists() == 700  # those of 40 days ago are an hour too old
        assert recommender.drop_old_lists() == 0
    with recommender_in(tmp_path, keep_lists_days=0) as recommender:
        recommender.clock = lambda: NOON + timedelta(days=10_000)
        assert recommender.drop_old_lists() == 0
    with recommender_in(tmp_path, keep_lists_days=1, explore_days=60) as recommender:
        assert recommender.drop_old_lists() == 0  # exploring still counts them


def test_reasons_are_looked_for_only_where_they_are_shown(tmp_path: Path) -> None:
    class Counting(TagModel):
        n_explained = 0

        def explain(self, history: Any, shown: Any, *, now: Any) -> list[Scored]:
            self.n_explained += len(shown)
            return [replace(one, reason=Reason("liked", item="tea-8")) for one in shown]

    model = Counting("counting", ITEMS)
    with recommender_in(tmp_path, model=model, explore_positions=2) as recommender:
        listing = recommender.preview(Wish(user="ada", n=6), explore=True)
        assert recommender._model.n_explained == 6  # type: ignore[union-attr]
        assert any(one.is_explored for one in listing.choices)
        assert {one.scored.reason.item for one in listing.choices} == {"tea-8"}
