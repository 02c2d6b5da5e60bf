"""Files that grow, break off, are replaced, or hold what is no post."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailorbird.assistants.opinion.gathering import growing_file
from tailorbird.assistants.opinion.gathering.growing_file import FileSource
from tailorbird.assistants.opinion.gathering.items import Polled
from tailorbird.errors import ConfigError, SourceError


def texts(polled: Polled) -> list[str]:
    return [item.text for item in polled.items]


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text)


def test_a_growing_file_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    append(path, '{"text": "one"}\n\n{"text": "二"}\n')
    source = FileSource(path)
    first = source.poll({})
    assert texts(first) == ["one", "二"]
    cursor = json.loads(json.dumps(first.cursor))  # as the database keeps it
    assert texts(source.poll(cursor)) == []
    append(path, '{"text": "three"}\n')
    assert texts(FileSource(path).poll(cursor)) == ["three"]


def test_a_line_amid_its_writing_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    append(path, '{"text": "one"}\n{"text": "tw')
    first = FileSource(path).poll({})
    assert (texts(first), first.rejects) == (["one"], ())
    append(path, 'o"}')
    second = FileSource(path).poll(first.cursor)
    assert texts(second) == []  # it has just grown
    third = FileSource(path).poll(second.cursor)
    assert texts(third) == ["two"]  # nobody writes any more
    assert texts(FileSource(path, is_whole=True).poll({})) == ["one", "two"]


def test_a_file_written_anew_is_read_from_its_beginning_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    append(path, '{"text": "one"}\n{"text": "two"}\n')
    cursor = FileSource(path).poll({}).cursor
    path.write_text('{"text": "new"}\n{"text": "new and longer than the one before"}\n', "utf-8")
    again = FileSource(path).poll(cursor)
    assert texts(again)[0] == "new"
    assert again.notes == ("posts.jsonl was written anew; it is read from its beginning",)
    path.write_text("", "utf-8")
    assert texts(FileSource(path).poll(again.cursor)) == []


def test_csv_knows_its_columns_at_the_second_look_too(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    append(path, '\ufefftitle;text;date\n涨;"a; ""b""\nsecond line";2026-11-05 09:30\n')
    settings = {"time_zone": "Asia/Shanghai"}
    first = FileSource(path, settings).poll({})
    (item,) = first.items
    assert (item.title, item.text) == ("涨", 'a; "b"\nsecond line')
    assert item.time is not None
    assert item.time.isoformat() == "2026-11-05T01:30:00+00:00"
    append(path, "跌;c;2026-11-06\n")
    assert texts(FileSource(path, settings).poll(first.cursor)) == ["c"]


def test_a_quoted_line_break_amid_its_writing_waits_too(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    append(path, 'text,id\n"first line\nsecond')
    first = FileSource(path).poll({})
    assert (texts(first), first.rejects) == ([], ())
    append(path, ' line",1\n')
    assert texts(FileSource(path).poll(first.cursor)) == ["first line\nsecond line"]


def test_a_quote_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    append(path, 'id,text\n1,"open\n2,good\n3,too,many\n4,fine\n')
    polled = FileSource(path, is_whole=True).poll({})
    assert texts(polled) == ["good", "fine"]
    assert [(r.where, r.cause) for r in polled.rejects] == [
        ("posts.csv:2", "opens a quote that is never closed"),
        ("posts.csv:4", "has 3 fields where the header has 2"),
    ]


def test_rows_that_are_no_posts_are_said_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(
        b'no json\n[1]\n{"text": ""}\n{"text": "good"}\n{"text": "a", "time": "soon"}\n\xff\xfe\n'
    )
    polled = FileSource(path, is_whole=True).poll({})
    assert texts(polled) == ["good"]
    assert [(r.where, r.cause[:22]) for r in polled.rejects] == [
        ("posts.jsonl:1", "is no JSON"),
        ("posts.jsonl:2", "is no object with fiel"),
        ("posts.jsonl:3", "has neither text nor t"),
        ("posts.jsonl:5", "'soon' is no time"),
        ("posts.jsonl:6", "holds bytes that are n"),
    ]


def test_ten_megabytes_in_one_line_are_passed_over_and_said(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    append(path, json.dumps({"text": "a" * 10_000_000}) + '\n{"text": "after"}\n')
    polled = FileSource(path).poll({})
    assert texts(polled) == ["after"]
    (refused,) = polled.rejects
    assert refused.cause == "is one row of 10,000,013 bytes, at most 2,000,000 are read"


def test_a_long_file_is_read_in_several_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_file, "N_ROWS_A_POLL", 4)
    path = tmp_path / "posts.jsonl"
    append(path, "".join(f'{{"text": "{n}"}}\n' for n in range(10)))
    cursor: dict[str, Any] = {}
    found: list[list[str]] = []
    while True:
        polled = FileSource(path).poll(cursor)
        cursor = polled.cursor
        found.append(texts(polled))
        if not polled.has_more:
            break
    assert found == [list("0123"), list("4567"), list("89")]


def test_another_encoding_has_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes("标题,内容\n涨,涨了\n".encode("gb18030"))
    polled = FileSource(path, {"encoding": "gb18030"}).poll({})
    assert texts(polled) == ["涨了"]
    assert FileSource(path).poll({}).rejects[0].cure == "name its --encoding"
    with pytest.raises(ConfigError, match="encoding = 'klingon'"):
        FileSource(path, {"encoding": "klingon"})


def test_a_file_that_is_not_there_or_of_no_kind_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        FileSource(tmp_path / "none.jsonl").poll({})
    with pytest.raises(ConfigError, match=r"known: .jsonl"):
        FileSource(tmp_path / "posts.docx")
