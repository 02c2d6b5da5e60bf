"""``tailorbird opinion``: sources, posts and names at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tailorbird.cli.opinion_sources import app
from tailorbird.errors import ConfigError, ConflictError, DataError, NotFoundError


class Command:
    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--workspace", str(self.home)])

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    rows: list[dict[str, Any]] = [
        {"body": "股价上涨", "time": "2026-01-05 09:30"},
        {"body": "[bold]Profit[/] warning", "time": "2026-01-05 09:31"},
        {"text": "nothing"},
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_file_is_taken_once_and_what_is_wrong_is_said(command: Command, posts: Path) -> None:
    words = ("take", str(posts), "--field", "text=body", "--time-zone", "Asia/Shanghai")
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert "✓ 2 new, 0 known, 1 refused" in done.stderr
    assert "posts.jsonl:3: has neither text nor title; its fields: text" in done.stderr
    said = command.json(*words)
    assert (said["n_new"], said["n_known"], len(said["rejects"])) == (0, 2, 1)


def test_a_file_without_posts_is_exit_code_1(command: Command, posts: Path) -> None:
    done = command("take", str(posts), "--field", "text=words")
    assert done.exit_code == 1
    assert "✓ 0 new, 0 known, 3 refused" in done.stderr


def test_a_source_is_added_looked_at_paused_and_removed(command: Command, posts: Path) -> None:
    assert "there are no sources yet" in command("sources").stderr
    assert "no source is due" in command("poll").stderr
    done = command("add", "mine", str(posts), "--field", "text=body", "--every", "60")
    assert done.exit_code == 0, done.output
    assert "✓ mine is added, kind file" in done.stderr
    done = command("poll")
    assert done.exit_code == 0
    assert "✓ mine: 2 new, 0 known, 1 refused" in done.stderr
    (row,) = command.json("sources")["sources"]
    assert (row["name"], row["kind"], row["every_s"], row["fields"]) == (
        *("mine", "file", 60),
        {"text": "body"},
    )
    assert "mine" in command("sources").stdout
    assert command.json("poll") == {"looks": []}
    assert "mine is paused" in command("pause", "mine").stderr
    assert command.json("sources")["sources"][0]["is_paused"]
    assert "looked at again" in command("resume", "mine").stderr
    assert len(command.json("poll")["looks"]) == 1
    assert "its posts stay" in command("remove", "mine").stderr
    assert command.json("sources") == {"sources": []}


def test_a_failing_source_is_said_with_the_next_try_and_exit_code_1(command: Command) -> None:
    command("add", "gone", "/nowhere/posts.jsonl")
    done = command("poll", "gone")
    assert done.exit_code == 1
    assert "✗ gone: /nowhere/posts.jsonl: cannot be read (No such file or directory)" in done.stderr
    assert "it is tried again at 20" in done.stderr
    assert command.json("sources")["sources"][0]["n_failures"] == 1


def test_the_secret_of_a_webhook_is_shown_once(command: Command) -> None:
    done = command("add", "forum")
    assert done.exit_code == 0, done.output
    secret = done.stdout.strip()
    assert len(secret) == 43
    assert "which is shown this once" in done.stderr
    assert secret not in command("sources", "--json").stdout
    assert len(command.json("add", "forum2")["secret"]) == 43


def test_a_json_endpoint_is_added_with_its_settings(command: Command) -> None:
    said = command.json(
        *("add", "api", "https://api.example/posts.json", "--header", "X-Key: ${KEY}", "--private"),
        *("--set", "items=data.list", "--set", "paging=page", "--set", "start=0"),
    )["source"]
    assert said["kind"] == "json"
    assert (said["items"], said["paging"], said["start"]) == ("data.list", "page", 0)
    assert (said["headers"], said["allow_private"]) == ({"X-Key": "${KEY}"}, True)
    assert command.json("add", "feed", "https://news.example/rss")["source"]["kind"] == "feed"


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (("add", "x", "https://a.example", "--set", "pages=1"), ConfigError, "no setting"),
        (("add", "x", "https://a.example", "--field", "text"), ConfigError, "as NAME=VALUE"),
        (("add", "x", "https://a.example", "--set", "start=a"), ConfigError, "is no number"),
        (("add", "x", "posts.docx"), ConfigError, "no kind of file"),
        (("poll", "x"), NotFoundError, "there is no source 'x'"),
        (("remove", "x"), NotFoundError, "there is no source 'x'"),
        (("take", "posts.jsonl", "--time-zone", "Mars"), ConfigError, "'Mars' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: Command, words: tuple[str, ...], kind: type[Exception], sentence: str
) -> None:
    done = command(*words)
    assert isinstance(done.exception, kind)
    assert sentence in str(done.exception)


def test_a_name_is_taken_once(command: Command) -> None:
    command("add", "forum")
    assert isinstance(command("add", "forum").exception, ConflictError)


def test_names_are_added_found_imported_and_forgotten(command: Command, tmp_path: Path) -> None:
    assert "nobody is known yet" in command("entities", "list").stderr
    done = command("entities", "add", "Apple", "苹果公司", "AAPL")
    assert done.exit_code == 0, done.output
    assert "✓ Apple: 苹果公司, AAPL" in done.stderr
    found = command("entities", "find", "苹果公司跌了")
    assert found.stdout == "Apple\tcompany\t苹果公司\n"
    assert command("entities", "find", "nobody").exit_code == 1
    path = tmp_path / "names.csv"
    path.write_text("name,kind,aliases\n腾讯,company,Tencent|00700\n马化腾,person,\n", "utf-8")
    assert command.json("entities", "import", str(path)) == {"n_entities": 2, "n_aliases": 2}
    names = [row["name"] for row in command.json("entities", "list")["entities"]]
    assert names == ["Apple", "腾讯", "马化腾"]
    assert "马化腾" in command("entities", "list").stdout
    command("entities", "remove", "Apple", "--alias", "AAPL")
    command("entities", "remove", "腾讯")
    said = command.json("entities", "list")["entities"]
    assert said == [
        {"name": "Apple", "kind": "company", "aliases": ["苹果公司"], "is_watched": True},
        {"name": "马化腾", "kind": "person", "aliases": [], "is_watched": True},
    ]
    path.write_text("names\na\n", "utf-8")
    assert isinstance(command("entities", "import", str(path)).exception, DataError)
