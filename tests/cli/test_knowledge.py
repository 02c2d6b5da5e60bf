"""``tailorbird knowledge``: documents in, passages out, exit codes that scripts can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import KnowledgeError

SAMPLES = Path(__file__).parents[2] / "examples" / "knowledge"
TEXT = "[bold red]now[/] \x1b[31mred\x1b[0m [/nothing] "


class Command:
    """The command in one workspace, with an encoder that needs no weights."""

    def __init__(self, home: Path, encoder: Path) -> None:
        self.home = home
        self.encoder = encoder

    def __call__(self, *words: str) -> Result:
        more = ["--encoder", str(self.encoder)] if words[0] in ("add", "search") else []
        return CliRunner().invoke(app, ["knowledge", *words, *more, "--workspace", str(self.home)])

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)


@pytest.fixture
def command(tmp_path: Path, tiny_backbone: Path) -> Command:
    return Command(tmp_path / "home", tiny_backbone)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "documents" / "zh"
    inside.mkdir(parents=True)
    (tmp_path / "documents" / "returns.md").write_text("# Returns\n\nWithin 7 days.\n", "utf-8")
    (inside / "faq.csv").write_text("问题,答案\n多久能退款？,三到五天。\n", "utf-8")
    (inside / "notes.xyz").write_text("no document", "utf-8")
    return tmp_path / "documents"


def test_documents_are_added_listed_found_and_removed(command: Command, folder: Path) -> None:
    done = command("add", str(folder))
    assert done.exit_code == 0, done.output
    assert "✓ returns.md: added, 1 pieces" in done.stderr
    assert "2 new or changed, 0 unchanged" in done.stderr
    assert "0 new or changed, 2 unchanged" in command("add", str(folder)).stderr
    rows = command.json("list")["documents"]
    assert [(row["name"], row["kind"], row["n_chunks"]) for row in rows] == [
        ("returns.md", "markdown", 1),
        ("zh/faq.csv", "qa", 1),
    ]
    shown = command("search", "退款多久")
    assert shown.exit_code == 0
    assert "zh/faq.csv" in shown.stdout
    assert "  三到五天。" in shown.stdout
    found = command.json("search", "退款多久", "-n", "1")["passages"]
    assert [(one["document"], one["question"]) for one in found] == [("zh/faq.csv", "多久能退款？")]
    assert "✓ returns.md is removed" in command("remove", "returns.md").stderr
    assert [row["name"] for row in command.json("list")["documents"]] == ["zh/faq.csv"]


def test_what_cannot_be_read_is_said_and_the_rest_is_added(command: Command, folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"no pdf")
    done = command("add", str(folder), "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert [one["name"] for one in said["documents"]] == ["returns.md", "zh/faq.csv"]
    assert said["refused"] == [
        {
            "name": "bad.pdf",
            "message": "is no PDF by its first bytes",
            "cure": "is it whole? save it again",
        }
    ]
    done = command("add", str(folder))
    assert done.exit_code == 1
    assert "✗ bad.pdf: is no PDF by its first bytes" in done.stderr
    assert "0 new or changed, 2 unchanged, 1 could not be read" in done.stderr


def test_nothing_found_and_nothing_removed_are_exit_code_1(command: Command) -> None:
    done = command("search", "anything")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nothing is found: are there documents?" in done.stderr
    assert command.json("search", "anything") == {"question": "anything", "passages": []}
    assert "there are no documents yet" in command("list").stderr
    done = command("remove", "a.md", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (1, {"removed": [], "unknown": ["a.md"]})


def test_a_wrong_name_suggests_the_right_one(command: Command, folder: Path) -> None:
    command("add", str(folder / "returns.md"))
    done = command("remove", "retrns.md")
    assert done.exit_code == 1
    assert "there is no document 'retrns.md'; did you mean 'returns.md'?" in done.stderr


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (["nowhere"], "nowhere: is not there; name a file or a folder of documents"),
        (["empty"], "holds no documents; known kinds: .md .markdown .txt"),
        (["a/faq.csv", "b/faq.csv"], "a/faq.csv, which has the same name; name the folder above"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused(
    command: Command, tmp_path: Path, paths: list[str], sentence: str
) -> None:
    for name in ("a", "b", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a/faq.csv", "b/faq.csv"):
        (tmp_path / name).write_text("a,b\n", "utf-8")
    done = command("add", *(str(tmp_path / path) for path in paths))
    assert isinstance(done.exception, KnowledgeError)
    assert sentence in str(done.exception)


def test_markup_and_control_signs_of_documents_reach_the_screen_as_text(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text(TEXT + "long " * 60, "utf-8")
    command("add", str(tmp_path / "a.txt"))
    shown = command("search", "now")
    assert shown.exit_code == 0, shown.exception
    assert "  [bold red]now[/] [31mred[0m [/nothing]" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_every_sample_document_can_be_read(command: Command) -> None:
    said = command.json("add", str(SAMPLES / "en"), str(SAMPLES / "zh" / "invoices.txt"))
    assert said["refused"] == []
    kinds = {one["name"]: one["kind"] for one in said["documents"]}
    assert kinds == {
        "faq.csv": "qa",
        "invoices.txt": "text",
        "membership.md": "markdown",
        "payment-and-invoices.md": "markdown",
        "returns.md": "markdown",
        "shipping.html": "html",
        "warranty.md": "markdown",
    }
    found = command.json("search", "Template last built script", "-n", "50")["passages"]
    assert not any("Template 7" in one["text"] or "window" in one["text"] for one in found)
