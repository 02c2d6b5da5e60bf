"""What a run remembers, and what it refuses to forget or to make up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailorbird import api, runs
from tailorbird.config import Settings, load_settings
from tailorbird.errors import ConfigError, StoreError, TooManyRejectsError


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs.csv"
    path.write_text("query,intent\nwhere is it,parcel\nmoney back,refund\n", encoding="utf-8")
    return path


def test_a_stage_whose_predecessor_is_missing_says_which(tmp_path: Path, logs: Path) -> None:
    with api.open_workspace(tmp_path / "w") as space:
        run = runs.start_run(str(logs), space, Settings())
        with pytest.raises(StoreError, match=r"read has not been done, so clean .*; tailorbird re"):
            api.clean(run, Settings())
        api.read(str(logs), run, Settings())
        with pytest.raises(
            StoreError, match=r"clean has not been done, so split .*; tailorbird cl"
        ):
            api.split(run, Settings())


def test_a_read_that_failed_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n' + "not json\n" * 9, encoding="utf-8")
    said: list[str] = []
    with api.open_workspace(tmp_path / "w") as space:
        run = runs.start_run(str(path), space, Settings())
        with pytest.raises(TooManyRejectsError, match=r"each is in .*rejects\.jsonl with cause"):
            api.read(str(path), run, Settings(), say=said.append)
        rejects = (run.path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(rejects[0])["line"] == 2
        with pytest.raises(StoreError, match="read has not been done"):
            api.clean(run, Settings())


def test_settings_that_name_a_missing_file_are_not_remembered(tmp_path: Path, logs: Path) -> None:
    with api.open_workspace(tmp_path / "w") as space:
        run = runs.start_run(str(logs), space, Settings())
        with pytest.raises(ConfigError, match=r"nope\.toml: labelling\.rules: no such file"):
            runs.change_settings(run, [f"labelling.rules={tmp_path / 'nope.toml'}"])
        assert runs.run_settings(run) == load_settings()
