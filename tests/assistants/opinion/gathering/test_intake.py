"""The only way in: each post once, stories once, without personal data, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.items import Item
from tailorbird.assistants.opinion.gathering.stories import Stories
from tailorbird.errors import StoreError, UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow

from .conftest import Now

STORY = (
    "BERLIN - The carmaker cut its profit forecast for the year on Thursday, blaming weak demand "
    "in China and the cost of recalling forty thousand cars whose brakes may fail in the cold."
)
STORY_ZH = (
    "证监会今日发布公告，对某上市公司涉嫌信息披露违法违规行为立案调查，"
    "公司股票将被实施退市风险警示。"
)


def posts(workspace: Workspace) -> Sequence[PostRow]:
    with workspace.sessions() as session:
        return list(session.scalars(select(PostRow).order_by(PostRow.taken, PostRow.key)))


def counts(workspace: Workspace, where: Any = None) -> int:
    query = select(func.count()).select_from(PostRow)
    with workspace.sessions() as session:
        return session.scalar(query if where is None else query.where(where)) or 0


@pytest.fixture
def intake(workspace: Workspace, now: Now) -> Intake:
    return Intake(workspace, clock=now, patience_s=0.05)


def test_an_item_is_taken_once_whether_known_by_id_address_or_text(
    intake: Intake, workspace: Workspace
) -> None:
    items = [
        Item("7", text="by id"),
        Item(url="http://a.example/1", text="x"),
        Item(text="by text"),
    ]
    first = intake.take("news", [*items, items[0]])
    assert (first.n_new, first.n_known) == (3, 1)
    changed = [
        Item("7", text="changed"),
        Item(url="http://a.example/1", text="changed too"),
        items[2],
    ]
    second = intake.take("news", changed)
    assert (second.n_new, second.n_known) == (0, 3)
    assert intake.take("blog", items).n_new == 3
    assert counts(workspace) == 6


def test_one_agency_story_in_twenty_papers_counts_once_with_its_twenty_sources(
    intake: Intake, workspace: Workspace
) -> None:
    for number in range(20):
        text = STORY if number % 2 else STORY.replace("BERLIN - ", f"(Paper {number}) ")
        taken = intake.take(f"paper {number}", [Item(title=f"Headline {number}", text=text)])
        assert (taken.n_new, taken.n_copies) == (1, int(number > 0))
    with workspace.sessions() as session:
        (original,) = session.scalars(select(PostRow).where(PostRow.copy_of.is_(None)))
        copies = list(session.scalars(select(PostRow).where(PostRow.copy_of == original.id)))
    assert original.source == "paper 0"
    assert sorted(row.source for row in copies) == sorted(f"paper {n}" for n in range(1, 20))


def test_chinese_stories_are_found_and_other_stories_are_not(intake: Intake) -> None:
    other = STORY_ZH.replace(
        "立案调查，公司股票将被实施退市风险警示", "作出行政处罚，公司表示将依法申请行政复议"
    )
    assert intake.take("a", [Item(text=STORY_ZH)]).n_copies == 0
    assert intake.take("b", [Item(text="【快讯】" + STORY_ZH)]).n_copies == 1
    assert intake.take("c", [Item(text=other)]).n_copies == 0


def test_short_words_of_many_people_are_no_copies(intake: Intake) -> None:
    taken = intake.take("forum", [Item(str(n), text="退款太慢了！") for n in range(5)])
    assert (taken.n_new, taken.n_copies) == (5, 0)


def test_the_same_words_a_week_later_are_news_again(
    intake: Intake, workspace: Workspace, now: Now
) -> None:
    day = now() - timedelta(days=20)
    for days, is_copy in ((0, 0), (1, 1), (7, 0), (6, 1), (13, 0)):
        item = Item(f"{days}", text=STORY, time=day + timedelta(days=days))
        assert intake.take("a", [item]).n_copies == is_copy, days


def test_stories_are_known_after_a_restart_and_from_other_processes(
    workspace: Workspace, now: Now
) -> None:
    one, other = Intake(workspace, clock=now), Intake(workspace, clock=now)
    one.take("a", [Item(text="Something else was taken first, so that all is read from the disk.")])
    other.take("b", [Item(text=STORY)])
    now.move(minutes=1)
    assert one.take("c", [Item(text=STORY)]).n_copies == 1
    assert Intake(workspace, clock=now).take("d", [Item(text=STORY)]).n_copies == 1


def test_personal_data_is_masked_before_anything_is_kept(
    intake: Intake, workspace: Workspace
) -> None:
    intake.take("a", [Item(title="To li.lei@example.com", text="我的手机是13800138000，快退款")])
    (row,) = posts(workspace)
    assert (row.title, row.text) == ("To [EMAIL]", "我的手机是[PHONE]，快退款")
    assert row.language == "zh"


def test_ten_megabytes_in_one_item_are_refused_with_the_reason_and_the_rest_is_taken(
    intake: Intake, workspace: Workspace
) -> None:
    taken = intake.take("a", [Item("big", text="a" * 10_485_760), Item("ok", text="good")])
    assert taken.n_new == counts(workspace) == 1
    (refused,) = taken.rejects
    assert (refused.where, refused.cause) == (
        "big",
        "is 10,485,760 bytes long, at most 256,000 are taken",
    )
    assert len(refused.raw) <= 100


def test_what_has_no_words_is_refused(intake: Intake) -> None:
    taken = intake.take(
        "a", [Item("1", text=" \n"), Item("2", text="a", time=datetime(2026, 1, 1))]
    )
    assert [one.cause for one in taken.rejects] == [
        "has no text",
        "time 2026-01-01 00:00:00 has no zone",
    ]


def test_dates_of_three_zones_of_the_future_and_of_none(
    intake: Intake, workspace: Workspace, now: Now
) -> None:
    past = now() - timedelta(hours=3)
    times = [
        past.astimezone(UTC),
        past.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00+08:00").tzinfo),
        past.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00-05:00").tzinfo),
        now() + timedelta(minutes=5),  # a clock that runs ahead a little
        now() + timedelta(hours=8),
        datetime(9999, 12, 31, tzinfo=UTC),
        None,
    ]
    taken = intake.take("a", [Item(str(n), text=f"t {n}", time=t) for n, t in enumerate(times)])
    assert (taken.n_new, taken.n_future, taken.n_undated) == (7, 2, 1)
    assert "2 dated in the future, so dated when they were taken" in taken.notes[0]
    assert "1 without a date" in taken.notes[1]
    found = {row.text: row.time for row in posts(workspace)}
    assert [found[f"t {n}"] - past for n in range(3)] == [timedelta(0)] * 3
    assert found["t 3"] == now() + timedelta(minutes=5)
    assert {found[f"t {n}"] for n in (4, 5, 6)} == {now()}


def test_only_web_addresses_are_kept(intake: Intake, workspace: Workspace) -> None:
    urls = ["javascript:alert(1)", "https://a.example/1", "ftp://a.example"]
    intake.take("a", [Item(str(n), text="a", url=url) for n, url in enumerate(urls)])
    assert sorted(row.url for row in posts(workspace)) == ["", "", "https://a.example/1"]


def test_many_callers_share_commits_and_lose_nothing(workspace: Workspace) -> None:
    intake = Intake(workspace, max_waiting=50, patience_s=30)
    with ThreadPoolExecutor(16) as pool:

        def send(number: int) -> int:
            return intake.take("hook", [Item(f"{number}", text=f"post {number}")]).n_new

        assert sum(pool.map(send, range(120))) == 120
    assert counts(workspace) == 120
    assert intake.n_waiting == 0
    assert intake.n_commits < 120


def test_where_too_many_wait_callers_are_told_to_come_again_and_what_was_accepted_is_there(
    workspace: Workspace, now: Now
) -> None:
    intake = Intake(workspace, clock=now, max_waiting=20, patience_s=0.02)
    accepted: list[str] = []
    refused: list[str] = []
    lock = threading.Lock()

    def send(batch: int) -> None:
        items = [Item(f"{batch}-{n}", text=f"post {batch} {n}") for n in range(10)]
        try:
            intake.take("hook", items)
        except UnavailableError:
            with lock:
                refused.extend(item.text for item in items)
        else:
            with lock:
                accepted.extend(item.text for item in items)

    with workspace.writing() as session:  # the disk is slow: somebody else is writing
        session.connection()
        threads = [threading.Thread(target=send, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(2_000):
            if len(refused) == 100:
                break
            threading.Event().wait(0.005)
        assert intake.n_waiting <= 20  # bounded
    for thread in threads:
        thread.join()
    assert sorted(row.text for row in posts(workspace)) == sorted(accepted)
    assert (len(accepted), len(refused)) == (20, 100)
    again = intake.take(
        "hook", [Item(t.replace("post ", "").replace(" ", "-"), text=t) for t in refused]
    )
    assert again.n_new == 100  # sent again, nothing is lost


def test_a_failing_disk_is_told_to_everybody_who_waits_and_nothing_is_half_taken(
    intake: Intake, workspace: Workspace
) -> None:
    with workspace.writing() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON opinion_posts "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    with pytest.raises(StoreError, match="free some space"):
        intake.take("a", [Item("1", text=STORY)])
    with workspace.writing() as session:
        session.connection().exec_driver_sql("DROP TRIGGER full")
    taken = intake.take("b", [Item("1", text=STORY)])
    assert (taken.n_new, taken.n_copies) == (1, 0)  # no copy of what was never kept


def test_a_story_index_forgets_the_oldest_texts_first() -> None:
    stories = Stories(max_texts=10)
    moment = datetime(2026, 11, 5, tzinfo=UTC)
    texts = [
        f"{number} " + "".join(chr(97 + (number * k) % 26) for k in range(99))
        for number in range(1, 26)
    ]
    for number, text in enumerate(texts):
        stories.add(str(number), text, moment)
    assert stories.original(texts[24], moment) == "24"
    assert stories.original(texts[0], moment) is None
