"""``tailorbird rules`` from the command line: check, save, show, history, test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError, KnowledgeError, NotFoundError

SAMPLES = Path(__file__).parents[2] / "examples" / "rules"
RUNNER = CliRunner()
BOTH = (str(SAMPLES / "rules.toml"), str(SAMPLES / "facts.txt"))


def run(workspace: Path, *words: str) -> Any:
    return RUNNER.invoke(app, ["rules", *words, "--workspace", str(workspace)])


def ask(workspace: Path, *words: str) -> dict[str, Any]:
    done = run(workspace, *words, "--json")
    assert done.exit_code == 0, (words, done.exception, done.output)
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_rules_go_from_check_to_history(tmp_path: Path) -> None:
    checked = ask(tmp_path, "check", *BOTH)
    assert checked["n_rules"] == 8
    assert ask(tmp_path, "history") == {"versions": []}
    saved = ask(tmp_path, "save", *BOTH, "--note", "the first")
    assert saved == {"version": 1, "changes": checked["changes"]}
    assert run(tmp_path, "show").stdout == (SAMPLES / "rules.toml").read_text("utf-8")
    assert run(tmp_path, "show", "--facts").stdout == (SAMPLES / "facts.txt").read_text("utf-8")
    more = tmp_path / "more.txt"
    more.write_text((SAMPLES / "facts.txt").read_text("utf-8") + "vase | price | 1\n", "utf-8")
    assert ask(tmp_path, "save", str(more)) == {
        "version": 2,
        "changes": ["fact added: vase | price | 1"],
    }
    versions = ask(tmp_path, "history")["versions"]
    assert [(one["version"], one["note"]) for one in versions] == [(2, ""), (1, "the first")]
    assert versions[0]["changes"] == ["fact added: vase | price | 1"]
    assert "fact added: vase | price | 1" in run(tmp_path, "history").output


def test_a_text_is_tried_on_saved_and_on_unsaved_rules(tmp_path: Path) -> None:
    files = [word for file in BOTH for word in ("--file", file)]
    values = ("--set", "intent=warranty_repair", "--set", "anger=0", "--set", "n_turns=1")
    words = ("test", "is the kettle under warranty?", *files, *values)
    found = ask(tmp_path, *words)
    assert found["rule"]["name"] == "the guarantee of what was named"
    assert found["from_facts"]["facts"] == [
        "kettle | is a | appliance",
        "appliance | guarantee | 1 year",
    ]
    shown = run(tmp_path, *words).stdout
    assert "rule: the guarantee of what was named → answer" in shown
    assert "Yes. The guarantee of the kettle is 1 year." in shown
    assert "rule: none fits" in run(tmp_path, "test", "hello").stdout
    order = ("--set", "slots.order=OL1", "--set", "intent=track_order", "--set", "confidence=1")
    assert "OL1" in ask(tmp_path, "test", "where?", *files, *order)["text"]


def test_mistakes_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[[rule]]\nname = 'a'\nwhen = 'angr > 1'\nanswer.en = 'x'", "utf-8")
    assert isinstance(run(tmp_path, "check", str(wrong)).exception, KnowledgeError)
    assert isinstance(run(tmp_path, "save", str(wrong)).exception, KnowledgeError)
    assert isinstance(run(tmp_path, "check", str(wrong), BOTH[0]).exception, ConfigError)
    assert isinstance(run(tmp_path, "test", "x", "--set", "y").exception, ConfigError)
    assert isinstance(run(tmp_path, "show", "--version", "4").exception, NotFoundError)
    assert isinstance(run(tmp_path, "check", str(tmp_path / "none.toml")).exception, OSError)
    (tmp_path / "gbk.txt").write_bytes("耳机 | 保修 | 一年".encode("gbk"))
    assert isinstance(run(tmp_path, "save", str(tmp_path / "gbk.txt")).exception, ConfigError)


@pytest.mark.parametrize("verb", ["show", "check", "save", "history", "test"])
def test_every_verb_says_what_it_does(verb: str) -> None:
    assert RUNNER.invoke(app, ["rules", verb, "--help"]).exit_code == 0
