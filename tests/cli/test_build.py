"""``tailorbird build`` and what looks after its results: sentences, JSON, exit codes."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError, CorruptBundleError, NoLabelsError, StoreError
from tailorbird.testing import write_tiny_backbone

RUNNER = CliRunner()
PHRASES = {
    "refund": "refund order {} please",
    "parcel": "我的包裹{}还没到",
    "size": "change the size of {}",
}
QUICK = ("tuning.n_epochs=1", "evaluation.baselines=false", "evaluation.n_bootstrap=50")


def write_logs(path: Path, *, with_labels: bool = True) -> Path:
    draw = random.Random(0)
    rows = ["text,intent,reply" if with_labels else "text,answered"]
    for _ in range(30):
        for intent, phrase in PHRASES.items():
            text = phrase.format("".join(draw.choices(string.ascii_lowercase, k=7)))
            rows.append(
                f"{text},{intent},The answer to {intent}." if with_labels else f"{text},yes"
            )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def quick(logs: Path, backbone: Path, *more: str) -> list[str]:
    settings = [word for setting in (*QUICK, *more) for word in ("--set", setting)]
    return [str(logs), *settings, "--set", f"model.backbone={backbone}"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_logs(tmp_path_factory.mktemp("logs") / "shop.csv")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny")


@pytest.fixture(scope="module")
def built(
    logs: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A workspace with one build, and the JSON that it printed; only to be looked at."""
    workspace = tmp_path_factory.mktemp("built")
    done = RUNNER.invoke(app, ["build", *quick(logs, tiny), "-w", str(workspace), "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    return workspace, json.loads(line)


def tailorbird(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: what `main` makes of errors."""
    command = [sys.executable, "-c", "from tailorbird.cli import main; main()", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def listed(verb: str, workspace: Path) -> list[dict[str, str]]:
    done = RUNNER.invoke(app, [verb, "-w", str(workspace), "--json"])
    ((_, rows),) = json.loads(done.stdout).items()
    return list(rows)


def test_json_is_one_object_and_nothing_else(built: tuple[Path, dict[str, Any]]) -> None:
    workspace, said = built
    assert set(said) == {"bundle", "run", "accuracy", "macro_f1", "report"}
    assert Path(said["report"]).is_file()
    assert 0 <= said["accuracy"] <= 1
    assert (workspace / "bundles" / said["bundle"] / "manifest.json").is_file()


def test_predict_answers_in_json_and_in_words(built: tuple[Path, dict[str, Any]]) -> None:
    workspace, said = built
    words = ["predict", "我的包裹abcdefg还没到", "size", "-w", str(workspace)]
    done = RUNNER.invoke(app, [*words, "--json"])
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["bundle"] == said["bundle"]
    first, _ = answer["predictions"]
    assert first["answer"] == f"The answer to {first['intent']}."
    done = RUNNER.invoke(app, words)
    assert done.stdout.splitlines()[0] == "我的包裹abcdefg还没到"
    assert f"  {first['intent']}  " in done.stdout.splitlines()[1]


def test_runs_and_bundles_are_listed(built: tuple[Path, dict[str, Any]], logs: Path) -> None:
    workspace, said = built
    assert listed("runs", workspace) == [
        {"run": said["run"], "status": "done", "source": str(logs), "note": ""}
    ]
    (row,) = listed("bundles", workspace)
    assert (row["bundle"], row["until"]) == (said["bundle"], "live")
    assert row["reason"] == f"built by run {said['run']}"
    done = RUNNER.invoke(app, ["runs", "-w", str(workspace)], env={"COLUMNS": "200"})
    assert said["run"] in done.stdout


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    for verb in ("runs", "bundles"):
        done = RUNNER.invoke(app, [verb, "-w", str(tmp_path)])
        assert (done.exit_code, done.stdout) == (0, "")
        assert "begin with: tailorbird build LOGS" in done.stderr
        assert listed(verb, tmp_path) == []


def test_publish_and_rollback_go_back_and_forth(
    built: tuple[Path, dict[str, Any]], logs: Path, tiny: Path, tmp_path: Path
) -> None:
    workspace, first = tmp_path / "workspace", built[1]["bundle"]
    shutil.copytree(built[0], workspace)
    done = RUNNER.invoke(app, ["rollback", "-w", str(workspace)])
    assert isinstance(done.exception, StoreError)
    assert "nothing to roll back to" in str(done.exception)

    other = quick(logs, tiny, "tuning.seed=1")
    done = RUNNER.invoke(app, ["build", *other, "-w", str(workspace), "--json"])
    second = json.loads(done.stdout)["bundle"]
    assert second != first
    done = RUNNER.invoke(app, ["rollback", "-w", str(workspace), "--reason", "too bold"])
    assert f"{first} is live again" in done.stderr
    done = RUNNER.invoke(app, ["publish", second, "-w", str(workspace), "--reason", "after all"])
    assert f"{second} is live" in done.stderr
    rows = [(row["bundle"], row["reason"]) for row in listed("bundles", workspace)]
    assert rows[:2] == [(second, "after all"), (first, "too bold")]
    assert [row["until"] for row in listed("bundles", workspace)].count("live") == 1

    done = RUNNER.invoke(app, ["publish", "0123456789abcdef", "-w", str(workspace)])
    assert isinstance(done.exception, StoreError)
    assert "there is no bundle 0123456789abcdef" in str(done.exception)

    report = workspace / "bundles" / first / "report.json"
    report.write_bytes(report.read_bytes().replace(b"parcel", b"parcet", 1))
    for words in (["publish", first], ["rollback"]):
        done = RUNNER.invoke(app, [*words, "-w", str(workspace)])
        assert isinstance(done.exception, CorruptBundleError)
        assert done.exception.where == str(report)
    assert listed("bundles", workspace)[0]["bundle"] == second


def test_up_finds_what_is_built_already_and_serves_it_as_set(
    built: tuple[Path, dict[str, Any]], logs: Path, tiny: Path
) -> None:
    workspace, said = built
    with socket.socket() as other:  # a taken port ends the command where it would serve
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = RUNNER.invoke(
            app, ["up", *quick(logs, tiny, f"serving.port={port}"), "-w", str(workspace)]
        )
    assert f"bundle {said['bundle']} was built from these logs already" in done.stderr
    assert "● tune" not in done.stderr
    assert isinstance(done.exception, ConfigError)
    assert f"port {port} cannot be had" in str(done.exception)
    assert len(listed("runs", workspace)) == 1


def test_up_goes_on_with_a_run_that_was_not_finished(
    built: tuple[Path, dict[str, Any]], logs: Path, tiny: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    other = quick(logs, tiny, "tuning.seed=1")
    shutil.copytree(built[0], workspace)
    assert RUNNER.invoke(app, ["read", *other, "-w", str(workspace)]).exit_code == 0
    run, *_ = listed("runs", workspace)
    (workspace / "runs" / run["run"] / "examples.jsonl").mkdir()
    done = RUNNER.invoke(app, ["up", *other, "-w", str(workspace)])
    assert f"going on with run {run['run']}" in done.stderr
    assert "● read" not in done.stderr
    assert isinstance(done.exception, OSError)
    assert [row["status"] for row in listed("runs", workspace)] == ["failed", "done"]


def test_resuming_with_other_logs_is_refused(
    built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    other = write_logs(tmp_path / "other.csv")
    done = RUNNER.invoke(app, ["build", str(other), "-w", str(built[0]), "--resume"])
    assert isinstance(done.exception, StoreError)
    assert f"not of {other}" in str(done.exception)


def test_errors_are_one_sentence_on_stderr(tmp_path: Path) -> None:
    done = tailorbird("build", "nowhere.csv", "-w", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.splitlines()[-1] == "error: nowhere.csv: no such file or folder; check the path"
    )
    assert "Traceback" not in done.stderr


def test_errors_are_one_object_with_json(tmp_path: Path) -> None:
    done = tailorbird("build", "nowhere.csv", "-w", tmp_path, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {
        "error": {
            "kind": "DataError",
            "message": "no such file or folder",
            "where": "nowhere.csv",
            "cure": "check the path",
        }
    }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_a_sentence_too(logs: Path, tmp_path: Path) -> None:
    RUNNER.invoke(app, ["read", str(logs), "-w", str(tmp_path)])
    RUNNER.invoke(app, ["clean", "-w", str(tmp_path)])
    (run,) = (tmp_path / "runs").iterdir()
    (run / "examples.jsonl").symlink_to("/dev/full")
    done = tailorbird("split", "-w", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: No space left on device; free some space\n"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("tuning.n_epoch=3", "tuning.n_epoch is not a setting; did you mean 'n_epochs'?"),
        ("tunning.n_epochs=3", "[tunning] is not a setting; did you mean 'tuning'?"),
        ("n_epochs=3", "is not of the form section.key=value; as tuning.n_epochs=3"),
        ("split.by=colour", "split.by = 'colour' is not one of random, user, time"),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(
    setting: str, sentence: str, logs: Path, tmp_path: Path
) -> None:
    done = RUNNER.invoke(app, ["build", str(logs), "-w", str(tmp_path), "--set", setting])
    assert isinstance(done.exception, ConfigError)
    assert sentence in str(done.exception)
    assert listed("runs", tmp_path) == []


def test_own_logs_without_labels_say_how_to_label(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "own.csv", with_labels=False)
    done = RUNNER.invoke(app, ["build", str(logs), "-w", str(tmp_path / "w")])
    assert isinstance(done.exception, NoLabelsError)
    assert done.exception.cure.count("--labels FILE") == 1
    assert "--rules FILE.toml" in done.exception.cure
    (run,) = listed("runs", tmp_path / "w")
    assert run["status"] == "failed"
    assert run["note"] == str(done.exception)


def test_rules_label_logs_that_have_no_labels(tiny: Path, tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "own.csv", with_labels=False)
    rules = tmp_path / "rules.toml"
    words = {"refund": "refund", "parcel": "包裹", "size": "size"}
    rules.write_text(
        "".join(f'[[rule]]\nintent = "{i}"\nkeywords = ["{w}"]\n' for i, w in words.items()),
        encoding="utf-8",
    )
    words_of = ["build", *quick(logs, tiny), "--rules", str(rules), "-w", str(tmp_path / "w")]
    done = RUNNER.invoke(app, words_of)
    assert done.exit_code == 0, done.exception
    (bundle,) = (tmp_path / "w" / "bundles").iterdir()
    assert json.loads((bundle / "labels.json").read_text("utf-8")) == ["parcel", "refund", "size"]
    assert "templates: 0 of 3 intents have an answer from the logs" in done.stderr
