"""Plug-ins: what they add, what they may not take, and models that say whose they are."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from tailorbird import plugins
from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.errors import ConfigError, TuningError, WeightsError
from tailorbird.modeling import adapters, build_model, heads, load_model, save_model
from tailorbird.records import Example
from tailorbird.testing import check_task, write_tiny_backbone
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import TASKS, encode_examples
from tailorbird.weights import resolve_backbone

EXAMPLE = Path(__file__).parents[1] / "examples" / "02_own_task.py"
RATED = [
    Example(f"{words} {extra}", stars)
    for stars, words in (("1", "zzz no no"), ("2", "hm no"), ("3", "hm yes"), ("4", "yes yes !!"))
    for extra in ("", "a", "b c")
]


@pytest.fixture(autouse=True)
def _nothing_stays(no_plugins: None) -> None:
    """Each test begins without plug-ins, and leaves none."""


def test_the_example_is_a_task_that_keeps_the_contract(tmp_path: Path) -> None:
    found = plugins.load_plugin(EXAMPLE)
    assert str(found) == "plug-in 02_own_task.py: task ordinal; head ordinal"
    assert plugins.load_plugin(str(EXAMPLE)) is found
    check_task(TASKS["ordinal"], RATED, tmp_path)


def test_the_example_learns_and_its_model_says_whose_it_is(tmp_path: Path) -> None:
    plugins.load_plugin(EXAMPLE)
    task, tiny = TASKS["ordinal"], write_tiny_backbone(tmp_path / "tiny")
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, task.labels(RATED), settings=ModelSettings(), spec=task.spec)
    plan, _ = plan_tuning(
        model,
        len(RATED),
        Settings(
            tuning=TuningSettings(
                n_epochs=40, batch_size=6, learning_rate=3e-3, dtype="float32", patience=0
            )
        ),
    )
    rows = encode_examples(model, RATED)
    assert TuningRun(model, plan).start_head(rows) == ""
    reports = list(tune(TuningRun(model, plan), rows, rows))
    closeness = [one.metrics["closeness"] for one in reports if one.event == "validation"]
    assert max(closeness) >= -0.25
    probs = model.logits(["yes", "no no"]).exp()
    torch.testing.assert_close(probs.sum(-1), torch.ones(2), atol=1e-4, rtol=0)

    save_model(model, tmp_path / "saved", backbone=tiny)
    del heads.HEADS["ordinal"], TASKS["ordinal"]
    with pytest.raises(WeightsError, match=r"of the plug-in 02_own_task\.py: install"):
        load_model(tmp_path / "saved")
    with pytest.raises(TuningError, match=r"of the plug-in 02_own_task\.py: install"):
        encode_examples(model, RATED)


def write(folder: Path, code: str, name: str = "mine.py") -> Path:
    (folder / name).write_text(code, encoding="utf-8")
    return folder / name


def test_a_loss_and_a_way_of_tuning_are_added_to_what_is_there(tmp_path: Path) -> None:
    code = (
        "from tailorbird.modeling.adapters import METHODS as OURS\n"
        "def steep(outputs, truth, settings):\n    return (outputs ** 4).mean()\n"
        "LOSSES = {'regression': {'steep': steep}}\n"
        "METHODS = {'biases': OURS['bitfit']}\n"
    )
    found = plugins.load_plugin(write(tmp_path, code))
    assert str(found) == "plug-in mine.py: loss regression.steep; method biases"
    assert list(TASKS["regression"].losses) == ["mse", "mae", "steep"]
    assert TASKS["regression"].plugin == ""  # it is still ours
    assert "biases" in adapters.METHODS


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("HEADS = {'mine': None, 'linear': None}", "the head 'linear' is there already"),
        (
            "from tailorbird.tuning.tasks import TASKS as T\n"
            "HEADS = {'mine': None}\nTASKS = [T['pairs']]",
            "the task 'pairs' is there already",
        ),
        (
            "HEADS = {'mine': None}\nLOSSES = {'pairs': {'focal': None}}",
            "the loss of pairs 'focal' is there already",
        ),
        ("HEADS = {'mine': None}\nLOSSES = {'nothing': {}}", "names the task 'nothing'"),
        ("1 / 0", r"cannot be run \(ZeroDivisionError: division by zero\)"),
        ("def", r"cannot be run \(SyntaxError"),
    ],
)
def test_what_cannot_be_added_adds_nothing(code: str, what: str, tmp_path: Path) -> None:
    path = write(tmp_path, code)
    for _ in range(2):  # it is not taken for loaded
        with pytest.raises(ConfigError, match=what):
            plugins.load_plugin(path)
    assert "mine" not in heads.HEADS


def test_a_file_that_is_not_there_or_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such plug-in"):
        plugins.load_plugin(tmp_path / "nowhere.py")
    with pytest.raises(ConfigError, match=r"ends in \.py"):
        plugins.load_plugin(write(tmp_path, "", "rows.csv"))


def test_installed_plugins_are_found_by_their_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from dataclasses import replace\n"
        "from tailorbird.tuning.tasks import TASKS as T\n"
        "TASKS = [replace(T['binary'], name='spam')]\n"
    )
    write(tmp_path, code, "spam_plugin_of_a_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("spam", "spam_plugin_of_a_test", plugins.GROUP)
    for _ in range(2):
        (found,) = plugins.load_entry_points([point])
        assert str(found) == "plug-in spam: task spam"
    assert TASKS["spam"].spec == replace(TASKS["binary"].spec, task="spam", plugin="spam")
    broken = EntryPoint("broken", "no_such_module_of_a_test", plugins.GROUP)
    with pytest.raises(ConfigError, match=r"tailorbird\.plugins:broken: the plug-in cannot be run"):
        plugins.load_entry_points([broken])
