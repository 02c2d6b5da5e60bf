"""Rows of tasks: what files of each kind become, and what is said of rows that become nothing."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tailorbird.config import ReadingSettings
from tailorbird.data.tasks import load_rows
from tailorbird.data.tasks.kinds import TaskKind
from tailorbird.data.tasks.rows import TaskRows
from tailorbird.errors import ConfigError, DataError, TooManyRejectsError
from tailorbird.records import Candidate, Example, Message, Span


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def whole(source: Any, task: TaskKind, **options: Any) -> TaskRows:
    return load_rows(source, task, split=None, **options)


def read(source: Any, task: TaskKind, **options: Any) -> tuple[Example, ...]:
    return whole(source, task, **options).examples


def said(rows: TaskRows) -> str:
    return "\n".join(rows.decisions)


# -- one text, one label


def test_text_and_label_keep_id_and_user(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "id,text,label,user\n7,where is it,track,ann\n")
    assert read(file, "single_label") == (Example("where is it", "track", "7", "ann"),)


def test_json_arrays_without_names_are_told_by_length_and_variety(tmp_path: Path) -> None:
    rows = [[f"a longer text about {word}", n % 2] for n, word in enumerate(["x", "y", "z"])]
    file = written(tmp_path / "a.json", json.dumps(rows))
    assert [one.label for one in read(file, "single_label")] == ["0", "1", "0"]


def test_one_object_of_lists_gives_the_splits(tmp_path: Path) -> None:
    content = {
        "oos_val": [["what is love", "oos"]],
        "train": [["pay the bill", "pay"], ["send it", "send"]],
        "test": [["pay", "pay"]],
    }
    file = tmp_path / "data.json.gz"
    file.write_bytes(gzip.compress(json.dumps(content, indent=2).encode()))
    rows = whole(file, "single_label")
    assert rows.is_given
    assert [one.label for one in rows.splits["train"]] == ["pay", "send"]
    assert [one.text for one in rows.splits["validation"]] == ["what is love"]
    assert rows.splits["test"][0].label == "pay"


def test_an_object_that_holds_no_rows_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "d.json", json.dumps({"bank": ["a"], "home": ["b"]}, indent=1))
    with pytest.raises(DataError, match=r"one JSON object with 'bank', 'home', not rows"):
        read(file, "single_label")


def test_a_binary_task_has_exactly_two_labels(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": f"t{n}", "label": n % 3} for n in range(6)])
    with pytest.raises(DataError, match=r"two labels, these rows have 3: '0', '1', '2'"):
        read(file, "binary")


def test_true_and_false_are_labels_of_a_binary_task(tmp_path: Path) -> None:
    rows = [{"text": "rude", "label": True}, {"text": "kind", "label": False}]
    assert [one.label for one in read(lines(tmp_path / "a.jsonl", rows), "binary")] == ["1", "0"]


# -- several labels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([["a", "b", "a"], []], [("a", "b"), ()]),
        (["a|b", "c"], [("a", "b"), ("c",)]),
        (["价格, 味道", ""], [("价格", "味道"), ()]),
        (['["x y", "z"]', "[]"], [("x y", "z"), ()]),
        (["track order", "late refund"], [("track order",), ("late refund",)]),
        (["a b", "a c", "b c", "a", "b"], [("a", "b"), ("a", "c"), ("b", "c"), ("a",), ("b",)]),
    ],
)
def test_labels_are_a_list_or_one_divided_string(
    tmp_path: Path, values: list[Any], labels: list[tuple[str, ...]]
) -> None:
    rows = [{"text": f"t{n}", "labels": value} for n, value in enumerate(values)]
    found = read(lines(tmp_path / "a.jsonl", rows), "multi_label")
    assert [one.labels for one in found] == labels


def test_columns_of_zeros_and_ones_are_labels(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "text,rude,spam\nbuy,0,1\nhello,0,0\nbuy dog,1,1\n")
    assert [one.labels for one in read(file, "multi_label")] == [("spam",), (), ("rude", "spam")]


# -- numbers and pairs


def test_regression_reads_a_number_and_a_second_text(tmp_path: Path) -> None:
    one = lines(tmp_path / "a.jsonl", [{"text": "good", "rating": "4.5"}])
    two = lines(tmp_path / "b.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 3}])
    assert read(one, "regression")[0].value == 4.5
    (pair,) = read(two, "regression")
    assert (pair.text, pair.second, pair.value) == ("a", "b", 3.0)


@pytest.mark.parametrize(
    "names",
    [
        ("text", "text2"),
        ("sentence1", "sentence2"),
        ("premise", "hypothesis"),
        ("Question1", "Question2"),
        ("句子1", "句子2"),
    ],
)
def test_pairs_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = [{names[1]: "second", "label": "1", names[0]: "first", "text_id": 4}]
    (pair,) = read(lines(tmp_path / "a.jsonl", rows), "pairs")
    assert (pair.text, pair.second, pair.label) == ("first", "second", "1")


def test_a_table_without_header_is_read_by_position(tmp_path: Path) -> None:
    text = "\ufeff1\t\ufeff怎么更改号码\t号码怎么改\t1\n2\t开不了怎么办\t真的是这样\t0\n"
    text += "3\t能开通吗\t可以开通吗\t1\n"
    rows = whole(written(tmp_path / "sim.csv", text), "pairs")
    assert rows.examples[0].text == "怎么更改号码"
    assert [one.label for one in rows.examples] == ["1", "0", "1"]
    assert "header: none" in said(rows)


def test_fractions_under_label_are_similarities(tmp_path: Path) -> None:
    rows = [{"text": "a", "text2": "b", "label": value} for value in (3.8, 5.0)]
    found = read(lines(tmp_path / "a.jsonl", rows), "pairs")
    assert [(one.label, one.value) for one in found] == [("", 3.8), ("", 5.0)]


def test_a_pair_without_agreement_is_rejected(tmp_path: Path) -> None:
    rows = [{"premise": "a", "hypothesis": f"b{n}", "label": "yes"} for n in range(9)]
    bad: list[Any] = []
    file = lines(tmp_path / "a.jsonl", [*rows, {**rows[0], "label": "-"}])
    assert len(read(file, "pairs", on_reject=bad.append)) == 9
    assert str(bad[0]) == "a.jsonl:10: label is empty; label the row or leave it out"


# -- spans


def test_cluener_s_ends_are_the_last_character(tmp_path: Path) -> None:
    label = {"name": {"彭小军": [[0, 2]]}, "address": {"台湾": [[5, 6]]}}
    file = lines(tmp_path / "a.json", [{"text": "彭小军认为台湾", "label": label}])
    assert read(file, "token_classification")[0].spans == (
        Span(0, 3, "name"),
        Span(5, 7, "address"),
    )


@pytest.mark.parametrize(
    "spans",
    [
        [{"start": 5, "end": 11, "label": "city"}],
        [[5, 11, "city"]],
        [{"start_offset": 5, "end_offset": 11, "entity_type": "city"}],
        [{"start": 5, "end": 10, "label": "city", "text": "Berlin"}],
    ],
)
def test_spans_are_read_in_their_usual_forms(tmp_path: Path, spans: list[Any]) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": "from Berlin", "entities": spans}])
    assert read(file, "token_classification")[0].spans == (Span(5, 11, "city"),)


@pytest.mark.parametrize(
    ("spans", "cause"),
    [
        ([[0, 9, "x"]], "not within the 3 characters"),
        ([[2, 2, "x"]], "not within the 3 characters"),
        ([{"start": 0, "end": 2, "label": "x", "text": "zz"}], "is 'ab' in the text and 'zz'"),
        ([{"start": 0, "end": 2}], "has no label"),
        ([{"start": "a", "end": 2, "label": "x"}], r"is \['a', 2\], not \[start, end\]"),
        ({"x": ["ab"]}, "not an object of surfaces"),
    ],
)
def test_a_span_that_does_not_fit_says_why(tmp_path: Path, spans: Any, cause: str) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": "abc", "spans": spans}])
    with pytest.raises(TooManyRejectsError, match=cause):
        read(file, "token_classification")


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-x I-x O B-y", [(0, 3, "x"), (6, 7, "y")]),
        ("S-x O B-y E-y", [(0, 1, "x"), (4, 7, "y")]),  # BIOES
        ("U-x O B-y L-y", [(0, 1, "x"), (4, 7, "y")]),  # BILOU
        ("B-x M-x E-x S-x", [(0, 5, "x"), (6, 7, "x")]),  # BMES
        ("O I-x I-y I-y", [(2, 3, "x"), (4, 7, "y")]),  # never begun: begins where it stands
        ("x x O y", [(0, 3, "x"), (6, 7, "y")]),
    ],
)
def test_tags_of_every_scheme_become_spans(
    tmp_path: Path, tags: str, spans: list[tuple[int, int, str]]
) -> None:
    rows = [{"tokens": list("abcd"), "ner_tags": tags.split()}]
    (one,) = read(lines(tmp_path / "a.jsonl", rows), "token_classification")
    assert one.text == "a b c d"
    assert one.spans == tuple(Span(*span) for span in spans)


def test_tokens_are_joined_with_spaces_but_not_between_chinese(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["苹果", "Apple", "Inc", "，", "很", "好"], "tags": ["O", "B-c", "I-c", *"OOO"]}
    ]
    (one,) = read(lines(tmp_path / "a.jsonl", rows), "token_classification")
    assert one.text == "苹果Apple Inc，很好"
    assert [one.text[span.start : span.end] for span in one.spans] == ["Apple Inc"]


def test_tag_numbers_without_names_are_refused(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"tokens": ["a", "b"], "ner_tags": [0, 3]}])
    with pytest.raises(TooManyRejectsError, match=r"are numbers \(0 3 …\), not names"):
        read(file, "token_classification")


def test_conll_keeps_the_text_of_its_comment_and_passes_document_marks(tmp_path: Path) -> None:
    text = (
        "-DOCSTART- O\n\n# id = 1\n# text = Will it rain?\n1\tWill\tw\tO\n2\tit\tw\tO\n"
        "3\train\tw\tB-weather\n4\t?\tw\tO\n\t\n#fun\tO\nOslo\tB-city\n"
    )
    found = read(written(tmp_path / "a.conll", text), "token_classification")
    assert [one.text for one in found] == ["Will it rain?", "#fun Oslo"]
    assert found[0].spans == (Span(8, 12, "weather"),)
    assert found[1].spans == (Span(5, 9, "city"),)
    assert [one.interaction_id for one in found] == ["a.conll:5", "a.conll:10"]


def test_a_line_without_a_tag_costs_its_sentence(tmp_path: Path) -> None:
    good = "\n\n".join("Oslo B-city" for _ in range(5))
    bad: list[Any] = []
    file = written(tmp_path / "a.bio", f"{good}\n\nrain O\nsnow\n")
    assert len(read(file, "token_classification", on_reject=bad.append)) == 5
    assert "a.bio:11: line 12 is 'snow', not a token and its tag" in str(bad[0])


# -- queries and passages


def test_retrieval_and_ranking_know_their_columns(tmp_path: Path) -> None:
    answer = lines(tmp_path / "a.jsonl", [{"question": "how", "answer": "so"}])
    assert [(one.text, one.second) for one in read(answer, "retrieval")] == [("how", "so")]
    ranked = [{"query": "how", "candidates": [{"text": "so", "relevance": 2}, ["no", 0]]}]
    assert read(lines(tmp_path / "b.jsonl", ranked), "ranking")[0].candidates == (
        Candidate("so", 2.0),
        Candidate("no", 0.0),
    )


def test_long_form_is_grouped_by_query(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "query,text,relevance\nq1,a,1\nq2,b,0\nq1,c,0\n")
    found = read(file, "ranking")
    assert [one.text for one in found] == ["q1", "q2"]
    assert found[0].candidates == (Candidate("a", 1.0), Candidate("c", 0.0))


# -- dialogues


def test_every_form_of_a_dialogue_becomes_messages(tmp_path: Path) -> None:
    openai = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    ]
    sharegpt = [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]
    alpaca = [{"instruction": "a", "input": "", "output": "b"}]
    dpo = [
        {
            "conversations": [{"from": "human", "value": "a"}],
            "chosen": {"from": "gpt", "value": "b"},
        }
    ]
    seeds = [{"instruction": "a", "instances": [{"input": "", "output": "b"}]}]
    expected = (Message("user", "a"), Message("assistant", "b"))
    for number, rows in enumerate((openai, sharegpt, alpaca, dpo, seeds)):
        (one,) = read(lines(tmp_path / f"{number}.jsonl", rows), "dialogue")
        assert one.messages == expected, rows
        assert one.text == "a"


def test_alpaca_s_input_system_and_history_are_part_of_the_dialogue(tmp_path: Path) -> None:
    row = {
        "instruction": "Sum",
        "input": "1 2",
        "output": "3",
        "system": "s",
        "history": [["q", "r"]],
    }
    (one,) = read(lines(tmp_path / "a.jsonl", [row]), "dialogue")
    assert "".join(message.role[0] for message in one.messages) == "suaua"
    assert one.messages[3].content == "Sum\n1 2"


def test_a_dialogue_without_an_answer_is_rejected(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"messages": [{"role": "user", "content": "a"}]}])
    with pytest.raises(TooManyRejectsError, match="no turn of the user with an answer"):
        read(file, "dialogue")


# -- where rows lie, and what is said


def test_a_mapping_of_files_gives_the_splits(tmp_path: Path) -> None:
    files = {
        name: lines(tmp_path / f"{name}_0.jsonl", [{"text": name, "label": "x"}])
        for name in ("train", "test")
    }
    rows = whole(files, "single_label")
    assert rows.is_given
    assert rows.splits["test"][0].text == "test"


def test_a_folder_knows_its_splits_by_the_ends_of_names(tmp_path: Path) -> None:
    written(tmp_path / "wnut17train.conll", "a B-x\n")
    written(tmp_path / "emerging.dev.conll", "b B-x\n")
    written(tmp_path / "LICENSE.txt", "all rights reserved\n")
    rows = whole(tmp_path, "token_classification")
    assert [one.text for one in rows.splits["train"]] == ["a"]
    assert [one.text for one in rows.splits["validation"]] == ["b"]


def test_parquet_holds_lists(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["t"], "labels": [["a", "b"]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", "multi_label")[0].labels == ("a", "b")


def test_columns_can_be_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "betreff,thema\nwo ist es,track\n")
    (one,) = read(file, "single_label", columns={"text": "betreff", "label": "thema"})
    assert (one.text, one.label) == ("wo ist es", "track")
    with pytest.raises(DataError, match=r"has no column 'betref'.*did you mean 'betreff'"):
        read(file, "single_label", columns={"text": "betref", "label": "thema"})


def test_missing_columns_are_said_with_what_is_there(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"id": 1, "sentence1": "a", "sentence2": "b"}])
    with pytest.raises(DataError, match=r"a\.jsonl: pairs needs text, text2 and label .*'id', 'se"):
        read(file, "pairs")


def test_an_unknown_task_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'ner' is no task .*token_classification"):
        read(tmp_path, "ner")  # type: ignore[arg-type]


def test_too_many_bad_rows_stop_the_reading(tmp_path: Path) -> None:
    rows = [{"text": "a", "value": "high"}, {"text": "b", "value": 1}]
    with pytest.raises(TooManyRejectsError, match=r"a\.jsonl:1: value is 'high', not a number"):
        read(lines(tmp_path / "a.jsonl", rows), "regression")


def test_an_example_survives_json() -> None:
    example = Example(
        "a", labels=("x",), value=0.0, spans=(Span(0, 1, "y"),), messages=(Message("user", "a"),)
    )
    assert Example.from_json(json.loads(json.dumps(example.to_json()))) == example
    assert Example.from_json(json.loads(json.dumps(asdict(example)))) == example


def test_rows_know_when_they_were_said(tmp_path: Path) -> None:
    path = tmp_path / "rated.jsonl"
    rows = [
        '{"text": "good", "rating": 4, "user": "ada", "time": "2024-05-01T08:30:00+08:00"}',
        '{"text": "bad", "rating": 2, "user": "ada", "time": "the other day"}',
        '{"text": "so", "rating": 3, "user": "bo", "time": 1714523400}',
        '{"text": "so so", "rating": 3, "user": "bo", "time": 1714523401}',
    ]
    path.write_text("\n".join(rows), encoding="utf-8")
    found = load_rows(path, "regression", split=None)
    assert [row.time for row in found.examples[:2]] == ["2024-05-01T00:30:00+00:00", ""]
    reading = ReadingSettings(time="time", max_reject_fraction=0.5)
    named = load_rows(path, "regression", reading, split=None)
    assert named.n_rejected == 1  # who names the column wants every time
