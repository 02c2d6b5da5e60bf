"""Feeds: RSS and Atom, unchanged ones, damaged ones, and what is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tailorbird.assistants.opinion.gathering.feed import FeedSource
from tailorbird.assistants.opinion.gathering.items import Item
from tailorbird.connectors import Web
from tailorbird.connectors.web import WebAnswer
from tailorbird.errors import SourceError

from .conftest import Reply, Site

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>News</title><language>zh-cn</language><ttl>60</ttl>
<item><title>涨 &amp; 跌</title><link>http://a.example/1</link><guid isPermaLink="false">g1</guid>
<description>&lt;p&gt;股价&lt;b&gt;上涨&lt;/b&gt;&lt;/p&gt;</description>
<pubDate>Thu, 05 Nov 2026 09:30:00 +0800</pubDate></item>
<item><title>Only a title</title><pubDate>2026-11-05 09:30:00</pubDate></item>
<item><link>http://a.example/3</link></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>n</title>
<entry><id>urn:1</id><title>T</title><link href="/one"/><updated>2026-11-05T01:30:00Z</updated>
<summary>short</summary><content type="html">&lt;p&gt;The whole story.&lt;/p&gt;</content>
</entry></feed>"""
MOMENT = datetime(2026, 11, 5, 1, 30, tzinfo=UTC)
PRIVATE: dict[str, Any] = {"allow_private": True}


def answering(body: str | bytes) -> Any:
    content = body.encode() if isinstance(body, str) else body

    def fetch(url: str, headers: Mapping[str, str], *, allow_private: bool = False) -> WebAnswer:
        return WebAnswer(200, {}, content, url)

    return fetch


def source(body: str | bytes, **settings: Any) -> FeedSource:
    return FeedSource("http://news.example/feed?key=secret", settings, answering(body))


def test_rss_becomes_items_with_times_in_utc() -> None:
    polled = source(RSS, time_zone="Asia/Shanghai").poll({})
    assert list(polled.items) == [
        Item("g1", "涨 & 跌", "股价上涨", "http://a.example/1", MOMENT, "zh"),
        Item("", "", "Only a title", "", MOMENT, "zh"),
    ]
    assert [str(one) for one in polled.rejects] == ["entry 3: has neither title nor text"]
    assert polled.wait_s == 3600


def test_atom_gives_the_whole_content() -> None:
    (item,) = source(ATOM).poll({}).items
    assert item == Item("urn:1", "T", "The whole story.", "http://news.example/one", MOMENT, "")


def test_an_unchanged_feed_is_not_sent_again(site: Site) -> None:
    def feed(path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("if-none-match") == '"v1"':
            return 304, {}, b""
        return 200, {"ETag": '"v1"', "Last-Modified": "Thu, 05 Nov 2026 01:30:00 GMT"}, RSS.encode()

    site.pages["/feed"] = feed
    reader = FeedSource(f"{site.url}/feed", PRIVATE, Web())
    first = reader.poll({})
    assert len(list(first.items)) == 2
    second = reader.poll(first.cursor)
    assert (list(second.items), second.cursor) == ([], first.cursor)
    assert site.asked[1][1]["if-modified-since"] == "Thu, 05 Nov 2026 01:30:00 GMT"
    assert site.asked[0][1]["user-agent"].startswith("Tailorbird/")


def test_what_is_no_xml_is_said_and_where_the_feed_is() -> None:
    with pytest.raises(
        SourceError, match="is no RSS or Atom feed, it begins 'Sorry, we moved"
    ) as e:
        source("Sorry, we moved.").poll({})
    assert e.value.where == "http://news.example/feed"  # without the key
    page = '<html><link rel="alternate" type="application/rss+xml" href="/rss.xml"></html>'
    with pytest.raises(SourceError, match=r"it names its feed: /rss.xml"):
        source(page).poll({})
    for nothing in (b"", b"\x00\x01\x02", b'{"items": []}'):
        with pytest.raises(SourceError, match="is no RSS or Atom feed"):
            source(nothing).poll({})


def test_of_a_damaged_feed_what_can_be_read_is_taken_and_the_damage_said() -> None:
    polled = source(RSS.replace("</channel></rss>", "<item><title>cut o")).poll({})
    assert len(list(polled.items)) >= 2
    assert "the feed is damaged" in polled.notes[0]


def test_entities_of_a_feed_are_not_blown_up() -> None:
    bomb = '<!DOCTYPE r [<!ENTITY a "' + "x" * 1000 + '">'
    for inner, outer in zip("abcdef", "bcdefg", strict=True):
        bomb += f'<!ENTITY {outer} "' + f"&{inner};" * 50 + '">'
    bomb += ']><rss version="2.0"><channel><item><title>&g;</title></item></channel></rss>'
    polled = source(bomb).poll({})
    assert sum(len(item.text) for item in polled.items) < 100_000


def test_an_empty_feed_is_a_feed() -> None:
    polled = source('<rss version="2.0"><channel><title>n</title></channel></rss>').poll({})
    assert list(polled.items) == []
