"""Penalty, importance and budget agree with PEFT's RankAllocator on the same gradients."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from tailorbird.config import MethodSettings
from tailorbird.modeling import adapters
from tailorbird.modeling.adapters.adalora import (
    AdaLoraAdapter,
    Budget,
    give_ranks,
    n_ranks,
    skewness,
)
from tailorbird.modeling.backbones import load_backbone
from tailorbird.testing import write_tiny_backbone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from peft import AdaLoraConfig, PeftModel

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's are not ours

N_STEPS, N_INITIAL, N_FINAL, EVERY = 20, 3, 5, 2


@pytest.fixture
def both(tmp_path: Path) -> tuple[dict[str, AdaLoraAdapter], Any]:
    """Our adapters by their hub names, and PEFT's model with the same weights."""
    tiny = write_tiny_backbone(tmp_path / "tiny")
    encoder = load_backbone(tiny)
    settings = MethodSettings(name="adalora", rank=2, start_rank=5, targets="query,ffn_in")
    torch.manual_seed(0)
    attachment = adapters.attach(encoder, settings)
    with torch.no_grad():
        for tensor in attachment.tensors().values():
            tensor.add_(0.3 * torch.randn_like(tensor))
    adapters.save_peft(attachment, tmp_path / "adapter")
    config = AdaLoraConfig.from_pretrained(tmp_path / "adapter")
    config.inference_mode = False
    config.total_step, config.tinit, config.tfinal = N_STEPS, N_INITIAL, N_FINAL
    config.deltaT = EVERY
    theirs = PeftModel.from_pretrained(
        AutoModel.from_pretrained(tiny), tmp_path / "adapter", is_trainable=True, config=config
    )
    ours: dict[str, AdaLoraAdapter] = {}
    for place, module in attachment.places.items():
        assert isinstance(module, AdaLoraAdapter)
        ours[encoder.hub_name(place.removesuffix(".adapter"))] = module
    return ours, theirs


def theirs_of(theirs: Any, hub: str, name: str) -> torch.nn.Parameter:
    module = theirs.base_model.model.get_submodule(hub)
    parameter: torch.nn.Parameter = getattr(module, f"lora_{name.upper()}")["default"]
    return parameter


def test_ranks_are_cut_as_peft_cuts_them_on_the_same_gradients(both: Any) -> None:
    ours, theirs = both
    allocator = theirs.base_model.rankallocator
    budget = Budget(N_STEPS, N_INITIAL, N_FINAL, EVERY)
    torch.manual_seed(2)
    n_left = []
    for step in range(1, N_STEPS + 1):
        for hub, adapter in ours.items():
            for name, parameter in adapter.named_parameters():
                other = theirs_of(theirs, hub, name)
                parameter.grad = torch.randn_like(parameter)
                other.grad = parameter.grad.clone()
                with torch.no_grad():  # what an optimizer would do
                    parameter.sub_(0.05 * parameter.grad)
                    other.sub_(0.05 * parameter.grad)
        give_ranks(list(ours.values()), step, budget, mean_rank=2)
        theirs.base_model.update_and_allocate(step)
        for hub, adapter in ours.items():
            for name, parameter in adapter.named_parameters():
                assert torch.allclose(parameter, theirs_of(theirs, hub, name), atol=1e-6)
                if step < N_STEPS - N_FINAL:
                    long = f"{hub}.lora_{name.upper()}.default"
                    for mine, of_them in (
                        ("sensitivity", allocator.exp_avg_ipt),
                        ("uncertainty", allocator.exp_avg_unc),
                    ):
                        found = adapter.get_buffer(f"{mine}_{name}")
                        assert torch.allclose(found, of_them[long], atol=1e-6)
        n_left.append(sum(int((adapter.e != 0).sum()) for adapter in ours.values()))
    assert n_left[:3] == [20, 20, 20]
    assert n_left[-6:] == [8] * 6


def test_the_budget_falls_as_in_peft(both: Any) -> None:
    _, theirs = both
    allocator = theirs.base_model.rankallocator
    budget = Budget(N_STEPS, N_INITIAL, N_FINAL, EVERY)
    for step in range(1, N_STEPS + 1):
        expected, _ = allocator.budget_schedule(step)
        assert n_ranks(step, budget=budget, n_first=20, n_last=8) == expected


def test_the_penalty_is_that_of_peft(both: Any) -> None:
    ours, theirs = both

    class WithLoss(torch.nn.Module):
        def forward(self) -> Any:
            return type("Outputs", (), {"loss": torch.zeros(())})()

    tuner = theirs.base_model
    tuner.model.forward = WithLoss().forward
    expected = tuner.forward().loss / tuner.peft_config["default"].orth_reg_weight
    assert skewness(list(ours.values())).item() == pytest.approx(expected.item(), rel=1e-5)


def test_orthonormal_factors_have_no_penalty() -> None:
    layer = torch.nn.Linear(6, 6)
    adapter = AdaLoraAdapter(layer, MethodSettings(name="adalora", start_rank=3))
    with torch.no_grad():
        adapter.a.copy_(torch.eye(6)[:3])
        adapter.b.copy_(torch.eye(6)[:, 3:])
    assert skewness([adapter]).item() == 0.0


def test_what_was_cut_may_come_back_before_the_final_steps_and_not_after() -> None:
    torch.manual_seed(0)
    adapter = AdaLoraAdapter(torch.nn.Linear(4, 4), MethodSettings(name="adalora", start_rank=4))
    budget = Budget(n_steps=10, n_initial=0, n_final=5, every=1)
    came_back = []
    for step in range(1, 11):
        with torch.no_grad():
            adapter.e.add_(1.0)
        for parameter in adapter.parameters():
            parameter.grad = torch.randn_like(parameter)
        before = adapter.kept.clone()
        give_ranks([adapter], step, budget, mean_rank=2)
        came_back.append(bool((adapter.kept & ~before).any()))
        if step >= 5:
            assert int((adapter.e != 0).sum()) == 2
    assert not any(came_back[5:])
