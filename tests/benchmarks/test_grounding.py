"""What counts as answerable, and how refusals are counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.grounding_base import SmallBase, remembered
from benchmarks.grounding_rows import LABELS, Asked, bitext, halves, read_rows, taobao
from benchmarks.grounding_templates import TEMPLATES
from benchmarks.support_default import paired
from numpy.typing import NDArray

from benchmarks import grounding
from tailorbird.knowledge.evidence import Words, terms
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.modeling import TextModel
from tailorbird.records import Passage

WORDS = ["茶刀", "核桃", "湿巾", "红枣", "快递", "牛肉干", "牙刷", "榴莲"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    asks = [f"{a} {b} 什么 时候 有\t{b} 明天 有" for a in WORDS for b in WORDS if a != b]
    other = ["谢谢\t不 客气", "<NUM> 是 什么\t订单", "好 吗\t好", asks[0].replace("明天", "后天")]
    file = tmp_path / "taobao_service_qa" / "question_answer.txt"
    file.parent.mkdir()
    file.write_text("\n".join([*asks, *other]) + "\n", encoding="utf-8")
    return tmp_path


def test_greetings_numbers_and_repeated_questions_are_left_out(shop: Path) -> None:
    rows = read_rows(shop / "taobao_service_qa" / "question_answer.txt")
    assert len(rows) == 56
    assert rows[0].answer == "核桃明天有"  # the first one stays
    base, others = halves(rows)
    assert len(base) == len(others) == 28
    assert not {row.question for row in base} & {row.question for row in others}


def test_the_other_half_is_asked_as_it_was_judged(shop: Path, tmp_path: Path) -> None:
    base, others = halves(read_rows(shop / "taobao_service_qa" / "question_answer.txt"))
    judged = {str(others[0].number): [base[0].number], str(others[1].number): []}
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"answered_by": judged}), encoding="utf-8")
    ground = taobao(shop, labels)
    assert [one.kind for one in ground.asked[28:]] == ["paraphrased", "unanswerable"]
    assert ground.asked[28].answers == {str(base[0].number)}
    assert {one.kind for one in ground.asked[:28]} == {"identical"}


def test_labels_are_of_rows_and_hold_no_text() -> None:
    judged = json.loads(LABELS.read_text(encoding="utf-8"))
    assert not set(judged["answered_by"]) & set(map(str, judged["unclear"]))
    assert all(isinstance(row, int) for rows in judged["answered_by"].values() for row in rows)
    assert sum(map(bool, judged["answered_by"].values())) >= 50


def write_bitext(folder: Path) -> Path:
    place = folder / "bitext_customer_service"
    place.mkdir()
    for name, n in (("train", 12), ("test", 2)):
        lines = ["utterance,intent"]
        lines += [f"{name} {i.replace('_', ' ')} {k},{i}" for i in TEMPLATES for k in range(n)]
        (place / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_half_of_the_intents_are_in_the_base_and_the_questions_of_all_are_asked(
    tmp_path: Path,
) -> None:
    data = write_bitext(tmp_path)
    ground = bitext(data, draw=1)
    assert len(ground.pieces) == 13
    kinds = [one.kind for one in ground.asked]
    assert [kinds.count(k) for k in ("identical", "paraphrased", "unanswerable")] == [0, 26, 28]
    assert {one.id for one in ground.pieces} != {one.id for one in bitext(data, draw=2).pieces}
    assert len(bitext(data, draw=1, n_asked=5).pieces) == 13 * 6
    assert len(ground.logs) == 13 * 12


def by_letters(texts: list[str], is_query: bool) -> NDArray[np.float32]:
    rows = np.zeros((len(texts), 64), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for term in terms(text):
            row[sum(map(ord, term)) % 64] += 1
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def test_every_sentence_said_is_of_the_piece_it_names() -> None:
    pieces = [
        Passage(w, "faq", "", f"{w}有货。明天发。", 0.0, question=f"{w}有货吗") for w in WORDS
    ]
    base = SmallBase(pieces, by_letters)
    chance, passage, said = grounding.answer("茶刀有货吗", base, LearnedSupport.default())
    assert chance > 0.2
    assert passage.id == "茶刀"
    assert said == [("茶刀有货。", "茶刀"), ("明天发。", "茶刀")]
    asked = [
        Asked("茶刀有货吗", "identical", frozenset(["茶刀"])),
        Asked("请问核桃有货吗", "paraphrased", frozenset(["核桃"])),
        Asked("你们几点下班", "unanswerable", frozenset()),
    ]
    figures = grounding.measure(asked, base, LearnedSupport.default().knowing(pieces))
    assert figures["without_source"] == 0.0
    assert figures["n_sentences"] >= 2
    assert figures["auc_paraphrased"] == 1.0


def test_vectors_are_made_once_and_kept(tmp_path: Path) -> None:
    def never() -> TextModel:
        raise AssertionError("no text is new")

    file = tmp_path / "vectors.npz"
    np.savez(file, texts=np.array(["a"]), queries=np.array([True]), vectors=np.eye(1, 3))
    assert remembered(never, file)(["a", "a"], True).shape == (2, 3)


def test_sameness_goes_over_other_sentences() -> None:
    groups = paired([("a", "b", True), ("b", "c", True), ("d", "e", False), ("f", "g", True)])
    assert sorted(map(sorted, groups)) == [["a", "b", "c"], ["f", "g"]]
    assert Words.of(["a"]).has("a")
