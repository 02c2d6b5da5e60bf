"""The page about opinion monitoring works: its blocks are run in order, on a tiny model."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import opinion

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "opinion.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = "--set tuning.n_epochs=1 --set tuning.dtype=float32 --set evaluation.baselines=false"


def test_every_block_of_the_page_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_backbone: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILORBIRD_WORKSPACE", raising=False)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = PAGE.read_text(encoding="utf-8")
    tune = "opinion tune examples/opinion/labelled.jsonl"
    page = page.replace(tune, f"{tune} --backbone {tiny_backbone} {QUICK}")
    said = ""
    for language, code in BLOCK.findall(page):
        if language == "python":
            exec(code, {})
            continue
        for line in code.splitlines():
            words = shlex.split(line)
            if words[0] == "python":
                monkeypatch.setattr(sys, "argv", words[1:])
                runpy.run_path(words[1], run_name="__main__")
                continue
            assert words[:2] == ["tailorbird", "opinion"]
            done = CliRunner().invoke(opinion.app, words[2:])
            assert done.exit_code == 0, (line, done.output, done.exception)
            said += done.output
    assert "1,7" in said or "17" in said
    assert "Inklake Coffee" in said
    assert "posts read by" in said
    assert "Reedboat Rides" in said.split("posts read by")[1]  # the replay finds it
    assert "saturday.html" in said
    windows = capsys.readouterr().out.strip().splitlines()[-1]
    counts = [int(one) for one in windows.strip("[]").split(",")]
    assert min(counts[1:]) > 2 * counts[0]  # the surge of that Saturday began at 09:00


def test_the_sample_is_what_its_generator_writes(tmp_path: Path) -> None:
    sample = ROOT / "examples" / "opinion"
    module = runpy.run_path(str(sample / "generate.py"))
    module["write_all"](tmp_path, seed=11)
    for name in ("posts.jsonl", "labelled.jsonl", "surges.json"):
        assert (tmp_path / name).read_bytes() == (sample / name).read_bytes(), name
