"""``tailorbird up``: what it takes along into the workspace that it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailorbird.cli.up import offer_samples, take_along
from tailorbird.knowledge import KnowledgeBase, open_encoder
from tailorbird.knowledge.rules import saved_version
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow

RULES = """
[[rule]]
name = "angry"
when = "anger > 0.9"
action = "hand_over"
"""


def test_what_can_be_read_is_taken_along_and_the_rest_keeps_nobody_from_serving(
    tmp_path: Path, tiny_backbone: Path
) -> None:
    space, documents = tmp_path / "space", tmp_path / "documents"
    documents.mkdir()
    (documents / "returns.md").write_text("# Returns\n\nWithin 7 days.\n", encoding="utf-8")
    (documents / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    with Workspace.open(space) as workspace:
        open_encoder(workspace, str(tiny_backbone))  # remembered
    take_along([documents], [], space)
    with Workspace.open(space) as workspace:
        base = KnowledgeBase(workspace, open_encoder(workspace))
        assert [row.name for row in base.documents()] == ["returns.md"]


def test_rules_are_the_first_of_a_workspace_and_never_overwrite_others(tmp_path: Path) -> None:
    space, file = tmp_path / "space", tmp_path / "rules.toml"
    file.write_text(RULES, encoding="utf-8")
    take_along([], [file], space)
    file.write_text(RULES.replace("0.9", "0.5"), encoding="utf-8")
    take_along([], [file], space)
    with Workspace.open(space) as workspace:
        saved = saved_version(workspace)
        assert (saved.version, "0.9" in saved.rules) == (1, True)


def test_empty_assistants_are_named_with_the_command_that_fills_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Workspace.open(tmp_path) as workspace, workspace.writing() as session:
        session.add(EventRow(key="k", user="u", item="i", kind="click"))
    offer_samples(tmp_path)
    said = "".join(capfd.readouterr().err.split())
    assert "/console/opinionisempty;asampleforit:tailorbirdsampleopinion" in said
    assert "recommend" not in said
