"""Items and events, from files and tables into a log that is cut in time."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.assistants.recommend import tea_shop
from tests.assistants.recommend.tea_shop import START

from tailorbird.assistants.recommend.catalogue.log import Places, build_log, past_of, scale_of
from tailorbird.assistants.recommend.catalogue.moments import moments_of
from tailorbird.assistants.recommend.catalogue.reading import read_events, read_items
from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.config import ReadingSettings
from tailorbird.errors import DataError


def rated(user: str, item: str, value: float, minute: int) -> Event:
    return Event(user, item, "rating", value, START + timedelta(minutes=minute))


def test_items_are_read_with_tags_numbers_and_words(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("movieId,title,genres,price,brand\n7,Red shoes,shoes|red,9.5,Sol\n8,,,,\n")
    reading = read_items(file)
    assert list(reading) == [
        Item("7", "Red shoes", tags=("shoes", "red"), features={"price": 9.5, "brand": "Sol"}),
        Item("8", ""),
    ]
    assert any("id from 'movieId'" in sentence for sentence in reading.decisions)


def test_chinese_columns_and_kinds_are_known(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("用户,商品,行为,时间\n小王,7,购买,2024-05-01 08:30\n", encoding="utf-8")
    (event,) = read_events(file)
    assert (event.user, event.item, event.kind) == ("小王", "7", "purchase")


def test_bad_events_are_rejected_with_their_cause(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    rows = ["a,1,click,2024-01-01", "a,2,stolen,2024-01-01", "a,3,click,", ",4,click,2024-01-01"]
    file.write_text("user,item,kind,time\n" + "\n".join(rows) + "\n")
    rejects = []
    reading = read_events(file, ReadingSettings(max_reject_fraction=0.9), on_reject=rejects.append)
    assert [event.item for event in reading] == ["1"]
    assert [reject.line for reject in rejects] == [3, 4, 5]
    assert "'stolen' is no kind of event" in rejects[0].cause


def test_events_come_from_a_table_of_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table log (user text, item text, rating real, ts integer)")
        database.execute("insert into log values ('ann', 'x', 4.5, 1714552200)")
    database.close()
    reading = read_events(f"sqlite:///{tmp_path / 'shop.db'}", ReadingSettings(table="log"))
    (event,) = reading
    assert (event.kind, event.value, event.time.year) == ("rating", 4.5, 2024)
    assert any("all are taken for ratings" in sentence for sentence in reading.decisions)


def test_a_file_without_a_needed_column_is_refused_with_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("who,what,when\na,1,2024-01-01\n")
    with pytest.raises(DataError, match="no column holds the user; it has: who, what, when"):
        list(read_events(file))
    named = {"user": "who", "item": "what", "time": "when"}
    assert len(list(read_events(file, columns=named))) == 1


def test_events_of_unknown_items_are_counted_said_and_left_out() -> None:
    said: list[str] = []
    log = build_log(
        [rated("a", "x", 3, 0), rated("a", "gone", 5, 1)], Places(["x"]), say=said.append
    )
    assert len(log) == 1
    assert said == [
        "events: 1 are of 1 items that are not in the catalogue and teach nothing (first: 'gone')"
    ]


def test_a_log_without_any_known_item_is_refused() -> None:
    with pytest.raises(DataError, match="no event is of an item of the catalogue"):
        build_log([rated("a", "gone", 5, 1)], Places(["x"]))


def test_a_rating_counts_by_how_far_it_is_above_the_users_own_mean() -> None:
    kind = [rated("kind", "x", 5, 0), rated("kind", "y", 5, 1), rated("kind", "z", 4, 2)]
    stern = [rated("stern", "x", 2, 0), rated("stern", "y", 2, 1), rated("stern", "z", 4, 2)]
    places, scale = Places("xyz"), scale_of(kind + stern)
    of_kind, of_stern = (past_of(events, places.of, scale) for events in (kind, stern))
    assert not of_kind.is_liked[2]
    assert of_stern.is_liked[2]
    assert of_stern.strength[2] > of_kind.strength[2]


def test_equal_ratings_are_all_liked_alike() -> None:
    events = [rated("a", item, 3, minute) for minute, item in enumerate("xyz")]
    log = build_log(events, Places("xyz"))
    assert log.past.relative.tolist() == [0.0, 0.0, 0.0]
    assert log.past.strength.tolist() == [1.0, 1.0, 1.0]
    assert log.past.is_liked.all()


def test_of_a_very_busy_user_the_latest_events_are_learned_from() -> None:
    busy = [rated("busy", f"i{k % 50}", 3, k) for k in range(10_000)]
    log = build_log([*busy, rated("calm", "i1", 4, 0)], Places(f"i{k}" for k in range(50)))
    said: list[str] = []
    short = log.latest_of_each(5_000, say=said.append)
    assert np.bincount(short.user).tolist() == [5_000, 1]
    assert short.past.time[:5_000].min() == (START + timedelta(minutes=5_000)).timestamp()
    assert said == ["events: 1 users have more than 5,000; of each the latest are learned from"]


def test_events_of_one_second_are_never_parted() -> None:
    page = [replace(rated("a", item, 4, 5), time=START) for item in "wxyz"]
    later = [rated("a", "v", 4, 9)]
    log = build_log(page + later, Places("vwxyz"))
    window = (START.timestamp(), START.timestamp() + 1e6)
    found = moments_of(log, *window, shares=(0.0, 0.5, 0.85))
    assert [(len(m.past), len(m.targets)) for m in found] == [(0, 5), (4, 1)]


def test_targets_come_after_the_moment_are_liked_and_new_to_the_user() -> None:
    events = tea_shop.events(n_users=6)
    log = build_log(events, Places(item.id for item in tea_shop.items()))
    since = (START + timedelta(days=3)).timestamp()
    found = moments_of(log, since, since + 1e7, shares=(0.0, 0.5))
    assert {moment.user for moment in found} == {3, 4, 5}
    for moment in found:
        assert (moment.past.time < moment.now_s).all()
        assert not set(moment.targets) & set(moment.seen)
