"""``folds`` and ``check-labels`` from the command line: in place of tune, and beside a run."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError, StoreError
from tailorbird.testing import write_tiny_backbone

RUNNER = CliRunner()
PHRASES = {
    "refund": "refund order {} please",
    "parcel": "我的包裹{}还没到",
    "size": "CHANGE THE SIZE OF {}",
}
SETTINGS = (
    *("tuning.n_epochs=1", "tuning.dtype=float32", "model.freeze_layers=1"),
    *("evaluation.baselines=false", "evaluation.n_bootstrap=50", "split.near_duplicate=0.0"),
)
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twelfth row has the label of the next one."""
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    draw, names = random.Random(0), list(PHRASES)
    rows = ["id,text,intent,reply"]
    for number in range(96):
        thing = "".join(draw.choices(string.ascii_lowercase, k=5))
        label = names[(number + (number % 12 == 0)) % 3]
        rows.append(f"r{number},{PHRASES[names[number % 3]].format(thing)},{label},Yes.")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ask(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Verbs in a workspace whose latest run has been split."""
    folder = tmp_path_factory.mktemp("cli")

    def invoke(*words: str) -> dict[str, Any]:
        done = RUNNER.invoke(app, [*words, "--workspace", str(folder / "ws"), "--json"])
        assert done.exit_code == 0, (words, done.exception, done.output)
        (line,) = done.stdout.splitlines()
        said: dict[str, Any] = json.loads(line)
        return said

    tiny = write_tiny_backbone(folder / "tiny")
    options = [word for one in (*SETTINGS, f"model.backbone={tiny}") for word in ("--set", one)]
    invoke("read", str(logs), *options)
    invoke("clean")
    invoke("split")
    return invoke


def test_checked_labels_are_written_where_asked_and_built_on(
    ask: Ask, logs: Path, tmp_path: Path
) -> None:
    only_said = ask("check-labels", "--folds", "3")
    assert 4 <= only_said["n_doubts"] <= 14
    assert "corrected" not in only_said
    assert Path(only_said["page"]).is_file()
    out = tmp_path / "mine.csv"
    said = ask("check-labels", "--folds", "3", "--drop", "--out", str(out))
    assert (said["relabelled"], said["dropped"]) == (0, said["n_doubts"])
    assert said["n_doubts"] == only_said["n_doubts"]
    assert len(out.read_text("utf-8").splitlines()) == said["n_doubts"] + 1
    assert out.read_text("utf-8").splitlines()[0] == "id,label,was,text"
    again = RUNNER.invoke(app, ["check-labels", "--drop", "--relabel"])
    assert again.exit_code == 2
    assert "not both" in again.output


def test_folds_stand_in_the_place_of_tune(ask: Ask) -> None:
    said = ask("folds", "--folds", "2")
    assert sorted(part["n_rows"] for part in said["folds"]) == [33, 34]
    assert said["chosen"] in {"soup", "all-seed0"}
    assert set(said["members"]) == {"all-seed0", "fold0-seed0", "fold1-seed0"}
    assert ask("evaluate")["n_rows"] > 0
    assert len(ask("bundle")["bundle"]) > 0


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (
            ("folds", "--set", "task.name=ranking"),
            ConfigError,
            "folds and soups are made for single_label",
        ),
        (("check-labels", "--how", "guess"), ConfigError, "'guess' is no way"),
        (("folds", "--run", "nobody"), StoreError, "nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    ask: Ask,
    tmp_path: Path,
    logs: Path,
    words: tuple[str, ...],
    kind: type[Exception],
    sentence: str,
) -> None:
    place = ["--workspace", str(tmp_path)]
    tiny = write_tiny_backbone(tmp_path / "tiny")
    settings = [word for one in (*SETTINGS, f"model.backbone={tiny}") for word in ("--set", one)]
    for verb in (["read", str(logs), *settings], ["clean"], ["split"]):
        assert RUNNER.invoke(app, [*verb, *place]).exit_code == 0
    done = RUNNER.invoke(app, [*words, *place])
    assert isinstance(done.exception, kind), done.output
    assert sentence in str(done.exception)
