"""Who is meant: the sentence around a name, up to the clauses about others."""

from __future__ import annotations

import pytest

from tailorbird.assistants.opinion.reading.windows import marked, window


@pytest.mark.parametrize(
    ("text", "name", "others", "part"),
    [
        ("Up. Acme Inc. rose 3.5 percent! Down.", "Acme", [], "Acme Inc. rose 3.5 percent"),
        ("Acme rose but Bolt fell", "Bolt", ["Acme"], "but Bolt fell"),
        ("Acme rose but Bolt fell", "Acme", ["Bolt"], "Acme rose"),
        ("甲涨，乙跌，丙平", "乙", ["甲", "丙"], "乙跌"),
        ("甲和乙都涨", "乙", ["甲"], "和乙都涨"),
        (
            "甲公司公布年报，净利润大跌。乙公司大涨",
            "甲公司",
            ["乙公司"],
            "甲公司公布年报，净利润大跌",
        ),
    ],
)
def test_the_part_about_a_name(text: str, name: str, others: list[str], part: str) -> None:
    place = (text.index(name), text.index(name) + len(name))
    of_others = [(text.index(other), text.index(other) + len(other)) for other in others]
    found, inside = window(text, place, of_others)
    assert found == part
    assert found[slice(*inside)] == name
    assert marked(found, inside) == part.replace(name, f"«{name}»", 1)
