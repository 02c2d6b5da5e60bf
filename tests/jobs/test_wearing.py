"""A model puts on the weights of one job after another, and nothing stays of those before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.jobs.soups import average
from tailorbird.jobs.wearing import Wearer
from tailorbird.metrics import log_softmax
from tailorbird.modeling import TextModel, adapters, build_model, load_model, save_model
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

TEXTS = ["where is it", "我的包裹", "refund please", "a"]
LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny")


def untuned(tiny: Path) -> TextModel:
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    return build_model(backbone, LABELS, settings=ModelSettings())


def wearer_of(tiny: Path) -> Wearer:
    model = untuned(tiny)
    return Wearer(model, model.tokenizer(TEXTS))


def tuned(tiny: Path, method: str, seed: int) -> AdapterWeights:
    """Weights as a job leaves them, drawn at random."""
    model, settings = untuned(tiny), MethodSettings(name=method, rank=2)
    model.backbone.freeze(1)
    attachment = adapters.attach(model.backbone, settings)
    generator = torch.Generator().manual_seed(seed)

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach() + 0.2 * torch.randn(tensor.shape, generator=generator)

    own = {n: moved(p) for n, p in model.backbone.named_parameters() if p.requires_grad}
    head = {name: moved(tensor) for name, tensor in model.head.state_dict().items()}
    tensors = own | {name: own[name] for name in attachment.tensors()}
    return AdapterWeights(settings, 1, tensors, head, LABELS)


@pytest.mark.parametrize("method", ["lora", "full", "bitfit", "bottleneck"])
def test_what_was_worn_before_leaves_nothing(tiny: Path, method: str) -> None:
    first, second = tuned(tiny, method, 1), tuned(tiny, method, 2)
    wearer = wearer_of(tiny)
    before = wearer.log_probs(first)
    other = wearer.log_probs(second)
    assert abs(before - other).max() > 0.01
    assert (wearer.log_probs(first) == before).all()
    assert abs(wearer_of(tiny).log_probs(second) - other).max() < 1e-6


def test_soup_of_lora_has_the_mean_of_the_merged_weights(tiny: Path) -> None:
    parts = [tuned(tiny, "lora", seed) for seed in (1, 2, 3)]
    wearer = wearer_of(tiny)
    merged = []
    for part in parts:
        wearer.put_on(part)
        assert wearer.model.attachment is not None
        merged.append(wearer.model.attachment.merged())
    wearer.put_on(average(parts))
    assert wearer.model.attachment is not None
    for name, weight in wearer.model.attachment.merged().items():
        mean = torch.stack([one[name] for one in merged]).mean(0)
        assert torch.allclose(weight, mean, atol=1e-5), name


def test_soup_is_saved_as_one_model(tiny: Path, tmp_path: Path) -> None:
    soup = average([tuned(tiny, "lora", seed) for seed in (1, 2)])
    wearer = wearer_of(tiny)
    worn = wearer.log_probs(soup)
    save_model(wearer.model, tmp_path / "model", backbone=tiny)
    again = log_softmax(load_model(tmp_path / "model").logits(TEXTS).numpy())
    assert abs(again - worn).max() < 1e-4


def test_weights_of_other_labels_are_refused(tiny: Path) -> None:
    part = tuned(tiny, "lora", 1)
    other = AdapterWeights(part.settings, 1, part.tensors, part.head, ("a", "b"))
    with pytest.raises(WeightsError, match="weights of 2 labels do not fit a model of 3"):
        wearer_of(tiny).put_on(other)
