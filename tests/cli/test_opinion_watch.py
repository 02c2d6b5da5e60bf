"""The verbs that watch: a replay of a file, alerts, silences, reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tailorbird.cli.opinion_watch import app
from tailorbird.errors import ConfigError, DataError
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow

RUNNER = CliRunner()
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Twelve days of posts, twenty bad ones on the last, and two rows that cannot be read."""
    rng = np.random.default_rng(0)
    path = tmp_path / "history.jsonl"
    rows = []
    for hour in range(12 * 24):
        n = rng.poisson(2) + (10 if 11 * 24 <= hour < 11 * 24 + 3 else 0)
        for k in range(n):
            time = (START + timedelta(hours=hour, minutes=k)).isoformat()
            row = {"time": time, "title": f"bad news {hour} {k}", "sentiment": "negative"}
            rows.append(json.dumps(row | {"topics": ["food"], "entities": ["Acme"]}))
    path.write_text("\n".join([*rows, "{", '{"time": "yesterday"}']), encoding="utf-8")
    return path


def test_a_replay_lists_the_alerts_of_a_file(history: Path) -> None:
    result = RUNNER.invoke(app, ["replay", str(history)])
    assert result.exit_code == 0, result.output
    assert "negative posts on food at" in result.stderr
    assert "left out" in result.stderr
    shown = json.loads(RUNNER.invoke(app, ["replay", str(history), "--json"]).stdout)
    assert {one["topic"] or one["entity"] for one in shown["alerts"]} == {"food", "Acme"}
    assert len({one["group"] for one in shown["alerts"]}) == 1
    assert len(shown["rejects"]) == 2


def test_what_no_option_says_is_that_of_the_settings(history: Path, tmp_path: Path) -> None:
    config = tmp_path / "town.toml"
    config.write_text("[opinion]\nmin_posts = 500\n", encoding="utf-8")
    place = ["replay", str(history), "--json", "--config", str(config)]

    def n_alerts(*words: str) -> int:
        return len(json.loads(RUNNER.invoke(app, [*place, *words]).stdout)["alerts"])

    assert n_alerts() == 0
    assert n_alerts("--min-posts", "3") == 2
    assert n_alerts("--set", "opinion.min_posts=3") == 2
    config.write_text("[opinion]\nchannels = 'nobody'\n", encoding="utf-8")
    words = ["watch", "--once", "--config", str(config), "--workspace", str(tmp_path / "w")]
    assert "word 1 is not NAME=URL" in str(RUNNER.invoke(app, words).exception)


def test_a_file_without_usable_rows_says_what_rows_look_like(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("time,title,sentiment\n2026-01-05,x,angry\n", encoding="utf-8")
    result = RUNNER.invoke(app, ["replay", str(path)])
    assert isinstance(result.exception, DataError)
    assert "'angry' is not one of negative, neutral, positive" in str(result.exception)


def test_alerts_are_listed_acknowledged_and_silenced(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    place = ["--workspace", str(folder)]
    assert "no alert is open" in RUNNER.invoke(app, ["alerts", *place]).stderr
    with Workspace.open(folder) as workspace, workspace.writing() as session:
        session.add(
            AlertRow(
                id="ab" * 16,
                topic="food",
                since=START,
                until=START + timedelta(hours=2),
                level="warning",
                story={"ratio": 4.0, "observed": 9, "expected": 2.2, "end": ""},
            )
        )
    assert "abababab" in RUNNER.invoke(app, ["alerts", *place]).stdout
    done = RUNNER.invoke(app, ["acknowledge", "abab", "--by", "Li", *place])
    assert "seen by Li" in done.stderr
    shown = json.loads(RUNNER.invoke(app, ["alerts", "--json", *place]).stdout)
    assert shown["alerts"][0]["status"] == "acknowledged"
    silenced = RUNNER.invoke(app, ["silence", "--topic", "food", "--hours", "2", *place])
    assert "silence on food until" in silenced.stderr
    page = tmp_path / "day.html"
    assert RUNNER.invoke(app, ["report", str(page), "--day", "2026-01-05", *place]).exit_code == 0
    assert "Opinion of the day" in page.read_text(encoding="utf-8")
    assert RUNNER.invoke(app, ["report", str(page), "--day", "5 May", *place]).exit_code == 2


def test_watching_once_looks_and_ends(tmp_path: Path) -> None:
    place = ["--workspace", str(tmp_path / "workspace")]
    assert RUNNER.invoke(app, ["watch", "--once", *place]).exit_code == 0
    wrong = RUNNER.invoke(app, ["watch", "--once", "--channel", "slack://secret", *place])
    assert isinstance(wrong.exception, ConfigError)
    assert "secret" not in str(wrong.exception)
