"""A tuned tagger finds names that nobody put into the table; what cannot mark is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.assistants.opinion.gathering import EntityTable
from tailorbird.assistants.opinion.gathering.entities import Mention
from tailorbird.assistants.opinion.gathering.tagging import TunedTags
from tailorbird.cli.opinion_entities import app
from tailorbird.errors import ConfigError
from tailorbird.records import Span
from tailorbird.store import Workspace
from tailorbird.testing.tagger import write_colour_tagger


@pytest.fixture(scope="module")
def folder(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("tagger")
    return write_colour_tagger(run, tiny_backbone, label="Organization")


def test_a_tuned_tagger_marks_names_that_the_table_lacks(
    folder: Path, workspace: Workspace
) -> None:
    table = EntityTable(workspace, tagger=TunedTags.open(str(folder), workspace))
    table.add("Rosso", ["red"])
    found = table.find_all(["where is the blue parcel", "I want a red shirt", "my parcel"])
    assert found == [
        [Mention("blue", "company", 13, 17)],
        [Mention("Rosso", "company", 9, 12)],  # known names win
        [],
    ]


def test_a_run_of_the_workspace_is_found_by_its_name(folder: Path, workspace: Workspace) -> None:
    run = workspace.new_run("rows.jsonl", name="names")
    (folder / "model").rename(run.path / "model")
    try:
        assert TunedTags.open("names", workspace).tag(["where is the blue parcel"]) == [
            [Span(13, 17, "Organization")]
        ]
    finally:
        (run.path / "model").rename(folder / "model")
    with pytest.raises(ConfigError, match="a run without a model"):
        TunedTags.open("names", workspace)


def test_only_what_it_is_sure_of_is_marked(folder: Path, workspace: Workspace) -> None:
    model = TunedTags.open(str(folder), workspace)._model
    assert TunedTags(model, min_probability=1.1).tag(["where is the blue parcel"]) == [[]]


def test_what_marks_nothing_is_refused(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder with a model nor a run"):
        TunedTags.open("nothing", workspace)
    other = tmp_path / "other"
    other.mkdir()
    for path in (folder / "model").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    facts = json.loads((other / "model.json").read_text(encoding="utf-8"))
    facts["head"] |= {"task": "single_label", "pooling": ""}
    (other / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(ConfigError, match="the task single_label, which marks no names"):
        TunedTags.open(str(other), workspace)


def test_the_verb_shows_what_the_tagger_finds(folder: Path, tmp_path: Path) -> None:
    told = ["find", "where is the blue parcel", "--tagger", str(folder), "-w", str(tmp_path)]
    done = CliRunner().invoke(app, [*told, "--json"])
    assert done.exit_code == 0, done.output
    (mention,) = json.loads(done.stdout)["mentions"]
    assert (mention["entity"], mention["kind"]) == ("blue", "company")
