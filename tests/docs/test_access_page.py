"""The page about access works: its blocks are run in order, and its settings are settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.config import describe_settings, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "access.md"
BLOCK = re.compile(r"^```(bash|python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILORBIRD_WORKSPACE", raising=False)
    kinds = []
    for language, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        kinds.append(language)
        if language == "python":
            exec(code, {})
        elif language == "toml":
            (tmp_path / "settings.toml").write_text(code, encoding="utf-8")
            assert load_settings(tmp_path / "settings.toml").serving.public_chat
        else:
            for line in code.splitlines():
                done = CliRunner().invoke(app, shlex.split(line)[1:])
                assert done.exit_code == 0, (line, done.output, done.exception)
    assert kinds == ["bash", "toml", "python"]


def test_defaults_on_the_page_are_the_defaults() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(access\.\w+)` \| (\d+) \|", page, re.MULTILINE)
    assert len(rows) == 3
    known = describe_settings()
    assert {name: str(known[name][0]) for name, _ in rows} == dict(rows)
