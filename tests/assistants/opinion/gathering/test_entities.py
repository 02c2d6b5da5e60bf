"""Whom a text names: aliases in Chinese and English, ten thousand of them, and a tagger's."""

from __future__ import annotations

import time

import pytest

from tailorbird.assistants.opinion.gathering.entities import EntityTable, Mention
from tailorbird.assistants.opinion.gathering.names import NameFinder
from tailorbird.errors import ConfigError, NotFoundError
from tailorbird.records import Span
from tailorbird.store import Workspace


@pytest.fixture
def table(workspace: Workspace) -> EntityTable:
    return EntityTable(workspace)


def named(table: EntityTable, text: str) -> list[tuple[str, str]]:
    return [(one.entity, text[one.start : one.end]) for one in table.find(text)]


def test_aliases_of_both_languages_stand_for_one_name(table: EntityTable) -> None:
    table.add("Apple", ["苹果公司", "Apple Inc.", "AAPL"])
    table.add("中国银行", ["中行", "Bank of China"])
    text = "苹果公司（AAPL）跌3%，中行下调APPLE INC.评级；bank\nof china说"
    assert named(table, text) == [
        ("Apple", "苹果公司"),
        ("Apple", "AAPL"),
        ("中国银行", "中行"),
        ("Apple", "APPLE INC."),
        ("中国银行", "bank\nof china"),
    ]
    assert table.find(text)[0] == Mention("Apple", "company", 0, 4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pineapple juice, Appleby", []),
        ("买Apple手机", ["Apple"]),
        ("Apple's price", ["Apple"]),
        ("ＡＰＰＬＥ降价", ["ＡＰＰＬＥ"]),
        ("go to GE, we get it", ["GE"]),
        ("IT is, it was", ["IT"]),
        ("MAGE GEM", []),
        ("iPhone 15 Pro and iPhone 15", ["iPhone 15 Pro", "iPhone 15"]),
        ("iPhone 155", []),
        ("İBM Apple", ["Apple"]),
    ],
)
def test_latin_names_are_words_of_their_own_and_short_capitals_stay_capitals(
    table: EntityTable, text: str, found: list[str]
) -> None:
    for name in ("Apple", "GE", "IT", "iPhone 15", "iPhone 15 Pro"):
        table.add(name)
    assert [said for _, said in named(table, text)] == found


def test_ten_thousand_aliases_cost_no_more_than_a_few(workspace: Workspace) -> None:
    few = NameFinder(["阿里巴巴", "Tencent Holdings"])
    many = NameFinder(
        [*(f"第{n}建设集团" for n in range(5_000)), *(f"Company {n} Ltd" for n in range(5_000))]
    )
    text = "第4999建设集团与 company 4321 ltd 签约，阿里巴巴否认。" * 200
    assert [said for *_, said in many.find(text)[:2]] == ["第4999建设集团", "Company 4321 Ltd"]
    assert len(few.find(text)) == 200
    began_s = time.perf_counter()
    assert len(many.find(text)) == 400
    assert time.perf_counter() - began_s < 2.0  # about 10 ms


def test_aliases_are_joined_listed_and_taken_away(table: EntityTable) -> None:
    table.add("Apple", ["苹果公司", "apple"])
    row = table.add("Apple", ["AAPL", "苹果公司"], kind="company")
    assert row.aliases == ["苹果公司", "AAPL"]
    with pytest.raises(ConfigError, match="'aapl' stands for 'Apple' already"):
        table.add("Other", ["aapl"])
    table.remove("Apple", "AAPL")
    assert named(table, "AAPL 苹果公司") == [("Apple", "苹果公司")]
    with pytest.raises(NotFoundError, match="has no alias 'AAPL'; known: 苹果公司"):
        table.remove("Apple", "AAPL")
    with pytest.raises(NotFoundError, match="did you mean 'Apple'"):
        table.remove("Aple")
    table.remove("Apple")
    assert (table.all(), table.find("Apple")) == ([], [])


def test_several_are_kept_all_or_none(table: EntityTable) -> None:
    with pytest.raises(ConfigError, match="'person2' is no kind"):
        table.add_many([("A corp", [], "company"), ("B", [], "person2")])  # type: ignore[list-item]
    assert table.all() == []


def test_what_another_process_adds_is_found_soon(workspace: Workspace) -> None:
    clock_s = [0.0]
    reader = EntityTable(workspace, clock_s=lambda: clock_s[0])
    assert reader.find("腾讯涨了") == []
    EntityTable(workspace).add("腾讯")
    clock_s[0] = 11.0
    assert reader.find("腾讯涨了") == [Mention("腾讯", "company", 0, 2)]


def test_a_tagger_adds_names_nobody_knows_and_known_ones_win(workspace: Workspace) -> None:
    class Tagger:
        def tag(self, texts: list[str]) -> list[list[Span]]:
            return [
                [Span(0, 4, "company"), Span(5, 7, "name"), Span(8, 10, "scene")] for _ in texts
            ]

    table = EntityTable(workspace, tagger=Tagger())  # type: ignore[arg-type]
    table.add("Apple", ["苹果公司"])
    assert table.find("苹果公司的王明在北京") == [
        Mention("Apple", "company", 0, 4),
        Mention("王明", "person", 5, 7),
    ]
