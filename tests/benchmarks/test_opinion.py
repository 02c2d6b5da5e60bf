"""The figures of opinion are of the right rows: no sentence on two sides, no future."""

from __future__ import annotations

import gzip
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.building import settings_for
from benchmarks.opinion_sides import Divided, scores_of, several_by_words
from benchmarks.sentiment import CHOSEN, by_time, folds_of, phrasebank, read_company_news
from benchmarks.sets import Rows
from benchmarks.topics import joined, tnews, with_topics

from tailorbird.records import Example


def test_sentences_that_are_nearly_the_same_are_in_one_fold(tmp_path: Path) -> None:
    folder = tmp_path / "financial_phrasebank"
    folder.mkdir()
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    lines = [
        f"The net sales of {word} {number} rose to EUR {17 * number} mn in the year@{mood}"
        for number, word in enumerate(words * 4)
        for mood in ("positive",)
    ]
    lines += [f"{word.title()} {word} {word} did a thing, {word} said@neutral" for word in words]
    lines += [f"{word.title()} {word} {word} did a thing, {word} said .@neutral" for word in words]
    with gzip.open(folder / "Sentences_50Agree.txt.gz", "wt", encoding="latin-1") as file:
        file.write("\n".join(lines))
    parts = list(phrasebank(Namespace(data=tmp_path, seed=0, folds=5)))
    assert sum(len(part.test) for part in parts) == len(lines)
    for part in parts:
        stems = [{row.text.rstrip(" .") for row in rows} for rows in (part.train, part.validation)]
        assert not {row.text.rstrip(" .") for row in part.test} & set.union(*stems)
        assert not stems[0] & stems[1]


def test_folds_are_as_large_as_each_other() -> None:
    rows = [
        Example(f"{word * 3} {k}", "ab"[k % 2]) for k, word in enumerate(map(chr, range(97, 123)))
    ]
    counts = np.bincount(folds_of(rows, 5, 0))
    assert counts.max() - counts.min() <= 2


def test_company_news_is_measured_on_what_came_later_and_is_new(tmp_path: Path) -> None:
    path = tmp_path / "news.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("日期,公司,代码,正负面,标题\n")
        for month in range(10, 0, -1):
            file.write(f"2018年{month}月2日,甲,000001,{month % 2},标题{min(month, 9)}\n")
    found = by_time(read_company_news(path), seed=0)
    assert {row.text for row in found.train} == {f"标题{k}" for k in range(1, 8)}
    assert [row.text for row in found.validation] == ["标题8"]
    assert [(row.text, row.label) for row in found.test] == [
        ("标题9", "positive"),
        ("标题9", "negative"),
    ]


def test_settings_of_the_command_line_win_over_what_was_chosen_for_a_set() -> None:
    settings = settings_for(Namespace(seed=3, overrides=["optimizer.soup=2"]), **CHOSEN["finfe"])
    assert (settings.model.freeze_layers, settings.optimizer.soup) == (4, 2)
    assert (settings.tuning.seed, settings.split.seed) == (3, 3)


def test_topics_of_one_set_and_sentiments_of_another_are_one_set_of_rows() -> None:
    topics = Divided(*[with_topics(Rows(["a"], ["x y x"]))] * 3)
    moods = Divided(*[[Example("b", "bad")]] * 3)
    found = {row.text: row for row in joined(topics, moods, 0).train}
    assert (found["a"].labels, found["a"].lacks, found["a"].label) == (("x", "y"), (), "")
    assert (found["b"].labels, found["b"].lacks, found["b"].label) == ((), ("labels",), "bad")


def test_a_title_of_the_test_is_in_no_other_part(tmp_path: Path) -> None:
    folder = tmp_path / "fewclue_tnews"
    folder.mkdir()
    parts = {"test_public": "abc", "dev_few_all": "bd", "train_few_all": "cde"}
    for name, titles in parts.items():
        with gzip.open(folder / f"{name}.json.gz", "wt", encoding="utf-8") as file:
            for title in titles:
                file.write(json.dumps({"sentence": title, "label_desc": "x"}) + "\n")
    found = tnews(Namespace(data=tmp_path, seed=0))
    titles = ({row.text for row in p} for p in (found.train, found.validation, found.test))
    assert list(titles) == [{"e"}, {"b", "d"} - {"b"}, {"a", "b", "c"}]


def test_thresholds_of_the_peer_are_chosen_on_validation() -> None:
    held = [{"labels": [1.0]}, {"labels": [1.0]}, {"labels": [0.0]}, {"labels": [0.0]}]
    logits = np.array([[-1.0], [-2.0], [-4.0], [-5.0]])
    many, of_many = 3 * held, np.concatenate(3 * [logits])
    found = scores_of(of_many, many, logits[:3] - 0.5, held[:3], several=True)
    assert found == (1.0, 1.0)
    few = scores_of(logits, held, logits[:3] - 0.5, held[:3], several=True)
    assert few == (0.0, 0.0)  # two rows do not move it from a probability of a half
    one = [{"labels": 1}, {"labels": 0}]
    assert scores_of(np.eye(2), one, np.eye(2)[::-1], one, several=False) == (0.0, 1.0)


def test_words_alone_tell_topics_that_are_words() -> None:
    rows = [
        Example(f"{'股票上涨' if k % 2 else '石油下跌'} {k}", labels=("s",) if k % 2 else ("o",))
        for k in range(40)
    ]
    assert several_by_words(Divided(rows[:24], rows[24:32], rows[32:])) == pytest.approx(1.0)
