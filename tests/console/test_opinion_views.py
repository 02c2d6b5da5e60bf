"""What is dear to read is read once for all who look at it, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import Wanted, create_app
from tailorbird.assistant_settings import OpinionSettings
from tailorbird.assistants.opinion.figures import Subject
from tailorbird.config import ServingSettings
from tailorbird.console.opinion_timeline import KEPT_TIMES, N_KEPT, Views
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)


class Seconds:
    """A clock on which every reading takes a second."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def put(workspace: Workspace, text: str, **columns: object) -> None:
    with workspace.writing() as session:
        session.add(PostRow(key=text, source="s", time=NOON, text=text, **columns))  # type: ignore[arg-type]


def test_a_view_is_kept_for_twenty_times_what_it_took(workspace: Workspace) -> None:
    put(workspace, "one", sentiment="negative")
    seconds = Seconds()
    views = Views(workspace, lambda: NOON, now_s=seconds)
    first = views.of("24h", Subject())
    assert first is not None
    assert (first.timeline.n, first.timeline.negative_share) == (1, 1.0)
    put(workspace, "two")
    assert views.of("24h", Subject()) is first
    other = views.of("7d", Subject())
    assert other is not None
    assert other.timeline.n == 2
    seconds.now_s += KEPT_TIMES
    again = views.of("24h", Subject())
    assert again is not None
    assert again.timeline.n == 2


def test_a_workspace_without_posts_is_looked_at_again_each_time(workspace: Workspace) -> None:
    views = Views(workspace, lambda: NOON)
    assert views.of("24h", Subject()) is None
    put(workspace, "one")
    assert views.of("24h", Subject()) is not None


def test_views_of_many_subjects_do_not_fill_the_memory(workspace: Workspace) -> None:
    put(workspace, "one")
    views = Views(workspace, lambda: NOON)
    for k in range(N_KEPT + 5):
        views.of("24h", Subject(topic=f"topic {k}"))
    assert len(views._kept) == N_KEPT


def test_where_nothing_is_new_the_time_that_ends_with_the_newest_post_is_shown(
    workspace: Workspace,
) -> None:
    put(workspace, "old")
    view = Views(workspace, lambda: NOON.replace(month=12)).of("7d", Subject())
    assert view is not None
    assert (view.newest, view.timeline.n) == (NOON, 1)


@pytest.mark.parametrize(("language", "said"), [("en", "Or look around"), ("zh", "也可以先用样例")])
def test_an_empty_page_names_the_command_that_fills_it(
    workspace: Workspace, language: str, said: str
) -> None:
    app = create_app(workspace, None, ServingSettings(), wanted=Wanted(opinion=OpinionSettings()))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = client.get("/console/opinion", headers={"accept-language": language}).text
    assert said in page
    assert "tailorbird sample opinion" in page
