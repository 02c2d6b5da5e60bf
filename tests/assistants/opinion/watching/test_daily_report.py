"""The page of a day says what was negative and which alerts there were, in both languages."""

from __future__ import annotations

from datetime import timedelta

from tailorbird.assistants.opinion.watching import Watcher, WatchSettings, daily_report, series_of
from tailorbird.assistants.opinion.watching.posts import ReadPost
from tailorbird.store import Workspace
from tailorbird.store.tables import SourceRow

from .conftest import START, Store


def test_the_page_of_a_day_with_an_alert(
    workspace: Workspace, store: Store, stream: list[ReadPost]
) -> None:
    store(stream)
    with workspace.writing() as session:
        session.add(
            SourceRow(name="wire", kind="feed", address="", n_failures=3, last_error="<b>404</b>")
        )
    settings = WatchSettings(history_days=14)
    assert Watcher(workspace, settings, clock=lambda: START + timedelta(days=20)).look()
    page = daily_report(workspace, (START + timedelta(days=15)).date(), "zh")
    assert page.startswith('<!doctype html>\n<html lang="zh">')
    assert "负面信息升至平时的" in page
    assert "negative posts on food at" in page
    assert "Acme milk powder" in page
    assert "&lt;b&gt;404" in page
    assert "<b>404" not in page
    assert page.count("<svg") > 3


def test_a_day_without_posts_has_a_page_that_says_so(workspace: Workspace) -> None:
    page = daily_report(workspace, START.date(), "en")
    assert "No alert was open on this day." in page
    assert "nothing to compare with yet" in page


def test_series_count_posts_by_topic_entity_and_both(workspace: Workspace, store: Store) -> None:
    hour = timedelta(hours=1)

    def post(name: str, at: int, sentiment: str, towards: str = "", copy: str = "") -> ReadPost:
        mentions = {"Acme": towards} if towards else {}
        return ReadPost(name, START + at * hour, name, "", "", sentiment, ("food",), mentions, copy)

    store(
        [
            post("a", 0, "negative", "positive"),
            post("b", 1, "negative"),
            post("c", 1, "neutral", "negative"),
        ]
    )
    store([post("d", 1, "negative", copy="b")])
    found = series_of(workspace, window_s=3600, since=START, until=START + 2.5 * hour, pairs=True)
    shown = {
        (one.topic, one.entity): (one.counts.tolist(), one.negatives.tolist()) for one in found
    }
    assert shown == {
        ("food", ""): ([1, 2, 0], [1, 1, 0]),
        ("", "Acme"): ([1, 1, 0], [0, 1, 0]),
        ("food", "Acme"): ([1, 1, 0], [0, 1, 0]),
    }
    assert found[0].start == START
