from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow, SourceRow, utc_now

Write = Callable[..., str]
As = Callable[..., dict[str, str]]
DAY = {"since": "2026-10-05T00:00:00Z", "until": "2026-10-06T00:00:00Z"}


@pytest.fixture
def secret(opened: OpenOpinion) -> str:
    """The secret of a webhook that is called ``hook``."""
    return opened.gatherer.add_source("hook", "webhook").secret


def test_a_webhook_takes_posts_with_its_secret_once_each(client: TestClient, secret: str) -> None:
    posts = {"posts": [{"id": "1", "text": "砚湖咖啡涨价了"}, {"id": "2", "text": "  "}]}
    headers = {"X-Tailorbird-Secret": secret}
    first = client.post("/v1/opinion/posts/hook", json=posts, headers=headers)
    assert first.status_code == 200, first.text
    assert (first.json()["n_new"], len(first.json()["refused"])) == (1, 1)
    again = client.post(
        "/v1/opinion/posts/hook", json=posts, headers={"Authorization": f"Bearer {secret}"}
    ).json()
    assert (again["n_new"], again["n_known"]) == (0, 1)
    (found,) = client.get("/v1/opinion/posts").json()["posts"]
    assert (found["text"], found["source"], found["sentiment"]) == ("砚湖咖啡涨价了", "hook", "")


def test_a_wrong_secret_and_an_unknown_source_are_told_apart_by_nobody(
    client: TestClient, secret: str
) -> None:
    said = {
        client.post(
            f"/v1/opinion/posts/{name}", json={"text": "x"}, headers={"X-Tailorbird-Secret": given}
        ).text
        for name, given in (("hook", secret + "x"), ("none", secret), ("hook", ""))
    }
    assert len(said) == 1
    assert "secret is wrong" in said.pop()


def test_personal_data_is_masked_before_it_is_kept(
    client: TestClient, secret: str, workspace: Workspace
) -> None:
    sent = {"text": "call me at 13800138000"}
    client.post("/v1/opinion/posts/hook", json=sent, headers={"X-Tailorbird-Secret": secret})
    with workspace.sessions() as session:
        (row,) = session.query(PostRow)
    assert row.text == "call me at [PHONE]"


def test_a_timeline_counts_by_window_topic_and_entity(client: TestClient, write: Write) -> None:
    write("a", sentiment="negative", topics=("prices",), entities={"Inklake": "positive"})
    write("b", hours=0.9, sentiment="positive", topics=("prices", "service"))
    write("c", hours=1.5, sentiment="negative", topics=("service",))
    write("d", hours=1.6, sentiment="")
    first = write("e", hours=2)
    write("f", hours=2, copy_of=first)

    def counts(**wanted: Any) -> list[int]:
        found = client.get("/v1/opinion/timeline", params=DAY | wanted).json()
        return [(one["n_negative"], one["n"]) for one in found["windows"] if one["n"]]

    assert counts() == [(1, 2), (1, 2), (0, 1)]
    assert counts(window_h=12) == [(2, 5)]
    assert counts(topic="prices") == [(1, 2)]
    assert counts(entity="Inklake") == [(0, 1)]  # the post is negative, and not of Inklake
    whole = client.get("/v1/opinion/timeline", params=DAY).json()
    assert (len(whole["windows"]), whole["n"], whole["negative_share"]) == (24, 5, 0.5)
    subjects = client.get("/v1/opinion/subjects", params=DAY).json()
    assert subjects["topics"] == [
        {"name": "prices", "n": 2, "n_negative": 1},
        {"name": "service", "n": 2, "n_negative": 1},
    ]
    assert subjects["entities"] == [{"name": "Inklake", "n": 1, "n_negative": 0}]


def test_the_posts_behind_a_point_come_page_by_page(client: TestClient, write: Write) -> None:
    ids = [write(f"post {k}", hours=k, sentiment="negative") for k in range(5)]
    write("not this one", hours=1, sentiment="positive")
    write("nor this", hours=30, sentiment="negative")
    wanted = DAY | {"sentiment": "negative", "limit": 2}
    seen, before = [], ""
    while before is not None:
        page = client.get("/v1/opinion/posts", params=wanted | {"before": before}).json()
        seen += [one["id"] for one in page["posts"]]
        before = page["before"]
    assert seen == ids[::-1]
    (found,) = client.get("/v1/opinion/posts", params={"words": "POST 3"}).json()["posts"]
    assert found["text"] == "post 3"


def test_a_story_that_many_tell_stands_once_with_its_sources(
    client: TestClient, write: Write
) -> None:
    first = write("an agency story")
    write("the same in another paper", source="paper", hours=1, copy_of=first)
    (found,) = client.get("/v1/opinion/posts").json()["posts"]
    assert [one["source"] for one in found["copies"]] == ["paper"]


def test_a_correction_holds_at_once_and_is_remembered(
    client: TestClient, write: Write, as_: As
) -> None:
    post = write("x", sentiment="positive", topics=("prices",), entities={"Inklake": "positive"})
    sent: list[dict[str, Any]] = [
        {"post": post, "sentiment": "negative", "topics": ["service", "recall"]},
        {"post": post, "entity": "Inklake", "sentiment": "neutral"},
    ]
    for one in sent:
        done = client.post("/v1/opinion/corrections", json=one, headers=as_("mia"))
        assert done.status_code == 200, done.text
        assert done.json()["author"] == "mia"
    found = client.get(f"/v1/opinion/posts/{post}").json()
    assert (found["sentiment"], sorted(found["topics"])) == ("negative", ["recall", "service"])
    assert found["mentions"][0]["sentiment"] == "neutral"
    assert found["corrected_by"] == "mia"
    assert len(client.get("/v1/opinion/corrections").json()["corrections"]) == 2
    refused = client.post("/v1/opinion/corrections", json={"post": post}, headers=as_("mia"))
    assert refused.status_code == 422


def test_visitors_see_nothing_of_it(client: TestClient, write: Write, as_: As) -> None:
    write("x")
    for path in ("posts", "timeline", "alerts", "sources", "proposals", "report", "status"):
        assert client.get(f"/v1/opinion/{path}", headers=as_("joe", "visitor")).status_code == 403


def test_too_many_windows_and_wrong_spans_are_refused(client: TestClient) -> None:
    many = {"since": "1990-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    refused = client.get("/v1/opinion/timeline", params=many)
    assert refused.status_code == 422
    assert "2,000 windows" in refused.text
    for since in ("2026-10-06T00:00:00", "0001-01-01T00:00:00%2B14:00", "2027-01-01T00:00:00Z"):
        found = client.get(f"/v1/opinion/timeline?since={since}&until=2026-10-06T00:00:00Z")
        assert found.status_code == 422


def test_a_source_shows_its_health_and_no_secret(
    client: TestClient, opened: OpenOpinion, workspace: Workspace, write: Write, as_: As
) -> None:
    opened.gatherer.add_source("hook", "webhook")
    with workspace.writing() as session:
        session.add(
            SourceRow(
                name="news",
                kind="feed",
                address="https://me:pw@news.example/rss?key=1",
                last_error="503",
                n_failures=2,
                next_poll=utc_now() + timedelta(hours=1),
            )
        )
    write("x", source="news")
    hook, news = client.get("/v1/opinion/sources").json()["sources"]
    assert (hook["state"], news["state"], news["n_posts"]) == ("waiting", "failing", 1)
    assert news["address"] == "https://news.example/rss"
    refused = client.post("/v1/opinion/sources/news/pause", headers=as_("mia"))
    assert refused.status_code == 403
    paused = client.post("/v1/opinion/sources/news/pause", headers=as_("ada", "admin")).json()
    assert paused["state"] == "paused"
    resumed = client.post("/v1/opinion/sources/news/resume", headers=as_("ada", "admin")).json()
    assert resumed["is_paused"] is False
    assert client.post("/v1/opinion/sources/no/pause").status_code == 404
