"""Every file of configs/ is loaded, and says what its name promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailorbird.config import load_settings, settings_from
from tailorbird.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads(path: Path) -> None:
    assert load_settings(path) != load_settings()


def test_classic_is_the_textbook_recipe() -> None:
    settings = load_settings(next(path for path in CONFIGS if path.stem == "classic"))
    assert settings.split.ratio == (7, 2, 1)
    assert (settings.model.max_tokens, settings.model.freeze_layers) == (128, 0)
    assert (settings.tuning.batch_size, settings.tuning.learning_rate) == (16, 2e-5)
    assert 3 <= settings.tuning.n_epochs <= 5
    assert (settings.tuning.schedule, settings.tuning.warmup_fraction) == ("linear", 0.1)
    assert (settings.optimizer.name, settings.optimizer.weight_decay) == ("adamw", 0.01)
    assert settings.optimizer.max_grad_norm == 1.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tuning.weight_decay", "optimizer.weight_decay"),
        ("tuning.max_grad_norm", "optimizer.max_grad_norm"),
        ("tuning.label_smoothing", "loss.label_smoothing"),
    ],
)
def test_a_setting_that_moved_says_where_it_is_now(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=rf"{old} has moved; set {new}"):
        load_settings(overrides=[f"{old}=0.1"])
    section, key = new.split(".")
    assert getattr(getattr(load_settings(overrides=[f"{new}=0.1"]), section), key) == 0.1


@pytest.mark.parametrize(
    ("given", "kept"), [("auto", "auto"), ("default", "default"), ("4", 4), ("-1", -1)]
)
def test_layers_to_freeze_are_a_number_or_a_word(given: str, kept: int | str) -> None:
    settings = load_settings(overrides=[f"model.freeze_layers={given}"])
    assert settings.model.freeze_layers == kept
    assert settings_from(settings.to_json()) == settings


@pytest.mark.parametrize("given", ["some", "true", "0.5", "[1]"])
def test_other_words_are_refused_with_those_that_are_allowed(given: str) -> None:
    expected = r"model.freeze_layers = .* is not a whole number or default or auto"
    with pytest.raises(ConfigError, match=expected):
        load_settings(overrides=[f"model.freeze_layers={given}"])
