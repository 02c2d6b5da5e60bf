"""All verbs of ``tailorbird opinion`` stand in one place, whatever file they are from."""

from __future__ import annotations

from collections import Counter

import typer
from typer.testing import CliRunner

from tailorbird.cli import opinion, opinion_models, opinion_sources, opinion_watch

PARTS = (opinion_sources.app, opinion_models.app, opinion_watch.app)


def names(app: typer.Typer) -> list[str]:
    group = typer.main.get_group(app)
    return list(group.commands)


def test_every_verb_of_every_part_is_a_verb_of_opinion() -> None:
    known = [name for part in PARTS for name in names(part)]
    assert Counter(names(opinion.app)) == Counter(known)
    assert {"take", "tune", "watch", "entities", "topics"} <= set(known)
    assert max(Counter(known).values()) == 1


def test_help_shows_what_each_verb_is_for() -> None:
    said = CliRunner().invoke(opinion.app, ["--help"], env={"COLUMNS": "120"}).output
    assert "What is said in public" in said
    for name in names(opinion.app):
        assert name in said
