"""``tailorbird sample``: the other assistants with something in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from tailorbird.assistants.recommend.published import model_path
from tailorbird.cli import app
from tailorbird.cli.sample import samples_in, without_anything
from tailorbird.errors import ConfigError, ConflictError
from tailorbird.store import Workspace
from tailorbird.store.tables import EntityRow, EventRow, ItemRow, PostRow, utc_now

RUNNER = CliRunner()
ROWS = [("late", "parcel awful", "negative"), ("thanks", "parcel fine", "positive")]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Samples as large as a test needs."""
    folder = tmp_path / "examples"
    opinion, recommend = folder / "opinion", folder / "recommend"
    opinion.mkdir(parents=True)
    recommend.mkdir()
    rows = [
        {"text": f"{word} {text} {k}", "topics": [word], "sentiment": sentiment}
        for k in range(10)
        for word, text, sentiment in ROWS
    ]
    _write(opinion / "labelled.jsonl", rows)
    posts = [{"id": str(k), "text": f"parcel {k}", "time": "2026-10-05"} for k in range(3)]
    _write(opinion / "posts.jsonl", posts)
    (opinion / "aliases.csv").write_text("name,kind,aliases\nAcme,company,ACM\n", "utf-8")
    _write(recommend / "items.jsonl", [{"id": "i1", "title": "Tea"}])
    (recommend / "events.csv").write_text("user,item,kind,time\nu,i1,click,2026-01-01\n", "utf-8")
    return folder


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_posts_and_names_are_taken_in_and_read_by_the_reader_that_is_there(
    examples: Path, tmp_path: Path, tiny_backbone: Path
) -> None:
    at = ["--workspace", str(tmp_path / "space")]
    rows = str(examples / "opinion" / "labelled.jsonl")
    tune = ["opinion", "tune", rows, "--backbone", str(tiny_backbone), "--set", "tuning.n_epochs=1"]
    assert RUNNER.invoke(app, [*tune, *at]).exit_code == 0
    for _ in range(2):  # given again it changes nothing
        done = RUNNER.invoke(app, ["sample", "opinion", "--examples", str(examples), *at])
        assert done.exit_code == 0, done.output
    with Workspace.open(tmp_path / "space") as space, space.sessions() as session:
        assert session.scalar(select(func.count()).where(PostRow.model != "")) == 3
        assert session.scalars(select(EntityRow.name)).all() == ["Acme"]


def test_items_and_events_are_taken_in_and_a_model_that_is_there_stays(
    examples: Path, tmp_path: Path
) -> None:
    with Workspace.open(tmp_path / "space") as space:
        assert without_anything(space) == ["opinion", "recommend"]
        model_path(space).mkdir(parents=True)
        (model_path(space) / "manifest.json").write_text('{"id": "m1"}', encoding="utf-8")
    given = ["sample", "recommend", "--examples", str(examples), "-w", str(tmp_path / "space")]
    done = RUNNER.invoke(app, given)
    assert done.exit_code == 0, done.output
    with Workspace.open(tmp_path / "space") as space, space.sessions() as session:
        assert session.scalars(select(ItemRow.id)).all() == ["i1"]
        assert session.scalars(select(EventRow.user)).all() == ["u"]
        assert without_anything(space) == ["opinion"]


def test_invented_posts_and_items_are_not_put_among_real_ones(
    examples: Path, tmp_path: Path
) -> None:
    with Workspace.open(tmp_path / "space") as space, space.writing() as session:
        session.add(PostRow(key="k", source="news", time=utc_now(), text="real"))
        session.add(ItemRow(id="own", title="Real"))
    for kind in ("opinion", "recommend"):
        given = ["sample", kind, "--examples", str(examples), "-w", str(tmp_path / "space")]
        assert isinstance(RUNNER.invoke(app, given).exception, ConflictError)


def test_an_assistant_without_a_sample_is_told_those_that_have_one() -> None:
    error = RUNNER.invoke(app, ["sample", "nothing"]).exception
    assert isinstance(error, ConfigError)
    expected = "there is no sample of an assistant 'nothing'; name one of opinion, recommend"
    assert str(error) == expected


def test_without_samples_it_says_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--examples"):
        samples_in(tmp_path)
    assert (samples_in(None) / "opinion" / "posts.jsonl").is_file()  # of the sources
