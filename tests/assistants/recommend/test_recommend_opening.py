"""Opened, recommendation follows the model that was fitted last, and goes on where that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from tests.assistants.recommend.live_fakes import TagModel, posted, recommender_in

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend import opening
from tailorbird.assistants.recommend.live import Recommender
from tailorbird.assistants.recommend.opening import OpenRecommend, open_recommend
from tailorbird.assistants.recommend.published import live_id, model_path
from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.errors import BundleError, StoreError
from tailorbird.personalise.recommend_rows import forget_recommend
from tailorbird.store import Workspace
from tailorbird.store.tables import ImpressionRow, ItemRow


@pytest.fixture
def recommender(tmp_path: Path) -> Iterator[Recommender]:
    with recommender_in(tmp_path, follow_s=0.01) as made:
        yield made


def test_the_manifest_says_which_model_is_in_use(recommender: Recommender) -> None:
    workspace = recommender.workspace
    assert live_id(workspace) == ""
    folder = model_path(workspace)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"id": "m-2"}), encoding="utf-8")
    assert live_id(workspace) == "m-2"
    (folder / "manifest.json").write_text("[]", encoding="utf-8")
    with pytest.raises(StoreError, match="recommend fit"):
        live_id(workspace)


def test_a_running_service_goes_over_to_a_new_model(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = iter([TagModel("tags-2"), None, TagModel("tags-3")])

    def follow(one: Recommender) -> bool:
        model = next(models, one.model)
        if model is None:
            raise StoreError("half written")
        one.replace(model)
        return True

    monkeypatch.setattr(opening, "follow_model", follow)

    async def run() -> None:
        async with OpenRecommend(recommender).running():
            assert recommender.model is not None
            assert recommender.model.id == "tags-2"
            for _ in range(500):
                if recommender.model.id == "tags-3":
                    return
                await asyncio.sleep(0.01)
            pytest.fail("the third model was not taken over after one that failed")

    asyncio.run(run())


def test_items_of_other_processes_are_taken_over(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "ITEMS_S", 0.02)
    monkeypatch.setattr(opening, "follow_model", lambda one: False)

    async def run() -> None:
        async with OpenRecommend(recommender).running():
            with recommender.workspace.writing() as session:
                session.add(ItemRow(id="late", title="A late one"))
            for _ in range(500):
                if "late" in recommender.shelf.items:
                    return
                await asyncio.sleep(0.01)
            pytest.fail("the item was not seen")

    asyncio.run(run())


def test_without_the_extra_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PACKAGES", ("no_such_package",))
    with Workspace.open(tmp_path) as workspace:
        assert open_recommend(workspace, ListSettings()) is None


def test_a_model_of_another_version_is_not_taken_over(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_path(recommender.workspace)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"id": "m-2"}), encoding="utf-8")
    old = SimpleNamespace(ranker=SimpleNamespace(names=["match"]), feature_names=["match", "text"])
    monkeypatch.setattr(RecommendModel, "load", lambda path, cache: old)
    with pytest.raises(BundleError, match="looked at other features"):
        opening.follow_model(recommender)
    assert recommender.model is not None
    assert recommender.model.id == "tags-1"


def test_who_was_forgotten_elsewhere_is_no_more_in_the_memory_of_a_running_service(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody asks for them any more, and lists of theirs may still be answered."""
    monkeypatch.setattr(opening, "follow_model", lambda one: False)
    recommender.take([posted("ada-lovelace", "tea-1")])
    recommender.histories.of("ada-lovelace")
    recommender.answers.note_shown("list-1", ["tea-1"], user="ada-lovelace")

    def names_held() -> str:
        histories, answers = recommender.histories, recommender.answers
        return repr((dict(histories._held), vars(answers)))

    assert "ada-lovelace" in names_held()
    with recommender.workspace.writing() as session:
        forget_recommend(session, "ada-lovelace")
    recommender.histories._clock = lambda: float("inf")  # half a minute later

    async def run() -> None:
        async with OpenRecommend(recommender).running():
            for _ in range(500):
                if "ada-lovelace" not in names_held():
                    return
                await asyncio.sleep(0.01)
            pytest.fail("her name is still held")

    asyncio.run(run())


def test_a_running_service_deletes_lists_that_are_older_than_they_are_kept(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "follow_model", lambda one: False)
    kept_days = recommender.settings.kept_days
    ages = {"new": 1, "edge": kept_days, "old": kept_days + 1}
    with recommender.workspace.writing() as session:
        for name, days in ages.items():
            moment = recommender.clock() - timedelta(days=days)
            session.add(ImpressionRow(id=name, time=moment, model="m", items=[]))

    def left() -> set[str]:
        with recommender.workspace.sessions() as session:
            return set(session.scalars(select(ImpressionRow.id)))

    async def run() -> None:
        async with OpenRecommend(recommender).running():
            for _ in range(500):
                if "old" not in left():
                    return
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert left() == {"new", "edge"}
