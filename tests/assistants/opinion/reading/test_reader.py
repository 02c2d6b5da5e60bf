"""A reader: tuned, calibrated, kept under its checksum, opened again, and not when altered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tailorbird.assistants.opinion.reading import open_reader, write_reader
from tailorbird.assistants.opinion.reading.keeping import use_reader
from tailorbird.assistants.opinion.reading.reader import Heads, Reader
from tailorbird.assistants.opinion.reading.texts import pieces_of
from tailorbird.cli.opinion_models import app
from tailorbird.errors import BundleError, CorruptBundleError, NotFoundError, StoreError
from tailorbird.modeling import load_model
from tailorbird.runs import load_examples
from tailorbird.store import Workspace
from tailorbird.store.tables import utc_now
from tailorbird.store.tables.opinion import PostRow
from tailorbird.testing import write_tiny_backbone

RUNNER = CliRunner()
FAST = ["--set", "tuning.n_epochs=6", "--set", "tuning.learning_rate=0.003"]
TOPICS = {"parcel": ["delivery"], "refund": ["money"], "hello": []}
MOODS = {"fine": "positive", "awful": "negative", "so": "neutral"}


def rows() -> Iterator[dict[str, object]]:
    for number in range(6):
        for word, topics in TOPICS.items():
            for mood, sentiment in MOODS.items():
                text = f"{word} {mood} {number}"
                yield {"text": text, "topics": topics, "sentiment": sentiment}
                yield {"text": f"{text} x", "sentiment": sentiment, "entity": word}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose reader was tuned by the verb."""
    folder = tmp_path_factory.mktemp("tuned")
    tiny = write_tiny_backbone(folder / "tiny")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    given = ["tune", str(path), "--backbone", str(tiny), "-w", str(folder / "space"), "--json"]
    done = RUNNER.invoke(app, [*given, *FAST])
    assert done.exit_code == 0, done.output
    return folder / "space"


@pytest.fixture
def space(tuned: Path) -> Iterator[Workspace]:
    with Workspace.open(tuned) as opened:
        yield opened


def test_a_reader_says_topics_sentiment_and_distance(space: Workspace) -> None:
    reader = open_reader(space)
    assert reader is not None
    assert reader.topics == ("delivery", "money")
    assert reader.sentiments == ("negative", "neutral", "positive")
    one, other = reader.read(["parcel fine 1", "refund awful 2"])
    assert sum(one.probabilities.values()) == pytest.approx(1.0)
    assert one.sentiment == max(one.probabilities, key=one.probabilities.__getitem__)
    assert one.topic_distance >= 0
    assert set(other.topics) <= {"delivery", "money"}
    assert reader.read([]) == reader.read_about([], []) == []
    assert np.linalg.norm(reader.vectors(["a", "b b"]), axis=1) == pytest.approx([1, 1])


def test_a_name_is_shown_marked_where_the_rows_had_marks(space: Workspace) -> None:
    reader = open_reader(space)
    assert reader is not None
    assert reader.heads.marks_names
    text = "hello there! parcel fine! so be it"
    (said,) = reader.read_about([text], [(13, 19)])
    (same,) = reader.read_about(["parcel fine"], [(0, 6)])
    assert said == same
    plain = Reader(reader.folder, name="x", heads=Heads(), distance=None)
    assert plain.read(["a"])[0].topic_distance == 2.0
    (unmarked,) = plain.read_about(["parcel fine"], [(0, 6)])
    assert unmarked[1] != said[1]


def test_an_altered_reader_is_not_opened(tuned: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tuned, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        reader = open_reader(copy)
        assert reader is not None
        with (reader.folder / "head.safetensors").open("ab") as file:
            file.write(b"x")
        with pytest.raises(CorruptBundleError, match=r"head\.safetensors"):
            open_reader(copy)


def test_the_same_model_again_is_the_same_reader_and_one_from_before_can_return(
    space: Workspace,
) -> None:
    first = open_reader(space)
    assert first is not None
    run = space.run()
    splits = load_examples(run)
    again = write_reader(space, run.path / "model", splits["train"], splits["validation"])
    assert again.id == first.id
    other = write_reader(space, run.path / "model", splits["train"], [])
    live = open_reader(space)
    assert live is not None
    assert live.id == other.id != first.id
    use_reader(space, first.id)
    live = open_reader(space)
    assert live is not None
    assert live.id == first.id
    with pytest.raises(NotFoundError, match="no reader 'none'"):
        use_reader(space, "none")


def test_temperatures_are_those_of_validation_rows(space: Workspace) -> None:
    reader = open_reader(space)
    assert reader is not None
    assert reader.heads.topic_temperature == 1.0  # too few rows of validation to say
    assert reader.heads.sentiment_temperature > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_posts_are_read_in_the_type_that_was_calibrated(
    space: Workspace, tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"auto": torch.bfloat16, "float32": torch.float32}
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (quick[wanted], ""))
    run = space.run()
    splits = load_examples(run)
    with Workspace.open(tmp_path / "other") as other:
        parts = splits["train"], splits["validation"]
        write_reader(other, run.path / "model", *parts, computes_in="float32")
        exact = open_reader(other)
        heads = replace(exact.heads, computes_in=dtype)
        reader = Reader(exact.folder, name="x", heads=heads, distance=exact.distance)
        (found,) = reader.read(["parcel fine 1"])
        (expected,) = exact.read(["parcel fine 1"])
    assert exact.heads.computes_in == "float32"
    assert str(reader._model[0].backbone.compute_dtype) == f"torch.{dtype}"
    # The rounding of bf16 has 8 bits: nothing in fp32, a hundredth at most in probabilities.
    assert found.probabilities == pytest.approx(expected.probabilities, abs=0.02)
    assert (found == expected) is (dtype == "float32")


def test_a_processor_that_emulates_bf16_reads_in_fp32(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_reader(space)
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (torch.float32, ""))
    heads = replace(reader.heads, computes_in="bfloat16")
    slow = Reader(reader.folder, name="x", heads=heads, distance=None)
    assert slow._model[0].backbone.compute_dtype == torch.float32


def test_a_model_of_another_task_is_refused(space: Workspace, tmp_path: Path) -> None:
    run = space.run()
    facts = json.loads((run.path / "model" / "model.json").read_text())
    import shutil

    shutil.copytree(run.path / "model", tmp_path / "model")
    facts["head"]["task"] = "multi_label"
    (tmp_path / "model" / "model.json").write_text(json.dumps(facts))
    with pytest.raises(BundleError, match="of the task multi_label"):
        write_reader(space, tmp_path / "model", [], [])


def test_the_verbs_judge_and_list_and_say_what_is_missing(tuned: Path, tmp_path: Path) -> None:
    with Workspace.open(tuned) as space, space.writing() as session:
        session.add_all(
            PostRow(key=str(k), source="s", time=utc_now(), text=f"parcel fine {k}")
            for k in range(3)
        )
    at = ["-w", str(tuned), "--json"]
    found = json.loads(RUNNER.invoke(app, ["judge", *at]).stdout)
    assert found["posts"] == 3
    listed = json.loads(RUNNER.invoke(app, ["topics", "list", *at]).stdout)
    assert listed == {"topics": ["delivery", "money"], "proposals": []}
    nothing = RUNNER.invoke(app, ["judge", "-w", str(tmp_path)])
    assert isinstance(nothing.exception, StoreError)


def test_pretrain_makes_a_backbone_of_texts(tuned: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "".join(f"where is my parcel number {k}\n" for k in range(40)))
    tiny = tuned.parent / "tiny"
    given = ["pretrain", str(path), "--backbone", str(tiny), "-w", str(tmp_path / "space")]
    done = RUNNER.invoke(app, [*given, "--passes", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert 0 < found["validation"]["likelihood"] < 1
    model = load_model(Path(found["backbone"]))
    assert model.spec.task == "masked"


def test_texts_are_cut_at_sentences_and_come_once() -> None:
    text = "净利润增长。" * 100
    pieces = pieces_of([text, text, "short"], max_chars=60)
    assert pieces == ["净利润增长。" * 10]
    assert all(len(piece) <= 60 for piece in pieces_of(["x" * 200], max_chars=60))
