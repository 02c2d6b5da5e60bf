"""What answers texts of many users in passes that they share, wherever it computes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tailorbird.bundle.loading import Bundle
from tailorbird.errors import WeightsError
from tailorbird.records import Prediction

if TYPE_CHECKING:
    from tailorbird.bundle.adapter_files import StoredAdapter
    from tailorbird.modeling.adapters.mixed import Outputs, ReadyAdapter


class Passes(Protocol):
    """What computes for a `PersonalBundle`: `MixedPasses` here, `ApartBundle` elsewhere."""

    def predict(self, texts: Sequence[str], /) -> list[Prediction]:
        """One prediction a text by the shared assistant."""
        ...

    def predict_with(self, texts: Sequence[str], adapters: Sequence[Any], /) -> list[Prediction]:
        """One prediction a text by the adapter beside it, None being the shared assistant."""
        ...

    def make_ready(self, stored: StoredAdapter, /) -> Any:
        """An adapter for `predict_with`.

        Raises WeightsError where it belongs to other weights, StoreError where it cannot be read.
        """
        ...


class MixedPasses:
    """Passes through the network of *bundle* that several adapters share."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._loading = threading.Lock()

    @property
    def id(self) -> str:
        """The bundle's."""
        return self.bundle.id

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text by the shared assistant."""
        self._model()
        return self.bundle.predict(texts)

    def predict_with(
        self, texts: Sequence[str], adapters: Sequence[ReadyAdapter | None]
    ) -> list[Prediction]:
        """One prediction a text by the adapter beside it, None being the shared assistant.

        The texts share their passes through the network.
        """
        from tailorbird.modeling.adapters.mixed import mixed_outputs

        predictions: list[Any] = [None] * len(texts)
        model = self._model()
        for part in mixed_outputs(model, texts, adapters):
            facts: list[Any] = [getattr(adapters[i], "facts", {}) for i in part.at]
            found = self.bundle.predictions(
                [texts[i] for i in part.at],
                part.rows.numpy(),
                labels=part.labels,
                temperatures=[own.get("temperature", self.bundle.temperature) for own in facts],
                thresholds=[own.get("threshold", self.bundle.threshold) for own in facts],
                scores=self._scores(model, part, facts),
            )
            for at, prediction in zip(part.at, found, strict=True):
                predictions[at] = prediction
        return predictions

    def make_ready(self, stored: StoredAdapter) -> ReadyAdapter:
        """*stored* in memory.

        Raises WeightsError where it was tuned over other weights than these, StoreError where it
        cannot be read.
        """
        from tailorbird.modeling.adapters.mixed import make_ready

        weights = stored.weights()
        if weights.trunk != self._trunk:
            raise WeightsError(
                f"adapter {weights.hash[:8]} was tuned over the weights {weights.trunk[:8] or '?'}"
                f" and bundle {self.id} has {self._trunk[:8]}",
                cure="personalise again over this bundle",
            )
        return make_ready(self._model(), weights)

    def _scores(self, model: Any, part: Outputs, facts: Sequence[Any]) -> Any:
        """(B,) scope scores, of what the shared assistant makes of the texts.

        NaN where a user has a threshold of their own, or an adapter inside of the network; None
        where the intents are not the shared ones.
        """
        if self.bundle.scope is None or part.labels != self.bundle.labels:
            return None
        has_own = ["threshold" in own for own in facts]
        scores = self.bundle.scope.probabilities(model.classify(part.states[:, 0]), part.states)
        return np.where(has_own, np.nan, scores)

    def _model(self) -> Any:
        with self._loading:  # the engine's thread and the loader's may both be first
            return self.bundle.classifier

    @cached_property
    def _trunk(self) -> str:
        from tailorbird.modeling.adapters.weights import trunk_hash

        return trunk_hash(self._model().backbone)
