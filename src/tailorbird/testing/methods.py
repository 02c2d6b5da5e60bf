"""The contract of every way of tuning, ours and yours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.errors import TuningError
from tailorbird.testing.predictor import SHOP
from tailorbird.testing.tiny import write_tiny_backbone

if TYPE_CHECKING:
    from torch import Tensor

    from tailorbird.modeling import TextModel

TEXTS = [word for words in SHOP.values() for word in words]
TARGETS = [i for i, words in enumerate(SHOP.values()) for _ in words]


def check_method(name: str, folder: Path, *, backbone: Path | None = None, **options: Any) -> None:
    """Assert what every way of tuning promises, on a tiny backbone.

    - At step 0 the states are the pretrained ones, where it says so.
    - Its own parameters and the head get gradients, nothing else does, and what is frozen is
      bitwise the same after updates.
    - Saved and loaded, it gives the same logits; merged, the same to 1e-5.
    - Taken off, it leaves the pretrained states.
    - Above frozen layers it leaves those alone, and their states can be cached.

    Args:
        name: a key of `tailorbird.modeling.adapters.METHODS`; yours, once you have added it.
        folder: an empty folder to work in.
        backbone: a tiny backbone of two layers; None writes that of `write_tiny_backbone`.
        options: fields of `MethodSettings`.
    """
    chosen: dict[str, Any] = {"name": name, **options}
    bench = _Bench(MethodSettings(**chosen), folder, backbone)
    for promise in PROMISES:
        promise(bench)


@dataclass(frozen=True)
class _Bench:
    """Where a way of tuning is tried."""

    settings: MethodSettings
    folder: Path
    backbone: Path | None

    @cached_property
    def tiny(self) -> Path:
        """The backbone's folder."""
        return self.backbone or write_tiny_backbone(self.folder / "tiny")

    def untuned(self) -> TextModel:
        """A model, always the same."""
        import torch

        from tailorbird.modeling import build_model
        from tailorbird.weights import resolve_backbone

        torch.manual_seed(0)
        source = resolve_backbone(str(self.tiny), cache=self.folder)
        return build_model(source, list(SHOP), settings=ModelSettings(dropout=0.0))

    def attached(self, n_frozen: int = 0) -> TextModel:
        """The same with the way of tuning attached above *n_frozen* layers."""
        from tailorbird.modeling import adapters

        model = self.untuned()
        model.backbone.freeze(n_frozen)
        model.attachment = adapters.attach(model.backbone, self.settings)
        return model

    def tuned(self, n_frozen: int = 0) -> tuple[TextModel, set[str]]:
        """The same after three updates, and the names of what was tuned."""
        model = self.attached(n_frozen)
        return model, update(model)


def update(model: TextModel, n_steps: int = 3) -> set[str]:
    """Update as a loop would; returns the names of what was tuned, which alone moved."""
    import torch

    tuned = {name for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    attachment, tokens = model.attachment, model.tokenizer(TEXTS)
    assert attachment is not None
    for k in range(n_steps):
        logits = model.train()(tokens.take(range(len(TEXTS))))
        loss: Tensor = torch.nn.functional.cross_entropy(logits, torch.tensor(TARGETS))
        loss = loss if attachment.penalty is None else loss + attachment.penalty()
        torch.autograd.backward(loss)
        graded = {name for name, p in model.named_parameters() if p.grad is not None}
        assert graded == tuned, f"gradients of {graded ^ tuned}"
        optimizer.step()
        if attachment.after_step is not None:
            attachment.after_step(k + 1, n_steps)
        optimizer.zero_grad()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved, "nothing moved"
    assert moved <= tuned, f"frozen, but moved: {moved - tuned}"
    return tuned


def _starts_as_it_says(bench: _Bench) -> None:
    import torch

    from tailorbird.modeling import adapters

    before, after = bench.untuned().features(TEXTS), bench.attached().features(TEXTS)
    is_silent = torch.allclose(after, before, atol=1e-6)
    starts_silent = adapters.METHODS[bench.settings.name].starts_silent
    assert is_silent == starts_silent, "the states at step 0"


def _tunes_its_own_and_the_head(bench: _Bench) -> None:
    model, tuned = bench.tuned()
    attachment = model.attachment
    assert attachment is not None
    assert {"head.linear.weight", "head.linear.bias"} <= tuned, "the head is always tuned"
    if attachment.originals is not None:
        own = {*attachment.tensors(), *attachment.originals}
        assert {name.removeprefix("backbone.") for name in tuned if "backbone." in name} <= own


def _is_saved_and_merged(bench: _Bench) -> None:
    import torch

    from tailorbird.modeling import load_model, save_model

    model, _ = bench.tuned()
    attachment, logits = model.attachment, model.logits(TEXTS)
    assert attachment is not None
    save_model(model, bench.folder / "saved", backbone=bench.tiny)
    assert torch.equal(model.logits(TEXTS), logits), "saving changed the model"
    again = load_model(bench.folder / "saved").logits(TEXTS)
    assert torch.allclose(again, logits, atol=1e-5), "saved and loaded"
    if attachment.can_merge:
        attachment.merge()
        assert not attachment.tensors(), "merged, but still attached"
        assert torch.allclose(model.logits(TEXTS), logits, atol=1e-5), "merged"


def _can_be_taken_off(bench: _Bench) -> None:
    import torch

    model, _ = bench.tuned()
    attachment = model.attachment
    assert attachment is not None
    if attachment.originals is None:
        try:
            attachment.detach()
        except TuningError:
            return
        raise AssertionError("detached, though the pretrained weights were not kept")
    attachment.detach()
    left, pretrained = (dict(m.backbone.named_parameters()) for m in (model, bench.untuned()))
    assert left.keys() == pretrained.keys(), "still attached"
    assert all(torch.equal(left[n], pretrained[n]) for n in left), "detached"


def _leaves_frozen_layers_alone(bench: _Bench) -> None:
    import torch

    model, tuned = bench.tuned(n_frozen=1)
    below = {n for n in tuned if n.startswith(("backbone.layers.0.", "backbone.words."))}
    assert not below, "below the frozen layers"
    cached = model.with_trunk(model.tokenizer(TEXTS))
    assert cached.states is not None, "nothing was cached"
    assert torch.allclose(model.logits(cached), model.logits(TEXTS), atol=1e-5), "cached"


PROMISES: tuple[Callable[[_Bench], None], ...] = (
    _starts_as_it_says,
    _tunes_its_own_and_the_head,
    _is_saved_and_merged,
    _can_be_taken_off,
    _leaves_frozen_layers_alone,
)
"""What every way of tuning promises, one function each."""
