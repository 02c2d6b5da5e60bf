"""What is kept for a user: the adapter that won, and own rows beside it where they are of use.

Kept is an `AdapterWeights` of the method ``head``, whose ``head`` is the shared one with this
user's change, or of the method of an adapter job. Own rows are further tensors of it
(`OwnRows.beside`): whoever serves takes them off with `without_rows`, computes the answer as of any
adapter, and blends it with `OwnRows.numbers` or `OwnRows.probs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tailorbird.config import MethodSettings
from tailorbird.modeling import TextModel
from tailorbird.modeling.adapters.own_rows import OwnRows
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.personalise.candidates import NONE, Candidates, HeadAdapters
from tailorbird.personalise.heads import HeadFit
from tailorbird.personalise.proving import Outcome, UserOutcome
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.tuned import JobAdapters
from tailorbird.personalise.view import UNSEEN_MASS, View


class Keeps(Protocol):
    """Where adapters of users are kept, as `AdapterStore` does."""

    def add(self, user: str, weights: AdapterWeights) -> str:
        """Keep *weights* for *user*; returns their hash."""

    def remove(self, *users: str) -> Any:
        """Forget what *users* have; nothing happens where that is nothing."""


@dataclass(frozen=True)
class Shared:
    """The shared assistant's head, which a user's is made of."""

    model: TextModel
    trunk: str
    """The hash of its backbone."""
    temperature: float = 1.0
    """Its logits are divided by it; heads of users have that in their weights already."""

    def adapter(
        self, view: View, change: tuple[Tensor, Tensor] | None, facts: Mapping[str, Any]
    ) -> AdapterWeights:
        """The shared head plus a *change* (C, D) and (C,) on the unit sphere, in outputs' units.

        Classes that the shared head lacks get places where the view has them.
        """
        head = {name: tensor.detach().clone() for name, tensor in self.state.items()}
        weight = head["linear.weight"].double() / self.temperature
        bias = head["linear.bias"].double() / self.temperature
        n_extra = len(view.labels) - view.n_known
        if n_extra and change is not None:
            # The shared head says nothing of them: they start where the view has put them.
            assert view.log_mass is not None
            level = view.log_mass.mean() + torch.tensor(UNSEEN_MASS / n_extra).log()
            weight = torch.cat([weight, weight.new_zeros(n_extra, weight.shape[1])])
            bias = torch.cat([bias, level.expand(n_extra)])
        if change is not None:
            spread = head["spread"].double() if view.is_numbers else torch.ones(()).double()
            weight = weight + change[0] / (self.model.head.scale * spread)
            bias = bias + change[1] / spread
        head["linear.weight"], head["linear.bias"] = weight.float(), bias.float()
        labels = view.labels if change is not None else view.labels[: view.n_known]
        return AdapterWeights(
            MethodSettings(name="head"), 0, {}, head, labels, self.trunk, dict(facts)
        )

    @property
    def state(self) -> dict[str, Tensor]:
        """The shared head's tensors."""
        state: dict[str, Tensor] = self.model.head.state_dict()
        return state


def weights_of(
    shared: Shared, candidates: Candidates, rows: UserRows, outcome: UserOutcome
) -> AdapterWeights | None:
    """What the user of *outcome* is served with, fitted to all of *rows*; None: nothing.

    The newest rows are part of it: what was to be proven is proven, and serving wants all there is.
    """
    name = outcome.chosen
    if name == NONE:
        return None
    known = rows.known + rows.test
    belief = outcome.beliefs[name]
    facts = {
        "candidate": name,
        "n_rows": len(known),
        "gain": belief.believed,
        "sure": belief.sure,
        "loss": candidates.view.loss_name,
        "task": shared.model.spec.task,
        "pooling": shared.model.pooling,
    }
    if not candidates.view.is_numbers:
        facts["temperature"] = 1.0  # what was proven, to the digit
    weights = _adapter(shared, candidates, rows, name, facts)
    own = candidates.rows_beside(name, rows, known)
    if own is None:
        return weights
    return _in_places_of(weights.labels, candidates.view, own).beside(weights)


def _in_places_of(labels: Sequence[str], view: View, own: OwnRows) -> OwnRows:
    """The rows with their classes numbered as in *labels*, those without a place left out.

    An adapter job orders classes as it likes and knows no class of the newest rows alone.
    """
    if view.is_numbers or tuple(labels) == view.labels:
        return own
    place = {label: number for number, label in enumerate(labels)}
    places = torch.tensor([place.get(label, -1) for label in view.labels])[own.truth]
    kept = places >= 0
    return OwnRows(own.features[kept], places[kept], own.base[kept], own.how)


def _adapter(
    shared: Shared, candidates: Candidates, rows: UserRows, name: str, facts: Mapping[str, Any]
) -> AdapterWeights:
    view, adapters = candidates.view, candidates.adapters
    known = rows.known + rows.test
    if name == "retrieval":
        is_wider = len(view.labels) > view.n_known  # by classes that the shared head lacks
        return shared.adapter(view, _no_change(view) if is_wider else None, facts)
    if isinstance(adapters, HeadAdapters):
        fit: HeadFit = adapters.heads.fit(known, adapters.prior)
        return shared.adapter(view, adapters.heads.deltas(fit), facts)
    assert isinstance(adapters, JobAdapters)
    found = adapters.weights(rows)
    return replace(found, facts={**found.facts, **facts})


def _no_change(view: View) -> tuple[Tensor, Tensor]:
    n_outputs, width = view.base.shape[1], view.features.shape[1]
    return torch.zeros(n_outputs, width).double(), torch.zeros(n_outputs).double()


def give(
    store: Keeps,
    shared: Shared,
    candidates: Candidates,
    users: list[UserRows],
    outcome: Outcome,
) -> int:
    """Keep for every user what they won; who won nothing loses what they had; how many won."""
    without: list[str] = []
    for rows, one in zip(users, outcome.users, strict=True):
        weights = weights_of(shared, candidates, rows, one)
        if weights is None:
            without.append(rows.user)
        else:
            store.add(rows.user, weights)
    store.remove(*without)
    return len(users) - len(without)
