"""Labels from a file and from rules, with how far they reach and how well they agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailorbird.config import LabellingSettings
from tailorbird.data import label
from tailorbird.data.labelling import label_by_rules, label_from_file, load_rules
from tailorbird.errors import ConfigError, DataError, NoLabelsError
from tailorbird.records import Interaction

RULES = """
[[rule]]
intent = "refund"
keywords = ["refund", "money back", "退款"]
regex = ["退.{0,4}钱"]

[[rule]]
intent = "track"
keywords = ["order", "包裹"]

[[rule]]
intent = "greet"
keywords = "hi"
"""


def rows_of(*texts: str | tuple[str, str]) -> list[Interaction]:
    pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
    return [Interaction(id=f"r{n}", text=text, label=name) for n, (text, name) in enumerate(pairs)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_first_rule_that_matches_gives_the_label(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path / "rules.toml", RULES))
    rows = rows_of(
        "I want my MONEY  back", "refund my order", "我的包裹呢", "把ＲＥＦＵＮＤ给我", "bye"
    )
    labelled, report = label_by_rules(rows, rules)
    assert [row.label for row in labelled] == ["refund", "refund", "track", "refund", None]
    assert (report.n_matched, report.coverage) == (4, 0.8)
    assert report.counts == {"refund": 3, "track": 1}
    assert (report.n_conflicts, report.conflicts) == (
        1,
        (("refund my order", ("refund", "track")),),
    )
    assert report.decisions == (
        "rules.toml: labels for 4 of 5 rows (80%), "
        "1 matched by several intents (the first rule won)",
        "rule for 'greet' matches no row",
    )


def test_latin_keywords_match_whole_words_and_chinese_ones_anywhere(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path / "rules.toml", RULES))
    found = [
        rules.intents(text) for text in ("this thing", "hi!", "申请退款啦", "reorder", "退我的钱")
    ]
    assert found == [(), ("greet",), ("refund",), (), ("refund",)]


def test_older_labels_stay_and_measure_the_rules(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path / "rules.toml", RULES))
    rows = rows_of(("refund", "refund"), ("order", "cancel"), ("bye", "bye"), "hi")
    labelled, report = label_by_rules(rows, rules)
    assert [row.label for row in labelled] == ["refund", "cancel", "bye", "greet"]
    assert (report.n_agreeing, report.n_disagreeing, report.agreement) == (1, 1, 0.5)
    assert (report.n_labelled_before, report.n_labelled) == (3, 4)
    assert "as labelled before in 50% of 2" in report.decisions[0]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", r"rules.toml: holds no \[\[rule\]\] tables"),
        ("[[rule]\n", r"rules.toml: is not TOML"),
        ("rule = 3", r"holds no \[\[rule\]\] tables"),
        ('[[rule]]\nkeywords = ["a"]', r"rules.toml: rule 1: has no intent"),
        ('[[rule]]\nintent = "a"', r"rule 1: for 'a' would match nothing"),
        ('[[rule]]\nintent = "a"\nkeyword = ["b"]', r"did you mean 'keywords'\?"),
        ('[[rule]]\nintent = "a"\nkeywords = [1]', r"keywords is not a list of strings"),
        ('[[rule]]\nintent = "a"\nregex = "("', r"regex '\(' is not a pattern"),
    ],
)
def test_wrong_rules_are_named(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_rules(write(tmp_path / "rules.toml", toml))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "id,label\nr0,a\nr2,b\nr9,c\nr1,\n"),
        ("labels.jsonl", '{"id": "r0", "label": "a"}\n{"id": "r2", "label": "b"}\n'
         '{"id": "r9", "label": "c"}\n{"id": "r1", "label": null}\n'),
        ("labels.csv", 'text,intent\n"ONE ",a\nｔｈｒｅｅ,b\nnine,c\n'),
    ],
    ids=["csv by id", "jsonl by id", "csv by text"],
)  # fmt: skip
def test_labels_file_labels_by_id_or_text(tmp_path: Path, name: str, content: str) -> None:
    rows = rows_of("one", "two", ("three", "old"))
    labelled, report = label_from_file(rows, write(tmp_path / name, content))
    assert [row.label for row in labelled] == ["a", None, "b"]
    assert (report.n_matched, report.n_disagreeing) == (2, 1)
    assert any("1 of 3 labels fit no row" in sentence for sentence in report.decisions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,label\na,b\n", r"needs the columns label and id or text; it has 'name', 'label'"),
        ("id,label\n1,a\n1,b\n", r"labels.csv:3: '1' is labelled 'b' here and 'a' above"),
        ("id,label\n1\n", r"labels.csv:2: has 1 fields where the header has 2"),
        ("id,label\n1,\n", r"labels.csv: holds no labels"),
    ],
)
def test_wrong_labels_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_from_file(rows_of("a"), write(tmp_path / "labels.csv", content))


def test_settings_apply_the_file_first_and_rules_to_the_rest(tmp_path: Path) -> None:
    settings = LabellingSettings(
        labels=str(write(tmp_path / "labels.csv", "id,label\nr0,special\n")),
        rules=str(write(tmp_path / "rules.toml", RULES)),
    )
    labelled, told = label(rows_of("refund", "hi"), settings)
    assert [row.label for row in labelled] == ["special", "greet"]
    assert told[0] == "labels.csv: labels for 1 of 2 rows (50%)"


def test_without_settings_rows_stay_as_they_are() -> None:
    rows = rows_of("a", ("b", "x"))
    assert label(rows, LabellingSettings()) == (rows, [])


def test_labels_and_rules_that_reach_no_row_say_what_they_were_matched_with(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", "id,label\n7,refund\n")
    rules = write(tmp_path / "rules.toml", RULES)
    with pytest.raises(NoLabelsError) as caught:
        label(rows_of("bye"), LabellingSettings(labels=str(labels), rules=str(rules)))
    for found in (
        "none of 1 rows has a label: labels.csv: labels for 0 of 1 rows",
        "1 of 1 labels fit no row: '7'",
        "rules.toml: labels for 0 of 1 rows",
        "label rows by their id, as 'r0', or text, as 'bye'",
    ):
        assert found in str(caught.value)


def test_file_takes_a_label_away_and_no_rule_gives_it_back(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", "id,label,was,text\nr0,[none],refund,x\nr1,track,,y\n")
    rules = write(tmp_path / "rules.toml", RULES)
    rows = rows_of(("refund please", "refund"), ("my order", "refund"), ("hi", None))
    labelled, told = label(rows, LabellingSettings(labels=str(labels), rules=str(rules)))
    assert [row.label for row in labelled] == [None, "track", "greet"]
    assert "1 rows have their label taken away ([none])" in told
