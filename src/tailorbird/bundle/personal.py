"""A bundle that answers users with adapters of their own, and everybody else as it does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.bundle.adapter_cache import AdapterCache
from tailorbird.bundle.adapter_store import AdapterStore
from tailorbird.bundle.apart import ApartBundle
from tailorbird.bundle.loading import Bundle
from tailorbird.bundle.passes import MixedPasses, Passes
from tailorbird.errors import StoreError
from tailorbird.records import Prediction
from tailorbird.store import Workspace

if TYPE_CHECKING:
    from tailorbird.apart import Process

log = logging.getLogger(__name__)


class PersonalBundle:
    """*bundle* with the adapters of *store*, of which *limit_bytes* are kept in memory.

    An adapter's facts may hold ``temperature`` and ``threshold``, found for its user; without
    them, the bundle's are taken. *passes* compute for it: in this process unless another is given.
    """

    def __init__(
        self,
        bundle: Bundle,
        store: AdapterStore,
        limit_bytes: int,
        *,
        passes: Passes | None = None,
    ) -> None:
        self.bundle = bundle
        self.passes: Any = passes or MixedPasses(bundle)
        self.adapters = AdapterCache(store, self.passes.make_ready, limit_bytes)
        self._limit_bytes = limit_bytes

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
        return list(self.passes.predict(texts))

    def adapter_of(self, user: str) -> Any:
        """What *user*'s texts are to be answered with, at once; None: the shared assistant."""
        return self.adapters.get(user)

    def predict_with(self, texts: Sequence[str], adapters: Sequence[Any]) -> list[Prediction]:
        """One prediction a text by the adapter beside it, None being the shared assistant.

        The texts share their passes through the network.
        """
        return list(self.passes.predict_with(texts, adapters))

    def apart_in(self, process: Process) -> PersonalBundle:
        """The same, computed in *process*; this one is of no use afterwards."""
        passes = ApartBundle(self.bundle, process)
        return PersonalBundle(self.bundle, self.adapters.store, self._limit_bytes, passes=passes)

    def close(self) -> None:
        """Load no more adapters; what is in flight is not touched."""
        self.adapters.close()


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
