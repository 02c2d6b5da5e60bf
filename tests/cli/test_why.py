"""``tailorbird why``: the sentences of a decision, its words in colours, and what is like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError
from tailorbird.store import Workspace
from tailorbird.store.tables import DecisionRow
from tailorbird.testing.shop import write_shop_bundle


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A workspace, a decision of its bundle, and one of a bundle that is not there."""
    folder = tmp_path_factory.mktemp("why")
    with Workspace.open(folder / "space") as workspace:
        bundle = write_shop_bundle(workspace, folder / "scratch")
        with workspace.writing() as session:
            rows = [
                DecisionRow(
                    text="where is my parcel please",
                    kind="template",
                    intent="parcel",
                    confidence=0.9,
                    bundle_id=bundle_id,
                    adapter="0123456789abcdef" if bundle_id != bundle.id else "",
                    why={"candidates": [["parcel", 0.9]], "reading": "alone"},
                )
                for bundle_id in (bundle.id, "another")
            ]
            session.add_all(rows)
        return workspace.path, rows[0].id, rows[1].id


def said(*words: str) -> str:
    done = CliRunner().invoke(app, ["why", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_words_of_the_decision_are_told_with_their_numbers(
    decided: tuple[Path, str, str],
) -> None:
    space, decision, _ = decided
    told = said(decision, "--workspace", str(space))
    assert "It was understood as parcel" in told
    assert "  parcel: where is my parcel please" in told
    numbers = next(line for line in told.splitlines() if line.startswith("  parcel +"))
    assert "please" in numbers
    near = told.split("Nearest training examples:\n")[1].splitlines()
    assert len(near) == 5
    assert all("  parcel  " in line for line in near[:2])


def test_scripts_get_the_same_as_over_http(decided: tuple[Path, str, str]) -> None:
    space, decision, _ = decided
    told = json.loads(said(decision, "--workspace", str(space), "--json"))["attribution"]
    assert told["decision"] == decision
    assert [word["text"] for word in told["words"]] == ["where", "is", "my", "parcel", "please"]
    assert max(told["words"], key=lambda word: word["weight"])["text"] == "parcel"
    assert told["is_same_bundle"] is True
    assert len(told["nearest"]) == 5
    other = json.loads(said(decision, "--workspace", str(space), "--json", "--intent", "refund"))
    assert other["attribution"]["intent"] == "refund"
    with pytest.raises(ConfigError, match="'boats' is no intent"):
        CliRunner().invoke(
            app,
            ["why", decision, "--workspace", str(space), "--intent", "boats"],
            catch_exceptions=False,
        )


def test_without_words_no_bundle_is_loaded(
    decided: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailorbird import api

    monkeypatch.setattr(api, "current_bundle", None)
    space, decision, _ = decided
    told = said(decision, "--workspace", str(space), "--no-words")
    assert "It was understood as parcel" in told
    assert "Nearest" not in told
    as_json = json.loads(said(decision, "--workspace", str(space), "--no-words", "--json"))
    assert "attribution" not in as_json


def test_a_bundle_that_is_gone_is_said(decided: tuple[Path, str, str]) -> None:
    space, _, decision = decided
    told = said(decision, "--workspace", str(space))
    assert told.splitlines()[-1].endswith("there is no bundle another")
    as_json = json.loads(said(decision, "--workspace", str(space), "--json"))
    assert "there is no bundle another" in as_json["attribution"]["problem"]
