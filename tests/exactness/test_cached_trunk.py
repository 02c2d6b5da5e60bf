"""Tuning above cached states of the frozen layers is tuning above the frozen layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import build_model
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please", "hello": "hi {}"}
ROWS = [Example(t.format(i * i), label) for i in range(10) for label, t in WORDS.items()]
SETTINGS = TuningSettings(n_epochs=2, batch_size=8, learning_rate=3e-3, patience=0, dtype="float32")
ALL_BYTES = sum(len(row.text.replace(" ", "")) + 2 for row in ROWS) * 32 * 4
PLACES: dict[str, Callable[[Path], TrunkCache]] = {
    "memory": lambda folder: TrunkCache(),
    "file": lambda folder: TrunkCache(0, folder),
    "half": lambda folder: TrunkCache(ALL_BYTES, folder, file_bytes=ALL_BYTES // 2),
    "half read": lambda folder: TrunkCache(ALL_BYTES // 2, folder),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("tiny"), n_layers=3)


def make_run(tiny: Path, method: str, n_frozen: int) -> TuningRun:
    settings = ModelSettings(dropout=0.0)
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, sorted(WORDS), settings=settings)
    way = MethodSettings(name=method, rank=2)  # type: ignore[arg-type]
    plan, _ = plan_tuning(model, len(ROWS), Settings(tuning=SETTINGS, model=settings, method=way))
    return TuningRun(model, replace(plan, n_frozen=n_frozen, freeze_words=True))


def tuned(run: TuningRun, cache: TrunkCache | None) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Every loss of a short run, and the weights it ends with."""
    rows = encode_examples(run.model, ROWS)
    if cache is not None:
        rows = run.with_trunk(rows, cache)
        assert rows.tokens.states is not None
    losses = [report.loss for report in tune(run, rows, rows)]
    return losses, {name: tensor.clone() for name, tensor in run.tuned().items()}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("method", "n_frozen"), [("lora", 1), ("head", 3), ("full", 2)])
def test_cached_states_give_the_losses_and_weights_of_computed_ones(
    method: str, n_frozen: int, place: str, tiny: Path, tmp_path: Path
) -> None:
    losses, weights = tuned(make_run(tiny, method, n_frozen), None)
    cache = PLACES[place](tmp_path)
    cached_losses, cached_weights = tuned(make_run(tiny, method, n_frozen), cache)
    assert len(set(losses)) == len(losses) == 10
    assert cached_losses == pytest.approx(losses, abs=1e-6)
    assert cached_weights.keys() == weights.keys()
    for name, weight in weights.items():
        assert torch.allclose(cached_weights[name], weight, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("place", PLACES)
def test_cached_states_are_the_computed_ones(place: str, tiny: Path, tmp_path: Path) -> None:
    run = make_run(tiny, "lora", 2)
    tokens = encode_examples(run.model, ROWS).tokens
    states = run.model.with_trunk(tokens, PLACES[place](tmp_path)).states
    assert states is not None
    order = [7, 0, 29, 7, 3]
    with torch.inference_mode():
        computed = run.model.backbone.trunk(tokens.take(order))  # type: ignore[operator]
    assert torch.allclose(states.take(order), computed, atol=1e-6)
    assert torch.equal(states.subset([29, 7]).take([1, 0]), states.take([7, 29]))


def test_the_places_are_what_they_are_called(tiny: Path, tmp_path: Path) -> None:
    n_in_file, n_blocks = {}, {}
    for place, make in PLACES.items():
        run, folder = make_run(tiny, "lora", 1), tmp_path / place
        cached = run.with_trunk(encode_examples(run.model, ROWS), make(folder))
        n_in_file[place] = sum(file.stat().st_size for file in folder.glob("*.states"))
        n_blocks[place] = len(cached.tokens.states.blocks)  # type: ignore[union-attr]
    assert n_in_file["memory"] == 0
    assert n_in_file["file"] == n_in_file["half read"] == ALL_BYTES
    assert 0 < n_in_file["half"] <= ALL_BYTES // 2
    assert n_blocks["half read"] == 2
