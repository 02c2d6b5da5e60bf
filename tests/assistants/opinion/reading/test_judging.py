"""Posts are filled in once for each model; names have their own sentiment; people win."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from tailorbird.assistants.opinion.gathering import EntityTable
from tailorbird.assistants.opinion.reading import Judge, correct, judging, training_rows
from tailorbird.errors import NotFoundError, RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import EntityRow, MentionRow, PostRow, PostTopicRow

Posted = Callable[..., list[str]]
PostOf = Callable[[str], PostRow]


@pytest.fixture
def judge(workspace: Workspace, reader: Any) -> Judge:
    with workspace.writing() as session:
        session.add(EntityRow(name="Acme", aliases=["ACM", "甲公司"]))
        session.add(EntityRow(name="Bolt", kind="person", aliases=[]))
    return Judge(workspace, reader, EntityTable(workspace))


def mentions_of(workspace: Workspace, post: str) -> dict[str, tuple[str, int, int]]:
    with workspace.sessions() as session:
        rows = session.scalars(select(MentionRow).where(MentionRow.post_id == post))
        return {row.entity: (row.sentiment, row.start, row.end) for row in rows}


def topics_in_table(workspace: Workspace, post: str) -> set[str]:
    with workspace.sessions() as session:
        return set(session.scalars(select(PostTopicRow.topic).where(PostTopicRow.post_id == post)))


def test_a_post_is_judged_once_by_each_model(
    judge: Judge, posted: Posted, post_of: PostOf, workspace: Workspace, reader: Any
) -> None:
    (post,) = posted("good wine")
    assert (judge.judge_waiting(), judge.judge_waiting()) == (1, 0)
    found = post_of(post)
    assert (found.model, found.sentiment, found.topics) == ("words", "positive", {"drinks": 0.9})
    assert topics_in_table(workspace, post) == {"drinks"}
    reader.id, reader.topics = "newer", {"wine": "wines"}
    assert judge.judge_waiting() == 1
    assert topics_in_table(workspace, post) == {"wines"}


def test_the_newest_come_first_and_copies_never(
    judge: Judge, posted: Posted, post_of: PostOf, reader: Any
) -> None:
    old, new = posted("old", "new")
    posted("a copy", copy_of=old)
    assert judge.judge_waiting(limit=1) == 1
    assert reader.asked == ["new"]
    assert (post_of(new).model, post_of(old).model) == ("words", "")
    assert judge.judge_waiting() == 1


def test_the_newest_of_all_that_other_models_read_come_first(
    judge: Judge, posted: Posted, post_of: PostOf, workspace: Workspace, reader: Any
) -> None:
    ids = posted("first", "second", "third", "fourth")
    with workspace.writing() as session:
        for one, model in zip(ids, ["", "older", "old", "words"], strict=True):
            session.get_one(PostRow, one).model = model
    assert judge.judge_waiting(limit=2) == 2
    assert reader.asked == ["third", "second"]
    assert (judge.judge_waiting(), judge.judge_waiting()) == (1, 0)


def test_waiting_posts_are_found_by_the_index_alone(workspace: Workspace) -> None:
    query = "SELECT id FROM opinion_posts WHERE copy_of IS NULL AND model = 'x' ORDER BY taken DESC"
    with workspace.sessions() as session:
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    (step,) = [row[-1] for row in plan]
    assert "ix_opinion_posts_unread" in step


def test_each_who_is_named_has_the_sentiment_of_the_part_about_it(
    judge: Judge, posted: Posted, workspace: Workspace
) -> None:
    (post,) = posted("Acme is good, but Bolt is bad. Acmes are others.")
    judge.judge_waiting()
    assert mentions_of(workspace, post) == {
        "Acme": ("positive", 0, 4),
        "Bolt": ("negative", 18, 22),
    }


def test_a_name_in_the_title_alone_is_a_mention_without_a_place(
    judge: Judge, posted: Posted, workspace: Workspace, reader: Any
) -> None:
    (post,) = posted("nothing", title="甲公司 is good")
    judge.judge_waiting()
    assert reader.asked == ["甲公司 is good\nnothing"]
    assert mentions_of(workspace, post) == {"Acme": ("positive", 0, 0)}


def test_a_correction_wins_at_once_and_over_the_next_model(
    judge: Judge, posted: Posted, post_of: PostOf, workspace: Workspace, reader: Any
) -> None:
    (post,) = posted("Acme has good wine")
    judge.judge_waiting()
    correct(workspace, post, sentiment="negative", author="eve")
    correct(workspace, post, topics=["recall"], author="eve")
    correct(workspace, post, entity="Acme", sentiment="neutral")
    for _ in range(2):
        found = post_of(post)
        assert (found.sentiment, found.topics) == ("negative", {"recall": 1.0})
        assert topics_in_table(workspace, post) == {"recall"}
        assert mentions_of(workspace, post)["Acme"][0] == "neutral"
        reader.id = "newer"
        judge.judge_waiting()
    assert post_of(post).model == "newer"


def test_posts_of_many_batches_are_all_filled_in(
    judge: Judge, posted: Posted, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BATCH", 3)
    ids = posted(*(f"Acme has {mood} wine {k}" for k in range(4) for mood in ("good", "bad")))
    correct(workspace, ids[5], sentiment="neutral")
    assert judge.judge_waiting() == 8
    with workspace.sessions() as session:
        posts = {row.id: row for row in session.scalars(select(PostRow))}
    moods = [posts[one].sentiment for one in ids]
    assert moods == ["positive", "negative"] * 2 + ["positive", "neutral", "positive", "negative"]
    assert all(topics_in_table(workspace, one) == {"drinks"} for one in ids)
    assert [mentions_of(workspace, one)["Acme"][0] for one in ids] == ["positive", "negative"] * 4


def test_a_post_that_is_removed_while_it_is_read_is_left_out(
    judge: Judge, posted: Posted, workspace: Workspace, reader: Any
) -> None:
    gone, kept = posted("gone wine", "kept wine")
    read = reader.read

    def read_and_remove(texts: list[str]) -> Any:
        with workspace.writing() as session:
            session.delete(session.get_one(PostRow, gone))
        return read(texts)

    reader.read = read_and_remove
    assert judge.judge_waiting() == 1
    assert topics_in_table(workspace, kept) == {"drinks"}
    assert topics_in_table(workspace, gone) == set()


def test_corrections_are_training_rows(judge: Judge, posted: Posted, workspace: Workspace) -> None:
    first, second = posted("Acme is good, Bolt is bad", "wine")
    judge.judge_waiting()
    correct(workspace, first, entity="Bolt", sentiment="negative")
    correct(workspace, second, topics=[])
    correct(workspace, first, sentiment="neutral")
    rows = {(row.text, row.label, row.labels, row.lacks) for row in training_rows(workspace)}
    assert rows == {
        ("Acme is good, «Bolt» is bad", "negative", (), ("labels",)),
        ("wine", "", (), ()),
        ("Acme is good, Bolt is bad", "neutral", (), ("labels",)),
    }


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({}, RequestError),
        ({"sentiment": " "}, RequestError),
        ({"topics": ["x" * 201]}, RequestError),
        ({"entity": "Acme", "topics": ["x"]}, RequestError),
        ({"post": "none", "sentiment": "bad"}, NotFoundError),
    ],
)
def test_a_correction_that_says_nothing_sensible_is_refused(
    said: dict[str, Any], error: type[Exception], posted: Posted, workspace: Workspace
) -> None:
    (post,) = posted("text")
    with pytest.raises(error):
        correct(workspace, said.pop("post", post), **said)
    assert training_rows(workspace) == []
