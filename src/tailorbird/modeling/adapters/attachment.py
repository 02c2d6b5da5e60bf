"""What every way of tuning gives back once it is attached to a backbone.

Shape letters: T tokens, D width, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError, TuningError, WeightsError


class Attachment:
    """A way of tuning, attached: what it added, and how it is taken off or folded in again.

    Args:
        backbone: what it is attached to.
        settings: how.
        places: each module that was added, by its name inside the backbone.
        originals: pretrained values of those of the backbone's own parameters that are tuned,
            by name; None where they were not kept, so that nothing can be taken off.
        penalty: a term for the loss, () → scalar.
        after_step: called after each optimizer update, while the gradients are still there, with
            the number of updates so far (from 1) and the number there will be.
    """

    def __init__(
        self,
        backbone: nn.Module,
        settings: MethodSettings,
        places: Mapping[str, nn.Module] | None = None,
        *,
        originals: Mapping[str, Tensor] | None = None,
        penalty: Callable[[], Tensor] | None = None,
        after_step: Callable[[int, int], None] | None = None,
    ) -> None:
        self.backbone = backbone
        self.settings = settings
        self.places = dict(places or {})
        self.originals = originals
        self.penalty = penalty
        self.after_step = after_step
        for name, module in self.places.items():
            parent, _, slot = name.rpartition(".")
            setattr(backbone.get_submodule(parent), slot, module)
        reference = next(backbone.parameters())
        for module in self.places.values():
            module.to(reference.device)

    @property
    def can_merge(self) -> bool:
        """Whether the pretrained modules alone can do what they now do with the added ones."""
        return all(hasattr(module, "merged_weight") for module in self.places.values())

    def tensors(self) -> dict[str, Tensor]:
        """What was added, by its name inside the backbone; the memory is shared."""
        return {
            f"{place}.{name}": tensor
            for place, module in self.places.items()
            for name, tensor in module.state_dict().items()
        }

    def memory(self) -> dict[str, Tensor]:
        """What it remembers between steps beside its parameters, for a run that is resumed."""
        return {
            f"{place}.{name}": buffer
            for place, module in self.places.items()
            for name, buffer in module.named_buffers()
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy *tensors*, named as by `tensors`, into what was added.

        Raises WeightsError where one is missing, left over or of another shape.
        """
        mine = self.tensors()
        for name in sorted(mine.keys() ^ tensors.keys()):
            raise WeightsError(
                f"the adapter and its file differ in {name}", cure="attach it as it was saved"
            )
        for name, tensor in mine.items():
            if tensor.shape != tensors[name].shape:
                raise WeightsError(
                    f"{name} is {tuple(tensor.shape)}, its file has {tuple(tensors[name].shape)}",
                    cure="attach it as it was saved",
                )
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def detach(self) -> None:
        """Take off what was added and put tuned parameters back: the pretrained states again.

        Raises TuningError where the pretrained weights were tuned and not kept.
        """
        if self.originals is None:
            raise TuningError(
                f"{self.settings.name} tuning changed the pretrained weights themselves",
                cure="load the backbone again",
            )
        for name, tensor in self.originals.items():
            self.backbone.get_parameter(name).copy_(tensor)
        self._clear()

    @torch.no_grad()
    def merged(self) -> dict[str, Tensor]:
        """The pretrained weights that merging changes, as they are afterwards, by name."""
        weights: dict[str, Tensor] = {}
        for place, module in self.places.items():
            parent = place.rpartition(".")[0]
            weight: Any = module.merged_weight
            weights[f"{parent}.weight"] = weight(self.backbone.get_submodule(parent))
        return weights

    @torch.no_grad()
    def merge(self) -> None:
        """Fold what was added into the pretrained weights, where `can_merge`, and take it off."""
        for name, tensor in self.merged().items():
            self.backbone.get_parameter(name).copy_(tensor)
        self._clear()

    def _clear(self) -> None:
        for name in self.places:
            parent, _, slot = name.rpartition(".")
            setattr(self.backbone.get_submodule(parent), slot, None)
        self.places.clear()


@dataclass(frozen=True, slots=True)
class Method:
    """A way of tuning: the function that attaches it, and what a plan must know of it."""

    attach: Callable[[Any, MethodSettings], Attachment]
    """Freezes the backbone but for what this way tunes, in the layers above ``n_frozen``."""
    rate_factor: float
    """Its learning rate, relative to that of full tuning."""
    rate_reason: str
    starts_silent: bool = True
    """Whether the states are the pretrained ones before the first step."""
    freezes_all: bool = False
    """Whether no layer is tuned, so that the states of all of them can be cached."""
    keeps_backbone: bool = False
    """Whether all it tunes is what it adds, so that several models may share one backbone."""


def tuned_layers(backbone: Any, method: str) -> list[tuple[str, nn.Module]]:
    """(name, layer) of the layers above the frozen ones.

    Raises ConfigError where the backbone has no packed layers to attach to.
    """
    layers = getattr(backbone, "layers", None)
    if layers is None:
        kind = backbone.config.get("model_type", "this architecture")
        raise ConfigError(
            f"method.name = '{method}' needs packed layers, and {kind} has none",
            cure="use --method full, bitfit or head",
        )
    if backbone.n_frozen == len(layers):
        raise ConfigError(
            f"method.name = '{method}' has no layer to tune: all {len(layers)} are frozen",
            cure="lower --set model.freeze_layers=…",
        )
    return [(f"layers.{i}", layers[i]) for i in range(backbone.n_frozen, len(layers))]


def target_linears(backbone: Any, settings: MethodSettings) -> dict[str, nn.Linear]:
    """The linear layers that ``settings.targets`` names, above the frozen layers, by name.

    Where it names none they are all linear layers of a layer, in the order in which a text meets
    them: the more of them, the nearer to full tuning (Dettmers et al. 2023, section 4).

    Raises ConfigError that lists the names where one is unknown.
    """
    wanted = [part.strip() for part in settings.targets.split(",") if part.strip()]
    found: dict[str, nn.Linear] = {}
    for place, layer in tuned_layers(backbone, settings.name):
        linears = {n: m for n, m in layer.named_children() if isinstance(m, nn.Linear)}
        for name in wanted or linears:
            if name not in linears:
                raise ConfigError(
                    f"method.targets = {settings.targets!r}: no linear layer {name!r}",
                    cure=f"the layers have {', '.join(linears)}",
                )
            found[f"{place}.{name}"] = linears[name]
    return found
