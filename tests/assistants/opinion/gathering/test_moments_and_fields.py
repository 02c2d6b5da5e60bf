"""Times in any of the usual ways, and records of any shape."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tailorbird.assistants.opinion.gathering.fields import Fields, plain_text
from tailorbird.assistants.opinion.gathering.items import Item
from tailorbird.assistants.opinion.gathering.moments import moment_of, zone_of
from tailorbird.errors import ConfigError, RowError

MOMENT = datetime(2026, 11, 5, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-05T01:30:00Z",
        "2026-11-05T09:30:00+08:00",
        "2026-11-04 20:30:00.000-0500",
        "Thu, 05 Nov 2026 09:30:00 +0800",
        "Thu, 05 Nov 2026 01:30:00 GMT",
        "Wed, 04 Nov 2026 20:30:00 EST",
        1793842200,
        1793842200000,
        "1793842200",
        "1793842200.0",
        datetime(2026, 11, 5, 9, 30, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_what_names_its_zone_is_the_same_moment_whatever_the_source_says(written: object) -> None:
    for zone in ("", "Asia/Shanghai", "America/New_York"):
        assert moment_of(written, zone_of(zone)) == MOMENT


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-05 09:30",
        "2026/11/5 9:30",
        "2026年11月5日 9:30",
        "2026年11月5日9时30分00秒",
        "20261105093000",
        "Thu, 05 Nov 2026 09:30:00 CST",
        "2026-11-05T09:30:00.0000001",
    ],
)
def test_what_names_no_zone_is_meant_in_that_of_the_source(written: str) -> None:
    assert moment_of(written, zone_of("Asia/Shanghai")) == MOMENT
    assert moment_of(written, zone_of("+08:00")) == MOMENT


def test_cst_is_chicago_where_nobody_says_otherwise() -> None:
    assert moment_of("Wed, 04 Nov 2026 19:30:00 CST") == MOMENT


@pytest.mark.parametrize("written", [None, "", 0, "1970-01-01", "0001-01-01T00:00:00"])
def test_what_says_nothing_is_no_time(written: object) -> None:
    assert moment_of(written, zone_of("Asia/Shanghai")) is None


@pytest.mark.parametrize("written", ["yesterday", "2026-13-01", True, [1], "9" * 13 + "9", 1e300])
def test_what_is_no_time_is_said(written: object) -> None:
    with pytest.raises(RowError, match="is no time"):
        moment_of(written)


def test_a_zone_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="'Asia/Beijing2' is unknown"):
        zone_of("Asia/Beijing2")


def test_usual_names_are_found_without_being_told() -> None:
    record = {
        "headline": "Up",
        "body": "By 3 %",
        "link": "http://a.example/1",
        "pubdate": "20261105",
    }
    found = Fields().item(record)
    assert found == Item(
        "", "Up", "By 3 %", "http://a.example/1", datetime(2026, 11, 5, tzinfo=UTC)
    )
    assert Fields().item({"标题": "涨了", "语言": "zh-CN"}) == Item("", "", "涨了", language="zh")


def test_named_fields_may_lie_deep() -> None:
    fields = Fields.of({"fields": {"text": "a.b.0.c", "id": "meta.no"}})
    assert fields.item({"a": {"b": [{"c": "words"}]}, "meta": {"no": 7}}) == Item("7", text="words")
    assert Fields({"text": "a.b"}).item({"a.b": "a column"}).text == "a column"


def test_a_record_without_words_names_its_fields() -> None:
    with pytest.raises(RowError, match="neither text nor title; its fields: story, n") as caught:
        Fields().item({"story": "…", "n": 1})
    assert "--field text=NAME" in caught.value.cure


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fields": {"words": "a"}}, "'words' is no part of a post"),
        ({"fields": ["a"]}, "not a table"),
        ({"time_zone": "Mars"}, "'Mars' is unknown"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Fields.of(settings)


def test_markup_becomes_words_and_lines() -> None:
    text = (
        "<p>Profit&nbsp;up<br>by <b>3 %</b></p><script>evil()</script><ul><li>a</li><li>b</li></ul>"
    )
    assert plain_text(text) == "Profit up\nby 3 %\na\nb"
    assert plain_text("a < b &amp; c\0\ud800") == "a < b & c"
    assert plain_text("see https://a.example/?x=1&amp;y=2") == "see https://a.example/?x=1&y=2"
