"""A search tuned from logs: what is held out, what is kept, and what loads afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from tailorbird.cli.knowledge_tune import tune
from tailorbird.config import Settings, TuningSettings
from tailorbird.errors import DataError, KnowledgeError
from tailorbird.knowledge import open_base, open_encoder, reranking
from tailorbird.knowledge.hard_negatives import WordIndex, with_hard_negatives
from tailorbird.knowledge.kept_reranker import chosen_reranker
from tailorbird.knowledge.reranking import TunedReranker, tune_reranker
from tailorbird.knowledge.tuning import (
    HELD_OUT,
    SearchGain,
    divide,
    embed,
    gain_of,
    held_out,
    keep_held_out,
    ranks_from,
    tune_retriever,
)
from tailorbird.modeling import build_model, load_model, save_model
from tailorbird.records import Example
from tailorbird.store import Workspace
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning.tasks import find_task
from tailorbird.weights import BackboneFolder, resolve_backbone

LETTERS = "abcdefgh"
WORDS = [f"{a}{b}" for a in LETTERS for b in LETTERS if a != b]
PAIRS = [  # which word belongs to which can only be learned
    Example(f"{before}{word}{after}", second=f"to {WORDS[-1 - k]}.")
    for k, word in enumerate(WORDS[:24])
    for before, after in (("", "?"), ("i ", " "), ("my ", "!"), ("o ", " z"), ("", " to"))
]
SETTINGS = Settings(
    tuning=TuningSettings(n_epochs=12, batch_size=24, learning_rate=3e-3, patience=0)
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> BackboneFolder:
    folder = write_tiny_backbone(tmp_path_factory.mktemp("tiny"))
    return resolve_backbone(str(folder), cache=folder)


def test_held_out_questions_are_never_trained_on() -> None:
    pairs = [*PAIRS, Example(PAIRS[0].text, second="another answer")]
    parts = divide(pairs)
    asked = [{one.text for one in part} for part in (parts.train, parts.validation, parts.held)]
    assert sum(map(len, asked)) == len(PAIRS)
    assert not asked[0] & asked[1]
    assert not asked[0] & asked[2]
    assert len(asked[2]) == 12
    assert len(parts.answers) == 25


def test_too_few_pairs_tune_nothing(tmp_path: Path, backbone: BackboneFolder) -> None:
    with pytest.raises(DataError, match="39 questions with an accepted answer are too few"):
        tune_retriever(PAIRS[:39], backbone, tmp_path / "model")


def test_a_tuned_search_is_kept_where_it_wins_and_loads(
    tmp_path: Path, backbone: BackboneFolder
) -> None:
    said: list[str] = []
    folder = tmp_path / "model"
    gain = tune_retriever(PAIRS, backbone, folder, settings=SETTINGS, say=said.append)
    assert gain.wins, str(gain)
    assert gain.mrr.candidate > gain.mrr.current + 0.1
    assert said[-1] == str(gain)
    assert said[-1].endswith("kept")
    parts = divide(PAIRS, seed=SETTINGS.split.seed)
    kept = [(one.text, one.second) for one in held_out(folder)]
    assert kept == [(one.text, one.second) for one in (*parts.validation, *parts.held)]
    model = load_model(folder)
    vectors = embed(model, ["ab", "cd"], is_query=True)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_pairs_that_were_held_out_are_read_or_the_file_is_named(tmp_path: Path) -> None:
    assert held_out(tmp_path) == []
    odd = Example("a\u2028b\n「c」", second="d\x85")
    keep_held_out([odd], tmp_path / HELD_OUT)
    assert held_out(tmp_path) == [odd]
    (tmp_path / HELD_OUT).write_text('{"text": "a"}', encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"held_out\.jsonl.*no questions with their answers"):
        held_out(tmp_path)


def test_a_base_is_judged_by_what_its_encoder_was_not_tuned_on(
    tmp_path: Path, backbone: BackboneFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "model"
    model = build_model(backbone, [], settings=SETTINGS.model, spec=find_task("retrieval").spec)
    save_model(model, folder, backbone=backbone.path)
    asked = {f"{word} or {more}?": f"to {word}." for word in WORDS[:24] for more in "xyz"}
    rows = [json.dumps({"text": text, "second": answer}) for text, answer in asked.items()]
    (folder / HELD_OUT).write_text("\n".join(rows), encoding="utf-8")
    table = "\n".join(["question,answer", *(f"how {one}?,to {one}." for one in WORDS[:24])])

    def provenance(name: str) -> str:
        with Workspace.open(tmp_path / name) as space:
            open_encoder(space, str(folder))
            base, support = open_base(space)
            base.add("faq.csv", table.encode())
            assert support.follow()
            kept = json.loads((space.path / "support.json").read_text(encoding="utf-8"))
        return str(kept["model"]["provenance"])

    assert "questions of people" in provenance("whole")
    assert HELD_OUT not in caplog.text
    (folder / HELD_OUT).write_text("[", encoding="utf-8")
    assert "questions of people" not in provenance("damaged")
    assert HELD_OUT in caplog.text


def test_a_tuned_search_that_wins_nothing_is_not_kept(
    tmp_path: Path, backbone: BackboneFolder
) -> None:
    still = Settings(tuning=TuningSettings(n_epochs=1, batch_size=64, learning_rate=1e-9))
    gain = tune_retriever(PAIRS, backbone, tmp_path / "model", settings=still, n_hard=0)
    assert not gain.wins
    assert str(gain).endswith("not kept: no better than chance")
    assert not (tmp_path / "model").exists()


def test_places_count_what_is_as_good_and_not_other_answers_of_the_question() -> None:
    held = [Example("q", second="a"), Example("q", second="b"), Example("r", second="c")]
    scores = np.array([[0.5, 0.9, 0.1], [0.5, 0.9, 0.1], [0.7, 0.2, 0.7]], dtype=np.float32)
    assert ranks_from(scores, held, ["a", "b", "c"]).tolist() == [1, 1, 2]


def test_hard_negatives_look_right_and_were_never_accepted() -> None:
    answers = ["pay by card", "card by pay", "we pay you", "hello"]
    pairs = [Example("pay card", second="pay by card"), Example("pay card", second="card by pay")]
    rows = with_hard_negatives(pairs, answers, n=2)
    assert [[one.text for one in row.candidates] for row in rows] == [["we pay you"]] * 2
    assert with_hard_negatives(pairs, answers, n=0) == pairs


def test_a_question_of_unknown_words_has_no_scores() -> None:
    index = WordIndex(["pay by card", ""])
    assert index.scores("xyzzy").tolist() == [0.0, 0.0]
    assert index.best("xyzzy", 2) == []
    assert index.best("", 2) == []


def test_a_tuned_reranker_says_what_it_gains_and_scores_texts(
    tmp_path: Path, backbone: BackboneFolder
) -> None:
    spec = find_task("retrieval").spec
    retriever = build_model(backbone, [], settings=SETTINGS.model, spec=spec).eval()
    said: list[str] = []
    gain = tune_reranker(
        PAIRS,
        backbone,
        tmp_path / "pairs",
        retriever=retriever,
        settings=Settings(tuning=TuningSettings(n_epochs=1, batch_size=16)),
        n_candidates=4,
        say=said.append,
    )
    assert gain.n_held == 12
    assert (tmp_path / "pairs").exists() == gain.wins
    ranking = build_model(backbone, [], settings=SETTINGS.model, spec=find_task("ranking").spec)
    reranker = TunedReranker(ranking.eval())
    alone = [reranker.scores("ab?", [text])[0] for text in ("ba", "cd")]
    assert reranker.scores("ab?", ["ba", "cd"]) == pytest.approx(alone, abs=1e-5)
    assert reranker.scores("ab?", []) == []


def test_the_verb_tunes_from_logs_and_leaves_bad_answers_out(
    tmp_path: Path, backbone: BackboneFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": pair.text, "reply": pair.second, "feedback": 1} for pair in PAIRS]
    rows += [{"text": f"bad {pair.text}", "reply": "No.", "feedback": -1} for pair in PAIRS]
    logs = tmp_path / "logs.jsonl"
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = [f"tuning.{key}" for key in ("n_epochs=12", "batch_size=24", "learning_rate=3e-3")]
    folder = tmp_path / "model"
    tune(
        str(logs),
        out=folder,
        backbone=str(backbone.path),
        set_=given,
        workspace=tmp_path / "space",
        as_json=True,
    )
    said = json.loads(capsys.readouterr().out)
    assert said["is_kept"]
    assert said["n_held"] == 12
    assert load_model(folder).spec.task == "retrieval"
    with pytest.raises(typer.Exit):
        tune(
            str(logs),
            out=tmp_path / "other",
            backbone=str(backbone.path),
            set_=["tuning.n_epochs=1", "tuning.learning_rate=1e-9"],
            workspace=tmp_path / "space",
        )
    assert not (tmp_path / "other").exists()


def test_a_reranker_is_tuned_by_the_verb_and_used_from_then_on_where_it_wins(
    tmp_path: Path,
    backbone: BackboneFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"text": pair.text, "reply": pair.second} for pair in PAIRS]
    logs = tmp_path / "logs.jsonl"
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with Workspace.open(tmp_path / "space") as workspace:
        open_encoder(workspace, str(backbone.path))

    def tuned() -> dict[str, Any]:
        tune(
            str(logs),
            backbone=str(backbone.path),
            reranker=True,
            set_=["tuning.n_epochs=1", "tuning.learning_rate=1e-9"],
            workspace=tmp_path / "space",
            as_json=True,
        )
        return dict(json.loads(capsys.readouterr().out))

    with pytest.raises(typer.Exit):
        tuned()
    assert not json.loads(capsys.readouterr().out)["is_kept"]
    assert chosen_reranker(tmp_path / "space") is None

    def winning(pairs: Any, source: BackboneFolder, folder: Path, **options: Any) -> SearchGain:
        assert len(pairs) == len(PAIRS)
        assert options["retriever"].spec.task == "retrieval"
        spec = find_task("ranking").spec
        save_model(
            build_model(source, [], settings=SETTINGS.model, spec=spec),
            folder,
            backbone=source.path,
        )
        return gain_of(np.full(100, 4), np.full(100, 1), n_train=len(pairs))

    monkeypatch.setattr(reranking, "tune_reranker", winning)
    said = tuned()
    assert said["is_kept"]
    assert said["mrr"]["candidate"] == 1.0
    assert chosen_reranker(tmp_path / "space") == Path(said["model"])
