"""Nightly lists: one for every user, and a night that was interrupted goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.assistants.recommend.live_fakes import NOON, TagModel, posted, recommender_in

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.batch import make_lists, users_in_parts
from tailorbird.assistants.recommend.live import Recommender
from tailorbird.assistants.recommend.seam import best_first
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import DailyListRow, ImpressionRow

N_USERS = 230


@pytest.fixture
def recommender(tmp_path: Path) -> Iterator[Recommender]:
    with recommender_in(tmp_path, explore_positions=2) as made:
        made.take([posted(f"u{n:03}", "wool-4" if n % 2 else "tea-4") for n in range(N_USERS)])
        yield made


def rows(recommender: Recommender) -> list[DailyListRow]:
    with recommender.workspace.sessions() as session:
        return list(session.scalars(select(DailyListRow).order_by(DailyListRow.user)))


def test_everybody_gets_a_list_and_nothing_is_drawn_or_logged(recommender: Recommender) -> None:
    made = make_lists(recommender, n=3)
    assert (made.n_made, made.n_kept) == (N_USERS, 0)
    found = rows(recommender)
    assert len(found) == N_USERS
    assert [one["id"] for one in found[1].items] == ["wool-0", "wool-1", "wool-2"]
    assert found[1].items[0]["reason"] == {"kind": "liked", "item": "wool-4", "feature": ""}
    assert found[1].model == "tags-1"
    with recommender.workspace.sessions() as session:
        assert session.scalars(select(ImpressionRow)).all() == []


def test_an_interrupted_night_goes_on_where_it_stopped(recommender: Recommender) -> None:
    def stop(n_done: int) -> None:
        if n_done >= 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_lists(recommender, say=stop)
    assert len(rows(recommender)) == 200
    made = make_lists(recommender)
    assert (made.n_made, made.n_kept) == (30, 200)
    assert make_lists(recommender).n_made == 0


def test_the_next_night_and_another_model_make_them_anew(recommender: Recommender) -> None:
    make_lists(recommender)
    recommender.clock = lambda: NOON + timedelta(hours=25)
    assert make_lists(recommender).n_made == N_USERS
    recommender.replace(TagModel("tags-2"))
    assert make_lists(recommender).n_made == N_USERS
    assert {row.model for row in rows(recommender)} == {"tags-2"}


def test_users_come_in_order_each_once(recommender: Recommender) -> None:
    recommender.take([posted("u001", "tea-1")])
    parts = list(users_in_parts(recommender.workspace, n=100))
    assert [len(part) for part in parts] == [100, 100, 30]
    users = [user for part in parts for user in part]
    assert users == sorted(set(users))


def test_without_a_model_it_is_said_what_to_do(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        made = Recommender(workspace, None, ListSettings(), diversify=best_first)
        with pytest.raises(UnavailableError, match="recommend fit"):
            make_lists(made)
        made.close()
