"""The build benchmarks, on a few rows of our own with a tiny backbone: the same code path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tailorbird.testing import write_tiny_backbone

ROOT = Path(__file__).parents[2]
KEYS = {"accuracy", "macro_f1", "train_s", "total_s", "tokens_per_s"}


def run(name: str, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--data", str(data), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def write_table(path: Path, header: str, line: str, n_rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    words = {"good": ("a joy", "liked it"), "bad": ("a bore", "left early")}
    rows = [
        line.format(text=f"{words[label][i % 2]} number {i * i} of {i}", label=label)
        for i in range(n_rows)
        for label in words
    ]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    folder = write_tiny_backbone(tmp_path / "tiny")
    return ["--set", f"model.backbone={folder}", "--set", "tuning.n_epochs=1"]


def test_last_line_is_one_json_object_with_the_figures(tmp_path: Path, tiny: list[str]) -> None:
    folder = tmp_path / "banking77"
    write_table(folder / "train.csv", "text,category", "{text},{label}", 30)
    write_table(folder / "test.csv", "text,category", "again {text},{label}", 6)
    for data in (folder, tmp_path):  # the set's folder or its parent
        done = run("banking77", data, *tiny)
        assert done.returncode == 0, done.stderr[-2000:]
        figures = json.loads(done.stdout.splitlines()[-1])
        assert figures.keys() >= KEYS
        assert figures["n_test"] == 12
        assert 0 <= figures["accuracy"] <= 1


def test_classic_sets_the_recipe_beside_the_defaults(tmp_path: Path, tiny: list[str]) -> None:
    folder = tmp_path / "cad_imdb" / "orig"
    for name, n_rows in (("train", 20), ("dev", 4), ("test", 6)):
        line = f"{name} {{text}}\t{{label}}"
        write_table(folder / f"{name}.tsv", "Text\tSentiment", line, n_rows)
    done = run("classic", tmp_path, *tiny)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.keys() >= KEYS | {"textbook_accuracy", "gain_points", "speed_up"}
    assert "textbook recipe" in done.stdout


def test_a_missing_folder_says_where_the_world_gets_the_set(tmp_path: Path) -> None:
    done = run("bitext", tmp_path)
    assert done.returncode == 1
    assert "no folder bitext_customer_service" in done.stderr
    assert "benchmarks/README.md" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "said", "has_traceback"),
    [
        ("ConfigError('no such backbone', where='--backbone', cure='use e5')", "error: --b", False),
        ("ValueError('a mistake of ours')", "ValueError: a mistake of ours", True),
    ],
)
def test_what_was_given_wrongly_is_a_sentence(raised: str, said: str, has_traceback: bool) -> None:
    code = f"import benchmarks; from tailorbird.errors import ConfigError; raise {raised}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr
    assert ("Traceback" in done.stderr) is has_traceback
