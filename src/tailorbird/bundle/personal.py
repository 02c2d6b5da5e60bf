"""A bundle that answers users with adapters of their own, and everybody else as it does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailorbird.bundle.adapter_cache import AdapterCache
from tailorbird.bundle.adapter_store import AdapterStore
from tailorbird.bundle.loading import Bundle
from tailorbird.errors import StoreError, WeightsError
from tailorbird.records import Prediction
from tailorbird.store import Workspace

if TYPE_CHECKING:
    from tailorbird.modeling.adapters.mixed import Outputs, ReadyAdapter
    from tailorbird.modeling.adapters.weights import AdapterWeights

log = logging.getLogger(__name__)


class PersonalBundle:
    """*bundle* with the adapters of *store*, of which *limit_bytes* are kept in memory.

    An adapter's facts may hold ``temperature`` and ``threshold``, found for its user; without
    them, the bundle's are taken.
    """

    def __init__(self, bundle: Bundle, store: AdapterStore, limit_bytes: int) -> None:
        self.bundle = bundle
        self.adapters = AdapterCache(store, self._make_ready, limit_bytes)
        self._loading = threading.Lock()

    @property
    def id(self) -> str:
        """The bundle's."""
        return self.bundle.id

    @property
    def labels(self) -> tuple[str, ...]:
        """The bundle's intents."""
        return self.bundle.labels

    @property
    def path(self) -> Path:
        """The bundle's folder, where its report is."""
        return self.bundle.path

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text by the shared assistant."""
        self._model()
        return self.bundle.predict(texts)

    def adapter_of(self, user: str) -> ReadyAdapter | None:
        """What *user*'s texts are to be answered with, at once; None: the shared assistant."""
        return self.adapters.get(user)

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

    def close(self) -> None:
        """Load no more adapters; what is in flight is not touched."""
        self.adapters.close()

    def _model(self) -> Any:
        with self._loading:  # the engine's thread and the loader's may both be first
            return self.bundle.classifier

    @cached_property
    def _trunk(self) -> str:
        from tailorbird.modeling.adapters.weights import trunk_hash

        return trunk_hash(self._model().backbone)

    def _make_ready(self, weights: AdapterWeights) -> ReadyAdapter:
        from tailorbird.modeling.adapters.mixed import make_ready

        if weights.trunk != self._trunk:
            raise WeightsError(
                f"adapter {weights.hash[:8]} was tuned over the weights {weights.trunk[:8] or '?'}"
                f" and bundle {self.id} has {self._trunk[:8]}",
                cure="personalise again over this bundle",
            )
        return make_ready(self._model(), weights)


def for_users(workspace: Workspace, bundle: Bundle, *, limit_bytes: int) -> Bundle | PersonalBundle:
    """*bundle* with the adapters that *workspace* has, or will have, of its users.

    They are in ``adapters/<bundle id>``. Where these cannot be read, or *limit_bytes* is 0, it is
    the bundle alone; the log says why.
    """
    if limit_bytes <= 0:
        return bundle
    try:
        store = AdapterStore(workspace.adapters_path / bundle.id)
    except StoreError as error:
        log.error("no user is served with an adapter: %s", error)
        return bundle
    return PersonalBundle(bundle, store, limit_bytes)
