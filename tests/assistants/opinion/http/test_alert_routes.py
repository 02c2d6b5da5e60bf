from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient
from tests.languages import asked_in

from tailorbird.store import Workspace
from tailorbird.store.tables import (
    AdminActionRow,
    AlertRow,
    DeliveryRow,
    OpinionLabelRow,
    TopicProposalRow,
    utc_now,
)

Write = Callable[..., str]
As = Callable[..., dict[str, str]]


def test_an_alert_comes_with_its_story_and_its_texts(client: TestClient, alert: AlertRow) -> None:
    (listed,) = client.get("/v1/opinion/alerts").json()["alerts"]
    assert (listed["topic"], listed["level"], listed["status"]) == ("safety", "warning", "new")
    found = client.get(f"/v1/opinion/alerts/{alert.id}").json()
    assert [one["text"] for one in found["posts"]] == ["The kettle burns"]
    assert found["alert"]["story"]["observed"] == 9
    assert client.get("/v1/opinion/alerts/nothing").status_code == 404
    assert client.get("/v1/opinion/alerts?status=closed").json()["alerts"] == []


def test_whoever_acknowledges_an_alert_first_is_kept(
    client: TestClient, alert: AlertRow, as_: As
) -> None:
    path = f"/v1/opinion/alerts/{alert.id}/acknowledge"
    assert client.post(path, headers=as_("mia")).json()["acknowledged_by"] == "mia"
    again = client.post(path, headers=as_("joe")).json()
    assert (again["status"], again["acknowledged_by"]) == ("acknowledged", "mia")


def test_deliveries_are_shown_by_the_name_of_their_channel(
    client: TestClient, alert: AlertRow, workspace: Workspace
) -> None:
    with workspace.writing() as session:
        session.add(DeliveryRow(alert_id=alert.id, channel="ops", n_tries=2, error="no route"))
    found = client.get(f"/v1/opinion/alerts/{alert.id}").json()["alert"]["deliveries"]
    assert [(one["channel"], one["n_tries"], one["error"]) for one in found] == [
        ("ops", 2, "no route")
    ]


def test_a_silence_holds_until_it_ends_or_is_lifted(client: TestClient, as_: As) -> None:
    until = (utc_now() + timedelta(days=1)).isoformat()
    sent: dict[str, Any] = {"topic": "safety", "until": until, "note": "known"}
    made = client.post("/v1/opinion/silences", json=sent, headers=as_("mia")).json()
    assert (made["author"], made["topic"], made["entity"]) == ("mia", "safety", "")
    assert len(client.get("/v1/opinion/silences").json()["silences"]) == 1
    assert client.delete(f"/v1/opinion/silences/{made['id']}").status_code == 200
    assert client.get("/v1/opinion/silences").json()["silences"] == []
    for wrong in ({"until": until}, {"topic": "x", "until": "2001-01-01T00:00:00Z"}):
        assert client.post("/v1/opinion/silences", json=wrong).status_code == 422


def test_a_named_proposal_is_a_topic_of_its_posts(
    client: TestClient, workspace: Workspace, write: Write, as_: As
) -> None:
    posts = [write(f"plastic cup {k}") for k in range(3)]
    row = TopicProposalRow(words=["plastic", "cup"], posts=posts, n_posts=3)
    with workspace.writing() as session:
        session.add(row)
    (shown,) = client.get("/v1/opinion/proposals").json()["proposals"]
    assert shown["words"] == ["plastic", "cup"]
    path = f"/v1/opinion/proposals/{row.id}"
    sent = {"topic": "packaging"}
    assert client.post(f"{path}/name", json=sent, headers=as_("mia")).status_code == 403
    named = client.post(f"{path}/name", json=sent, headers=as_("ada", "admin")).json()
    assert (named["status"], named["topic"]) == ("named", "packaging")
    found = client.get("/v1/opinion/posts", params={"topic": "packaging"}).json()["posts"]
    assert {one["id"] for one in found} == set(posts)
    with workspace.sessions() as session:
        assert session.query(OpinionLabelRow).count() == 3
        assert [one.action for one in session.query(AdminActionRow)] == ["name topic"]
    refused = client.post(f"{path}/dismiss", headers=as_("ada", "admin"))
    assert refused.status_code == 409


def test_the_daily_report_is_a_page_that_reaches_nothing_else(
    client: TestClient, write: Write
) -> None:
    write("a very bad day", sentiment="negative", topics=("prices",))
    for language in ("zh", "en"):
        wanted = {"day": "2026-10-05", "language": language}
        page = client.get("/v1/opinion/report", params=wanted)
        assert page.status_code == 200
        assert "prices" in page.text
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "sandbox" in policy
    assert client.get("/v1/opinion/report").status_code == 200


def test_the_status_tells_what_waits(client: TestClient, alert: AlertRow, write: Write) -> None:
    write("new", sentiment="")
    found = client.get("/v1/opinion/status").json()
    assert (found["n_alerts"], found["n_unread"], found["has_model"]) == (1, 1, False)
    assert [one["name"] for one in found["steps"]] == [
        *("gather", "judge", "watch", "deliver", "propose")
    ]


def test_a_chinese_request_is_refused_in_chinese_alone(client: TestClient, as_: As) -> None:
    with asked_in("zh"):
        refused = client.get("/v1/opinion/alerts/nothing").json()["error"]
        until = {"until": "2001-01-01T00:00:00Z", "topic": "x"}
        past = client.post("/v1/opinion/silences", json=until).json()["error"]
        year = client.get("/v1/opinion/timeline?since=1900-01-01T00:00:00Z").json()["error"]
        naive = client.get("/v1/opinion/timeline?since=2026-01-01T00:00:00").json()["error"]
    assert refused["message"] == "没有告警 'nothing'"
    assert refused["cure"] == "GET /v1/opinion/alerts 和 tailorbird opinion alerts 列出所有告警"
    assert past["message"] == "静音的结束时间已过：2001-01-01T00:00:00+00:00"
    assert (year["message"], naive["message"]) == ("不在 1970 年到 2200 年之间", "应带有时区")
    english = client.post("/v1/opinion/silences", json=until).json()["error"]
    assert english["message"] == "the silence would end in the past: 2001-01-01T00:00:00+00:00"


def test_an_alert_is_found_by_how_its_id_begins(client: TestClient, alert: AlertRow) -> None:
    found = client.get(f"/v1/opinion/alerts/{alert.id[:8]}").json()
    assert found["alert"]["id"] == alert.id
