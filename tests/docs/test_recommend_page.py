"""The page about recommendation works: its blocks are run in order, on a tiny encoder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli.recommend import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "recommend.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_backbone: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = PAGE.read_text(encoding="utf-8")
    fit = "tailorbird recommend fit --workspace shop"
    page = page.replace(fit, f"{fit} --backbone {tiny_backbone} --epochs 1", 1)
    said = ""
    for language, code in BLOCK.findall(page):
        if language == "python":
            exec(code, {})
            continue
        for line in code.splitlines():
            done = CliRunner().invoke(app, shlex.split(line)[2:])
            assert done.exit_code == 0, (line, done.output, done.exception)
            said += done.output
    assert "items: 240 new" in said
    assert "最近很受欢迎" in said
    assert "lists: 300 made, 0 still fresh" in said
    assert "lists: 0 made, 300 still fresh" in said
    assert capsys.readouterr().out.count("Reason(") == 3
