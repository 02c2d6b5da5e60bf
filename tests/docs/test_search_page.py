"""The page about searching works: its blocks are run in order, on few rows and a tiny model."""

from __future__ import annotations

import glob
import itertools
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.testing import write_tiny_backbone

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "search.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = "--set tuning.n_epochs=1 --set tuning.dtype=float32 --set evaluation.baselines=false"
FEWER = {"--trials 16": "--trials 2", "--trials 6": "--trials 1", "--trials 8": "--trials 2"}


def commands(code: str) -> list[list[str]]:
    """The words of each line that calls ``tailorbird``, paths with a star spelled out."""
    lines = code.replace("\\\n", " ").splitlines()
    found = [shlex.split(line)[1:] for line in lines if line.startswith("tailorbird ")]
    return [
        list(itertools.chain(*(glob.glob(word) if "*" in word else [word] for word in words)))
        for words in found
    ]


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILORBIRD_WORKSPACE", raising=False)
    rows = (ROOT / "examples" / "logs" / "shop.jsonl").read_text("utf-8").splitlines(True)
    (tmp_path / "examples" / "logs").mkdir(parents=True)
    (tmp_path / "examples" / "logs" / "shop.jsonl").write_text("".join(rows[:500]), "utf-8")
    tiny = write_tiny_backbone(tmp_path / "tiny", n_layers=6)
    page = PAGE.read_text(encoding="utf-8")
    page = page.replace("--method lora", f"--method lora --backbone {tiny} {QUICK}")
    for many, few in FEWER.items():
        page = page.replace(many, few)
    said = ""
    for language, code in BLOCK.findall(page.replace("n_trials=9", "n_trials=3")):
        if language == "python":
            exec(code, {})
            continue
        for words in commands(code):
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, (words, done.output, done.exception)
            said += done.output
    assert "search: tuning.learning_rate=" in said  # what is searched, and why
    assert "use it: tailorbird build" in said
    printed = capsys.readouterr().out
    assert "trial 2: accuracy" in printed
    assert "sampler='grid'" in printed
