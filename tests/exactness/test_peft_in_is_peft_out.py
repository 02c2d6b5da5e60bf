"""LoRA and AdaLoRA agree with PEFT on the same weights, both ways, to 1e-5."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from tailorbird.config import MethodSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import adapters
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.packing import pack
from tailorbird.testing import write_tiny_backbone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's are not ours

IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 3], [2, 3]]
LORAS: list[dict[str, Any]] = [
    {},
    {"rslora": True},
    {"dora": True},
    {"rslora": True, "dora": True, "rank": 3},
]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


def padded_states(model: Any) -> Tensor:
    longest = max(map(len, IDS))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in IDS])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in IDS])
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return torch.cat([states[i, : len(row)] for i, row in enumerate(IDS)])


def shaken(parameters: Any, by: float = 0.05) -> None:
    """Move parameters from where they began, so that an adapter does something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(by * torch.randn_like(parameter))


def read_by_peft(tiny: Path, folder: Path) -> Any:
    return PeftModel.from_pretrained(AutoModel.from_pretrained(tiny), folder).eval()


@pytest.mark.parametrize("options", LORAS, ids=str)
def test_our_lora_is_read_by_peft(options: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    ours = load_backbone(tiny).eval()
    attachment = adapters.attach(ours, MethodSettings(name="lora", **options))
    shaken(attachment.tensors().values())
    adapters.save_peft(attachment, tmp_path / "adapter", base_name="tiny")
    theirs = read_by_peft(tiny, tmp_path / "adapter")
    with torch.no_grad():
        difference = (padded_states(theirs) - ours(pack(IDS))).abs().max()
        merged = padded_states(theirs.merge_and_unload())
        attachment.merge()
        assert (merged - ours(pack(IDS))).abs().max() < 1e-5
    assert difference < 1e-5


@pytest.mark.parametrize("options", LORAS, ids=str)
def test_lora_of_peft_is_read_by_us(options: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    config = LoraConfig(
        r=options.get("rank", 8),
        lora_alpha=16,
        use_rslora=options.get("rslora", False),
        use_dora=options.get("dora", False),
        target_modules=["query", "value", "output.dense"],
    )
    theirs = get_peft_model(AutoModel.from_pretrained(tiny), config).eval()
    shaken(p for p in theirs.parameters() if p.requires_grad)
    theirs.save_pretrained(tmp_path / "adapter")
    ours = load_backbone(tiny).eval()
    attachment = adapters.load_peft(ours, tmp_path / "adapter")
    with torch.no_grad():
        assert (padded_states(theirs) - ours(pack(IDS))).abs().max() < 1e-5
    assert attachment.settings.rslora == options.get("rslora", False)
    assert len(attachment.places) == 2 * 4  # attention's output is a dense output, too


@pytest.mark.parametrize("options", LORAS, ids=str)
def test_gradients_of_lora_are_those_of_peft(
    options: dict[str, Any], tiny: Path, tmp_path: Path
) -> None:
    ours = load_backbone(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="lora", **options))
    shaken(attachment.tensors().values())
    adapters.save_peft(attachment, tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(
        AutoModel.from_pretrained(tiny), tmp_path / "adapter", is_trainable=True
    )
    weights = torch.randn(sum(map(len, IDS)), 32)
    (ours(pack(IDS)) * weights).sum().backward()
    (padded_states(theirs) * weights).sum().backward()
    expected = {n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}
    n_compared = 0
    for place, module in attachment.places.items():
        hub = ours.hub_name(place.removesuffix(".adapter"))
        for name, part in {"a": "lora_A", "b": "lora_B", "length": "lora_magnitude_vector"}.items():
            parameter = getattr(module, name)
            if parameter is not None:
                wanted = expected[f"base_model.model.{hub}.{part}.default.weight"]
                assert wanted is not None
                error = (parameter.grad - wanted).norm() / wanted.norm().clamp(min=1e-3)
                assert error < 1e-4, (place, name)
                n_compared += 1
    assert n_compared >= 24


def test_our_adalora_is_read_by_peft(tiny: Path, tmp_path: Path) -> None:
    ours = load_backbone(tiny).eval()
    attachment = adapters.attach(ours, MethodSettings(name="adalora", rank=2, start_rank=5))
    shaken(attachment.tensors().values(), by=0.2)
    adapters.save_peft(attachment, tmp_path / "adapter")
    with torch.no_grad():
        theirs = padded_states(read_by_peft(tiny, tmp_path / "adapter"))
        assert (theirs - ours(pack(IDS))).abs().max() < 1e-5


def test_our_adalora_with_cut_ranks_is_read_by_peft_and_by_us(tiny: Path, tmp_path: Path) -> None:
    ours = load_backbone(tiny)
    attachment = adapters.attach(ours, MethodSettings(name="adalora", rank=2, start_rank=5))
    shaken(attachment.tensors().values(), by=0.2)
    (ours(pack(IDS)) * torch.randn(sum(map(len, IDS)), 32)).sum().backward()
    assert attachment.after_step is not None
    for step in range(1, 11):
        attachment.after_step(step, 10)
    n_left = sum(int(t.sum()) for n, t in attachment.memory().items() if n.endswith(".kept"))
    assert n_left == 2 * len(attachment.places)
    adapters.save_peft(attachment, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert sum(map(sum, config["rank_pattern"].values())) == n_left
    again = load_backbone(tiny).eval()
    adapters.load_peft(again, tmp_path / "adapter")
    with torch.no_grad():
        mine = ours.eval()(pack(IDS))
        assert (mine - again(pack(IDS))).abs().max() < 1e-5
        theirs = padded_states(read_by_peft(tiny, tmp_path / "adapter"))
        assert (theirs - mine).abs().max() < 1e-5


@pytest.mark.parametrize("is_cut", [False, True])
def test_adalora_of_peft_is_read_by_us(is_cut: bool, tiny: Path, tmp_path: Path) -> None:
    config = AdaLoraConfig(
        init_r=5,
        target_r=2,
        lora_alpha=16,
        total_step=10,
        tfinal=2,
        target_modules=["query", "key"],
    )
    theirs = get_peft_model(AutoModel.from_pretrained(tiny), config)
    shaken((p for p in theirs.parameters() if p.requires_grad), by=0.2)
    if is_cut:
        padded_states(theirs).square().sum().backward()
        for step in range(1, 10):
            theirs.base_model.update_and_allocate(step)
    theirs.eval().save_pretrained(tmp_path / "adapter")
    ours = load_backbone(tiny).eval()
    adapters.load_peft(ours, tmp_path / "adapter")
    with torch.no_grad():
        assert (padded_states(theirs) - ours(pack(IDS))).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peft_type": "LOHA"}, "a PEFT adapter of type LOHA"),
        ({"modules_to_save": ["classifier"]}, r"modules_to_save = \['classifier'\]"),
        ({"rank_pattern": {"query": 2}}, "rank_pattern"),
    ],
)
def test_adapters_of_other_kinds_are_refused(
    change: dict[str, Any], said: str, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    ours = load_backbone(tiny)
    adapters.save_peft(adapters.attach(ours, MethodSettings(name="lora")), folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(WeightsError, match=said):
        adapters.load_peft(load_backbone(tiny), folder)


def test_an_adapter_of_a_deeper_backbone_is_refused(tiny: Path, tmp_path: Path) -> None:
    deeper = load_backbone(write_tiny_backbone(tmp_path / "deeper", n_layers=3))
    adapters.save_peft(adapters.attach(deeper, MethodSettings(name="lora")), tmp_path / "adapter")
    with pytest.raises(WeightsError, match=r"encoder\.layer\.2\..*no place"):
        adapters.load_peft(load_backbone(tiny), tmp_path / "adapter")
