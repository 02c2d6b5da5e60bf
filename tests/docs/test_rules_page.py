"""The page about rules works: its blocks are run in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.knowledge.graph import read_graph
from tailorbird.knowledge.rules import SYMBOLS, RuleSet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "rules.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(bash|python|text|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TAILORBIRD_WORKSPACE", str(tmp_path))
    said, shown = "", []
    for language, code in BLOCK.findall(PAGE):
        if language == "python":
            exec(code, {})
        elif language == "toml":
            assert len(RuleSet.read(code, "").rules) == 1
        elif language == "text":
            shown.append(code)
        else:
            for line in code.splitlines():
                done = CliRunner().invoke(app, shlex.split(line)[1:])
                assert done.exit_code == 0, (line, done.output, done.exception)
                said += done.output
    assert shown[0] in said
    assert "Yes. The guarantee of the kettle is 1 year." in said
    facts = read_graph(shown[1])
    answer = facts.ask("电热水壶保修吗")
    assert answer is not None
    assert answer.text == "是的，电热水壶的保修期是一年。"
    told = capsys.readouterr().out
    assert "礼品卡能退吗 → 礼品卡不能退。" in told
    assert "how do I register my kettle? → None ()" in told


def test_the_page_names_every_symbol() -> None:
    assert [name for name in SYMBOLS if f"`{name}" not in PAGE] == []
