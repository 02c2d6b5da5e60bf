"""Finding replies and same questions: who is on which side, how places are counted, every side."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.grounding_base import untuned
from benchmarks.retrieval_rows import atec, bustm, taobao

from benchmarks import retrieval
from tailorbird.knowledge.tuning import embed
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone

WORDS = ["茶", "刀", "枣", "核桃", "湿巾", "快递", "退款", "发货", "优惠", "牛肉干"]


def write_sets(folder: Path) -> Path:
    dialogues = [
        f"{label}\t你好\t{a} 和 {b} 有 吗\t{a} {b} {word}"
        for a in WORDS
        for b in WORDS
        for label, word in ((1, "有 的"), (0, "没有"))
    ]
    put(folder / "taobao_service_qa" / "response_selection_dev.txt.gz", dialogues)
    pairs = [
        f"{k}\t{a}{b}怎么买\t怎么买{a if same else '别的'}{b}\t{same}"
        for k, (a, b, same) in enumerate(
            (a, b, same) for a in WORDS for b in WORDS for same in (0, 1)
        )
    ]
    put(folder / "atec_similarity" / "atec_nlp_sim_train.csv.gz", pairs)
    rows = [
        json.dumps({"sentence1": f"{a}好吗", "sentence2": f"{b}好不好", "label": str(int(a == b))})
        for a in WORDS
        for b in WORDS[:4]
    ]
    for name in ("train_few_all.json", "dev_few_all.json", "test_public.json.gz"):
        put(folder / "fewclue_bustm" / name, rows)
    return folder


def put(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def options(data: Path, tmp_path_factory: pytest.TempPathFactory) -> argparse.Namespace:
    backbone = write_tiny_backbone(tmp_path_factory.mktemp("tiny"))
    return argparse.Namespace(
        data=data,
        rows=40,
        epochs=1,
        backbone=str(backbone),
        only=retrieval.SETS,
        seed=0,
        seeds=1,
    )


def test_no_query_is_on_both_sides_and_the_right_reply_comes_first(data: Path) -> None:
    rows = taobao(data, n_train=50)
    assert len(rows.train) == 50
    assert len(rows.test) == 25
    assert rows.held
    parts = [{pair.text for pair in rows.train}, {pair.text for pair in rows.held}]
    asked = {query for query, _ in rows.test}
    assert not parts[0] & parts[1]
    assert not asked & (parts[0] | parts[1])
    for query, candidates in rows.test:
        assert len(set(candidates)) == len(candidates) == 10
        assert candidates[0].endswith("有的")
        assert candidates[1].endswith("没有")
        assert query.startswith("你好 ")


def test_pairs_that_share_a_sentence_with_the_test_part_are_not_trained_on(data: Path) -> None:
    rows = atec(data, n_train=100)
    held = {text for pair in rows.validation + rows.test for text in pair[:2]}
    assert rows.train
    assert not held & {text for pair in rows.train for text in pair[:2]}
    assert len(bustm(data).same) == 4


def test_places_count_what_is_as_good_before_the_right_one() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.7]])
    assert retrieval.places(scores, [0, 0]).tolist() == [1, 3]


def test_f1_is_of_the_pairs_that_are_the_same() -> None:
    truth = np.array([True, True, False, False])
    assert retrieval.f1(truth, np.array([True, False, True, False])) == 0.5
    assert retrieval.f1(truth, np.zeros(4, dtype=bool)) == 0.0


@pytest.mark.parametrize("name", ["BM25", "E5", "ours", "ours, hard", "ours, pairs"])
def test_every_side_gives_shares(name: str, options: argparse.Namespace) -> None:
    found = retrieval.SIDES[name](options)
    shares = {key: value for key, value in found.items() if key not in ("train_s", "peak_gib")}
    assert all(0 <= value <= 1 for value in shares.values()), found
    if name == "ours, pairs":
        assert shares.keys() == {f"{s}_{k}" for s in ("atec", "bustm") for k in ("accuracy", "f1")}
    else:
        assert shares.keys() >= {"taobao_recall_at_1", "taobao_mrr"}
    if name == "BM25":
        assert shares["taobao_mrr"] > 0.4


def test_sets_that_are_not_asked_for_are_not_run(options: argparse.Namespace) -> None:
    some = argparse.Namespace(**{**vars(options), "only": ["bustm"]})
    assert {key.split("_")[0] for key in retrieval.SIDES["BM25"](some)} == {"bustm"}
    assert retrieval.SIDES["ours, hard"](some) == {}


def test_a_model_that_finds_held_out_pairs_no_better_is_not_kept(
    options: argparse.Namespace,
) -> None:
    some = argparse.Namespace(**{**vars(options), "only": ["bustm"]})
    found = retrieval.ours(some)
    assert found["bustm_is_kept"] == 0.0  # four pairs taught it nothing
    before = retrieval.figures("bustm", bustm(some.data), _of(untuned(some.backbone)))
    assert before == {key: found[key] for key in before}


def test_a_model_that_finds_held_out_pairs_better_is_kept(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighted, blind = untuned(options.backbone), untuned(options.backbone)
    for weight in blind.backbone.parameters():
        weight.data.zero_()  # all texts are alike to it
    held = [Example(word, second=word) for word in WORDS]  # which are found by being the same
    assert retrieval.is_better(sighted, blind, held)
    assert not retrieval.is_better(blind, sighted, held)
    assert not retrieval.is_better(sighted, sighted, held)
    monkeypatch.setattr(retrieval, "untuned", lambda _: blind)
    found = retrieval.ours(argparse.Namespace(**{**vars(options), "only": ["taobao"]}))
    assert found["taobao_is_kept"] == 1.0
    for name in ("taobao_recall_at_1", "taobao_mrr"):
        assert found[name] == found[f"{name}_tuned"]


def _of(model: TextModel) -> retrieval.Vectors:
    return lambda texts, is_query: embed(model, texts, is_query=is_query)


def test_figures_of_seeds_are_means() -> None:
    side = retrieval.of_seeds(_seed)
    found = side(argparse.Namespace(seed=2, seeds=3))  # 2, 3, 4: one apart
    assert found == {"seed": 3.0, "seed_error": pytest.approx(1 / 3**0.5)}
    assert side(argparse.Namespace(seed=2, seeds=1)) == {"seed": 2.0}


def _seed(options: argparse.Namespace) -> dict[str, float]:
    return {"seed": float(options.seed)}


def test_the_last_line_says_who_is_ahead_by_how_much() -> None:
    mine = {"taobao_mrr": 0.5, "taobao_mrr_tuned": 0.42, "train_s": 10.0, "peak_gib": 1.0}
    peer = {"taobao_mrr": 0.45, "train_s": 40.0, "peak_gib": 2.0}
    result = retrieval.result_of({"ours": mine, "sentence-transformers": peer})
    assert result["ratio_vs_sentence_transformers"] == 4.0
    assert result["worst_gap_points"] == pytest.approx(-5.0)
    assert result["mean_gap_points_tuned"] == pytest.approx(3.0)
    assert result["sentence_transformers_taobao_mrr"] == 0.45
    assert "worst_gap_error" not in result  # of one seed


def test_the_worst_gap_has_its_error() -> None:
    mine = {"atec_f1": 0.57, "atec_f1_error": 0.003, "atec_f1_tuned": 0.57, "train_s": 10.0}
    mine |= {"atec_f1_tuned_error": 0.003, "train_s_error": 1.0}
    peer = {"atec_f1": 0.58, "atec_f1_error": 0.004, "train_s": 40.0, "train_s_error": 1.0}
    result = retrieval.result_of({"ours": mine, "sentence-transformers": peer})
    assert result["worst_gap_points"] == result["mean_gap_points"] == pytest.approx(1.0)
    assert result["worst_gap_error"] == result["worst_gap_error_tuned"] == pytest.approx(0.5)
