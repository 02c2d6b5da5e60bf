"""Endpoints that answer JSON: pages, resuming, and answers that are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tailorbird.assistants.opinion.gathering import endpoint
from tailorbird.assistants.opinion.gathering.endpoint import JsonSource
from tailorbird.assistants.opinion.gathering.items import Polled
from tailorbird.connectors.web import WebAnswer
from tailorbird.errors import ConfigError, SourceError

URL = "https://api.example/posts?size=3"


class Api:
    """Posts, newest first, three a page."""

    def __init__(self, n_posts: int) -> None:
        self.posts = [{"id": n, "text": f"post {n}"} for n in range(n_posts, 0, -1)]
        self.asked: list[dict[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.fails_at = -1

    def __call__(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> WebAnswer:
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.asked.append(query)
        self.headers.append(headers)
        if len(self.asked) == self.fails_at:
            return WebAnswer(500, {}, b"", url)
        start = int(query.get("offset", (int(query.get("page", 1)) - 1) * 3))
        start = int(query.get("token", start))
        after = start + 3 if start + 3 < len(self.posts) else None
        page = {"list": self.posts[start : start + 3], "next": after}
        if after is not None:
            page["link"] = f"?size=3&token={after}"
        return WebAnswer(200, {}, json.dumps({"data": page}).encode(), url)


def source(api: Any, **settings: Any) -> JsonSource:
    return JsonSource(URL, {"items": "data.list", **settings}, api)


def ids(polled: Polled) -> list[int]:
    return [int(item.id) for item in polled.items]


PAGINGS = [
    {"paging": "page"},
    {"paging": "offset"},
    {"paging": "next", "next": "data.next", "parameter": "token"},
    {"paging": "next", "next": "data.link"},
]


@pytest.mark.parametrize("paging", PAGINGS)
def test_pages_are_read_to_the_end_and_later_only_what_is_new(paging: dict[str, str]) -> None:
    api = Api(7)
    reader = source(api, **paging)
    first = reader.poll({})
    assert ids(first) == [7, 6, 5, 4, 3, 2, 1]
    assert not first.has_more
    api.posts = [{"id": n, "text": f"post {n}"} for n in (9, 8)] + api.posts
    api.asked.clear()
    second = reader.poll(json.loads(json.dumps(first.cursor)))
    assert ids(second)[:2] == [9, 8]
    assert len(api.asked) == 2  # the second page brought nothing new
    assert api.asked[0]["size"] == "3"


def test_a_long_backlog_is_read_in_several_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_PAGES", 2)
    api = Api(14)
    reader = source(api, paging="page")
    found, cursor, n_looks = [], {}, 0
    while True:
        polled = reader.poll(cursor)
        found += ids(polled)
        cursor, n_looks = polled.cursor, n_looks + 1
        if not polled.has_more:
            break
    assert found == list(range(14, 0, -1))
    assert n_looks == 3
    assert "next" not in cursor


def test_a_page_that_fails_is_read_later_and_the_pages_before_it_are_taken() -> None:
    api = Api(7)
    api.fails_at = 2
    reader = source(api, paging="page")
    first = reader.poll({})
    assert ids(first) == [7, 6, 5]
    assert "page 2 is read later: https://api.example/posts: answers 500" in first.notes[0]
    second = reader.poll(first.cursor)
    assert ids(second) == [4, 3, 2, 1]


def test_only_what_is_newer_is_asked_for_where_the_endpoint_can() -> None:
    api = Api(0)
    api.posts = [
        {"id": 2, "text": "b", "time": "2026-11-05T09:30:00+08:00"},
        {"id": 1, "text": "a", "time": "2026-11-05T00:30:00Z"},
    ]
    reader = source(api, since="after")
    first = reader.poll({})
    assert "after" not in api.asked[0]
    reader.poll(first.cursor)
    assert api.asked[1]["after"] == "2026-11-05T01:30:00+00:00"


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(1)
    reader = source(api, headers={"Authorization": "Bearer ${NEWS_KEY}"})
    with pytest.raises(SourceError, match="NEWS_KEY}, which is not set"):
        reader.poll({})
    monkeypatch.setenv("NEWS_KEY", "abc")
    reader.poll({})
    assert api.headers[0]["Authorization"] == "Bearer abc"


def test_records_that_are_no_posts_are_said() -> None:
    api = Api(1)
    api.posts = [{"id": 1, "text": "good"}, "words", {"id": 2}]  # type: ignore[list-item]
    polled = source(api).poll({})
    assert ids(polled) == [1]
    assert [one.where for one in polled.rejects] == [
        "https://api.example/posts record 2",
        "https://api.example/posts record 3",
    ]


def test_the_next_page_of_another_host_is_left_as_it_would_get_the_key() -> None:
    def fetch(url: str, headers: Mapping[str, str], *, allow_private: bool = False) -> WebAnswer:
        body = {"list": [{"text": "a"}], "next": "https://evil.example/x?k=1"}
        return WebAnswer(200, {}, json.dumps(body).encode(), url)

    polled = JsonSource(URL, {"items": "list", "paging": "next", "next": "next"}, fetch).poll({})
    assert len(list(polled.items)) == 1
    assert polled.notes == (
        "the next page is on another host and was left: https://evil.example/x",
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<rss>", "is no JSON, it begins '<rss>'"),
        (b'{"data": {"posts": [], "tags": []}}', "its lists: data.posts, data.tags"),
        (b"[" * 100_000, "is no JSON"),
        (b"", "is no JSON"),
    ],
)
def test_an_answer_without_a_list_is_said(body: bytes, sentence: str) -> None:
    def fetch(url: str, headers: Mapping[str, str], *, allow_private: bool = False) -> WebAnswer:
        return WebAnswer(200, {}, body, url)

    with pytest.raises(SourceError, match=sentence):
        source(fetch).poll({})


@pytest.mark.parametrize(
    ("url", "settings", "sentence"),
    [
        ("ftp://a.example", {}, "is no web address"),
        ("http://me:pw@a.example", {}, "holds a name and password"),
        (URL, {"paging": "pages"}, "paging = 'pages' is unknown"),
        (URL, {"paging": "next"}, "needs the path of the next page"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    url: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        JsonSource(url, settings, Api(0))
