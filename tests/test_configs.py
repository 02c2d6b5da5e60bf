"""Every file of configs/ is loaded, and says what its name promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailorbird.config import load_settings

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
