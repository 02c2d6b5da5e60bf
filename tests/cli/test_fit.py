"""``tailorbird fit`` and ``apply``: rows of any task to a tuned model, its scores and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError, DataError, StoreError, TailorbirdError
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder

RUNNER = CliRunner()
WORDS = ["parcel", "refund", "hello", "size"]
FRAMES = ["where is {} {}", "{} please {}", "and my {} {}", "the {} i want {}", "no {} now {}"]
TEXTS = [(frame.format(word, n), word) for n in range(3) for frame in FRAMES for word in WORDS]
PLUGIN = Path(__file__).parents[2] / "examples" / "02_own_task.py"


def span(text: str, word: str) -> list[dict[str, Any]]:
    start = text.index(word)
    return [{"start": start, "end": start + len(word), "label": "thing"}]


def candidates(word: str) -> list[dict[str, Any]]:
    return [{"text": other, "relevance": int(other == word)} for other in WORDS]


ROWS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "single_label": lambda text, word: {"text": text, "label": word},
    "binary": lambda text, word: {"text": text, "label": "yes" if word == "hello" else "no"},
    "multi_label": lambda text, word: {"text": text, "labels": [word, text.split()[0]]},
    "regression": lambda text, word: {"text": text, "value": WORDS.index(word) + 0.5},
    "token_classification": lambda text, word: {"text": text, "spans": span(text, word)},
    "pairs": lambda text, word: {"text": text, "text2": text[::-1], "label": str(word == "size")},
    "retrieval": lambda text, word: {"query": text, "passage": f"{word}: {text[::-1]}"},
    "ranking": lambda text, word: {"query": text, "candidates": candidates(word)},
    "dialogue": lambda text, word: {
        "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": word}]
    },
    "joint": lambda text, word: {"text": text, "topics": [word], "sentiment": text.split()[0]},
    "masked": lambda text, word: {"text": text},
    "ordinal": lambda text, word: {"text": text, "label": str(WORDS.index(word))},
}
FIRST_SCORES = {
    "single_label": "accuracy",
    "binary": "f1",
    "multi_label": "micro_f1",
    "regression": "r2",
    "token_classification": "span_f1",
    "pairs": "accuracy",
    "retrieval": "recall_at_1",
    "ranking": "ndcg_at_10",
    "dialogue": "likelihood",
    "joint": "joint",
    "masked": "likelihood",
    "ordinal": "closeness",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of every task, and two backbones."""
    folder = tmp_path_factory.mktemp("rows")
    for task, row in ROWS.items():
        lines = [json.dumps(row(text, word), ensure_ascii=False) for text, word in TEXTS]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_tiny_backbone(folder / "encoder")
    write_tiny_decoder(folder / "decoder")
    return folder


def words_for(task: str, folder: Path, workspace: Path, **more: str) -> list[str]:
    backbone = folder / ("decoder" if task == "dialogue" else "encoder")
    settings = {"tuning.n_epochs": "2", "tuning.dtype": "float32", "model.backbone": str(backbone)}
    plugin = ["--plugin", str(PLUGIN)] if task == "ordinal" else []
    sets = [
        word for key, value in (settings | more).items() for word in ("--set", f"{key}={value}")
    ]
    rows = str(folder / f"{task}.jsonl")
    return ["fit", rows, "--task", task, *plugin, *sets, "--workspace", str(workspace)]


def error_of(*words: str) -> TailorbirdError:
    done = RUNNER.invoke(app, list(words))
    assert isinstance(done.exception, TailorbirdError), done.exception
    return done.exception


@pytest.mark.parametrize("task", ROWS)
def test_rows_of_each_task_become_scores_and_answers(
    task: str, folder: Path, tmp_path: Path, no_plugins: None
) -> None:
    done = RUNNER.invoke(app, [*words_for(task, folder, tmp_path / "w"), "--json"])
    assert done.exit_code == 0, done.exception
    scores = json.loads(done.stdout)
    assert scores["task"] == task
    assert list(scores["validation"])[:2] == ["loss", FIRST_SCORES[task]]
    assert list(scores["test"]) == list(scores["validation"])
    assert (Path(scores["model"]) / "model.json").is_file()

    unlabelled = tmp_path / "new.jsonl"
    row: dict[str, Any] = {"text": "where is parcel"}
    if task == "pairs":
        row |= {"text2": "parcel"}
    elif task == "ranking":
        row = {"query": "where is parcel", "candidates": ["parcel", "refund"]}
    unlabelled.write_text(json.dumps(row) + "\n", encoding="utf-8")
    applied = RUNNER.invoke(app, ["apply", str(unlabelled), "--workspace", str(tmp_path / "w")])
    assert applied.exit_code == 0, applied.exception
    (line,) = applied.stdout.splitlines()
    said = json.loads(line)
    assert said["text"] == "where is parcel"
    assert said["predicted"]


def test_answers_go_to_a_file_where_one_is_named(folder: Path, tmp_path: Path) -> None:
    RUNNER.invoke(app, words_for("regression", folder, tmp_path))
    out = tmp_path / "said.jsonl"
    words = ["apply", str(folder / "regression.jsonl"), "--limit", "3", "--out", str(out)]
    done = RUNNER.invoke(app, [*words, "--workspace", str(tmp_path)])
    assert done.exit_code == 0, done.exception
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3
    assert all(isinstance(row["predicted"]["value"], float) for row in rows)


def test_a_task_that_is_none_is_named_with_a_near_one(folder: Path, tmp_path: Path) -> None:
    words = ["fit", str(folder / "pairs.jsonl"), "--task", "pair", "--workspace", str(tmp_path)]
    error = error_of(*words)
    assert isinstance(error, ConfigError)
    assert "task.name = 'pair' is no task; did you mean 'pairs'?" in str(error)
    assert not list((tmp_path / "runs").glob("*")), "a run began"


def test_a_way_of_tuning_that_is_none_begins_no_run(folder: Path, tmp_path: Path) -> None:
    words = ["fit", str(folder / "pairs.jsonl"), "--task", "pairs", "--method", "lorra"]
    error = error_of(*words, "--workspace", str(tmp_path))
    assert isinstance(error, ConfigError)
    assert "method.name = 'lorra' is no way of tuning; use one of auto, full" in str(error)
    assert not list((tmp_path / "runs").glob("*")), "a run began"


def test_rows_of_another_task_say_which_columns_are_missing(folder: Path, tmp_path: Path) -> None:
    words = ["fit", str(folder / "regression.jsonl"), "--task", "pairs"]
    error = error_of(*words, "--workspace", str(tmp_path))
    assert isinstance(error, DataError)
    assert "pairs needs text, text2 and label" in str(error)
    assert "'text', 'value'" in str(error)


def test_a_model_is_asked_only_once_it_is_tuned(folder: Path, tmp_path: Path) -> None:
    bad = words_for("single_label", folder, tmp_path, **{"model.backbone": str(tmp_path / "none")})
    RUNNER.invoke(app, bad)
    rows = str(folder / "single_label.jsonl")
    error = error_of("apply", rows, "--workspace", str(tmp_path))
    assert isinstance(error, StoreError)
    assert "has no tuned model; fit it first" in str(error)


def test_the_test_rows_of_a_fit_are_looked_at_once(folder: Path, tmp_path: Path) -> None:
    RUNNER.invoke(app, words_for("single_label", folder, tmp_path))
    rows = str(folder / "single_label.jsonl")
    again = error_of("fit", rows, "--resume", "--workspace", str(tmp_path))
    assert "already opened" in str(again)


def test_personal_data_is_masked_before_rows_are_kept(folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "private.jsonl"
    lines = [
        json.dumps({"text": f"write to bob{n}@example.com about {word}", "label": word})
        for n, (_, word) in enumerate(TEXTS)
    ]
    rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = words_for("single_label", folder, tmp_path / "w")
    done = RUNNER.invoke(app, ["fit", str(rows), *words[2:]])
    assert done.exit_code == 0, done.exception
    (kept,) = (tmp_path / "w").rglob("examples.jsonl")
    assert "example.com" not in kept.read_text(encoding="utf-8")
    assert "about parcel" in kept.read_text(encoding="utf-8")
