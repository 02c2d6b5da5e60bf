"""Who is forgotten leaves recommendation, too: events, lists that were shown, nightly lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tailorbird.personalise.forgetting import forget
from tailorbird.personalise.traces import names_of
from tailorbird.store import Workspace
from tailorbird.store.tables import DailyListRow, EventRow, ImpressionRow, ItemRow

USER = "ada-lovelace-1815"
KINDS = (EventRow, ImpressionRow, DailyListRow)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """The user under both names that may be kept, and somebody else."""
    with Workspace.open(tmp_path / "space") as opened:
        with opened.writing() as session:
            session.add(ItemRow(id="kettle", title="A kettle"))
            for user in (*names_of(USER), "bo"):
                session.add(EventRow(key=user, user=user, item="kettle", kind="click"))
                session.add(ImpressionRow(user=user, model="m", items=[{"id": "kettle"}]))
                session.add(DailyListRow(user=user, model="m", items=[{"id": "kettle"}]))
            session.add(ImpressionRow(user=None, model="m"))
        yield opened


def test_nothing_of_the_user_is_left(workspace: Workspace) -> None:
    found = forget(workspace, USER)
    assert found.n_recommend == 6
    assert found.left == []
    for path in workspace.path.rglob("*"):
        if path.is_file():
            assert not any(name.encode() in path.read_bytes() for name in names_of(USER)), path
    assert forget(workspace, USER).n_recommend == 0


def test_others_nobody_and_items_stay(workspace: Workspace) -> None:
    forget(workspace, USER)
    with workspace.sessions() as session:
        users = {kind: set(session.scalars(select(kind.user))) for kind in KINDS}
        assert users == {EventRow: {"bo"}, ImpressionRow: {"bo", None}, DailyListRow: {"bo"}}
        assert session.scalars(select(ItemRow.id)).all() == ["kettle"]


def test_models_that_learned_from_everybody_are_named_with_what_makes_them_anew(
    workspace: Workspace,
) -> None:
    for name in ("recommend/model", "encoders/acceptance"):
        (workspace.path / name).mkdir(parents=True)
        (workspace.path / name / "weights.safetensors").write_bytes(b"0")
    said: list[str] = []
    found = forget(workspace, USER, say=said.append)
    # They said nothing at the desk, so what was tuned there has nothing of theirs.
    assert found.tuned == {"recommend/model": "tailorbird recommend fit"}
    assert any(line.endswith("is made by: tailorbird recommend fit") for line in said)
    assert forget(workspace, "somebody else altogether").tuned == {}


def test_what_was_forgotten_is_said(workspace: Workspace) -> None:
    said: list[str] = []
    forget(workspace, USER, say=said.append)
    assert "6 of recommendation" in " ".join(said)
