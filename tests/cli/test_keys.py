"""``tailorbird keys``: make, list, revoke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from tailorbird.cli import app
from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.serving.access import Keys, Person
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow

RUNNER = CliRunner()


def run(folder: Path, *words: str) -> Result:
    return RUNNER.invoke(app, ["keys", *words, "-w", str(folder)])


def test_a_key_is_printed_once_alone_on_stdout(tmp_path: Path) -> None:
    done = run(tmp_path, "create", "ada", "--role", "agent")
    assert done.exit_code == 0, done.output
    key = done.stdout.strip()
    assert "the key of ada, agent; it is shown this once" in done.stderr
    with Workspace.open(tmp_path) as workspace:
        assert Keys(workspace).person_of(key) == Person("ada", "agent")
    listed = run(tmp_path, "list")
    assert "ada" in listed.stdout
    assert key not in listed.stdout
    assert run(tmp_path, "revoke", "ada").exit_code == 0
    with Workspace.open(tmp_path) as workspace, workspace.sessions() as session:
        assert Keys(workspace).person_of(key) is None
        rows = session.scalars(select(AdminActionRow).order_by(AdminActionRow.id)).all()
        assert [(row.who, row.action, row.target, row.detail) for row in rows] == [
            ("local", "create key", "ada", {"role": "agent"}),
            ("local", "revoke key", "ada", {}),
        ]


def test_each_verb_speaks_json(tmp_path: Path) -> None:
    def said(*words: str) -> Any:
        return json.loads(run(tmp_path, *words, "--json").stdout)

    assert said("list") == {"keys": []}
    made = said("create", "bo", "--role", "admin")
    assert (made["name"], made["role"], made["key"][:3]) == ("bo", "admin", "tb_")
    assert said("revoke", "bo") == {"name": "bo", "revoked": True}
    (row,) = said("list")["keys"]
    assert sorted(row) == ["created", "name", "revoked", "role"]


def test_without_keys_the_list_says_how_to_make_one(tmp_path: Path) -> None:
    assert "tailorbird keys create NAME" in run(tmp_path, "list").stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("create", "ada"), ConflictError),
        (("create", "local"), RequestError),
        (("create", "bo", "--role", "boss"), RequestError),
        (("revoke", "bo"), NotFoundError),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, words: tuple[str, ...], kind: type) -> None:
    assert run(tmp_path, "create", "ada").exit_code == 0
    assert isinstance(run(tmp_path, *words).exception, kind)
