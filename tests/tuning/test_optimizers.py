"""Optimizers are torch's, without its compiler, which takes seconds and memory to import."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tailorbird.tuning import optimizers

OWN = {
    "AdamW": {"weight_decay": 0.1, "fused": True},
    "Adam": {"weight_decay": 0.1, "fused": True},
    "SGD": {"momentum": 0.9},
    "Adafactor": {},
    "SparseAdam": {},
}
"""What each is built with, beside its rate."""


def stepped(kind: Any, is_sparse: bool, options: dict[str, Any]) -> tuple[Tensor, Any]:
    """A table of words after three steps of *kind*, its state read and loaded before the last."""
    torch.manual_seed(0)
    table = nn.Embedding(6, 4, sparse=is_sparse)
    optimizer = kind(table.parameters(), lr=0.1, **options)
    for step in range(3):
        if step == 2:
            optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad()
        table(torch.tensor([0, 2, 2, step])).square().sum().backward()
        optimizer.step()
    return table.weight, optimizer


@pytest.mark.parametrize("name", sorted(OWN))
def test_each_gives_the_weights_of_torchs_own_bit_by_bit(name: str) -> None:
    is_sparse = name == "SparseAdam"
    plain, _ = stepped(getattr(torch.optim, name), is_sparse, OWN[name])
    mine, optimizer = stepped(getattr(optimizers, name), is_sparse, OWN[name])
    assert torch.equal(mine, plain)
    assert mine.requires_grad
    assert mine.grad_fn is None
    assert isinstance(optimizer, getattr(torch.optim, name))


def test_no_optimizer_imports_torchs_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from tailorbird.tuning import optimizers\n"
        "for name in ('AdamW', 'Adam', 'SGD', 'Adafactor', 'SparseAdam'):\n"
        "    table = torch.nn.Embedding(6, 4, sparse=name == 'SparseAdam')\n"
        "    optimizer = getattr(optimizers, name)(table.parameters(), lr=0.1)\n"
        "    optimizer.zero_grad()\n"
        "    table(torch.tensor([1])).sum().backward()\n"
        "    optimizer.step()\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "print(sorted({'sympy', 'torch._dynamo'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
