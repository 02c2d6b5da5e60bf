"""The page about recommendation works: its blocks are run in order, on a tiny encoder."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli.recommend import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "recommend.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


N_CUSTOMERS = 50


def copy_some_customers(folder: Path) -> None:
    """All items, and what the first of the 300 customers did: that is enough for a test."""
    folder.mkdir(parents=True)
    shop = ROOT / "examples" / "recommend"
    shutil.copy(shop / "items.jsonl", folder)
    header, *events = (shop / "events.csv").read_text(encoding="utf-8").splitlines()
    some = [line for line in events if int(line[1:4]) < N_CUSTOMERS]
    (folder / "events.csv").write_text("\n".join([header, *some]), encoding="utf-8")


def test_every_block_of_the_page_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_backbone: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_some_customers(tmp_path / "examples" / "recommend")
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
    assert f"lists: {N_CUSTOMERS} made, 0 still fresh" in said
    assert f"lists: 0 made, {N_CUSTOMERS} still fresh" in said
    assert capsys.readouterr().out.count("Reason(") == 3
