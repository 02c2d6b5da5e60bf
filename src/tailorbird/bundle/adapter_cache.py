"""Users' adapters in memory, ready to be used: looking one up never waits for the disk."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailorbird.errors import StoreError, TailorbirdError

if TYPE_CHECKING:
    from tailorbird.bundle.adapter_files import StoredAdapter
    from tailorbird.bundle.adapter_store import AdapterStore
    from tailorbird.modeling.adapters.mixed import ReadyAdapter

log = logging.getLogger(__name__)

ENTRY_BYTES = 1000
"""What a user takes beside their adapter, about; all there is of one who has none."""
LOADER_NICE = 10
N_TRIES = 3
"""To load an adapter which is exchanged, moved or removed meanwhile."""
MAX_LOADING = 10_000
"""Users that wait to be loaded; those beyond are tried again when they ask the next time."""


@dataclass(frozen=True, slots=True)
class _Entry:
    hash: str
    """Of the store's adapter; empty where the user has none."""
    adapter: ReadyAdapter | None
    """None, too, where it cannot be used here."""

    @property
    def n_bytes(self) -> int:
        return ENTRY_BYTES + (self.adapter.n_bytes if self.adapter else 0)


class AdapterCache:
    """The adapters of the users who asked last, as many as fit *limit_bytes*.

    Args:
        store: where they are; closed with the cache.
        make_ready: copies an adapter into memory; its errors mean that it cannot be used, and the
            log says so.
        limit_bytes: memory for adapters.
        check_s: how often to look for changes of the store, at most.
    """

    def __init__(
        self,
        store: AdapterStore,
        make_ready: Callable[[StoredAdapter], ReadyAdapter],
        limit_bytes: int,
        *,
        check_s: float = 1.0,
    ) -> None:
        self.store = store
        self._make_ready = make_ready
        self._limit_bytes = limit_bytes
        self._check_s = check_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._loading: set[str] = set()
        self._n_bytes = 0
        self._stamp = store.stamp
        self._checked_s = time.monotonic()
        self._lock = threading.Lock()
        self._loader = ThreadPoolExecutor(
            1, thread_name_prefix="tailorbird-adapters", initializer=_step_back
        )
        self._is_closed = False

    @property
    def n_bytes(self) -> int:
        """Memory in use."""
        return self._n_bytes

    def get(self, user: str) -> ReadyAdapter | None:
        """*user*'s adapter; None where there is none, or none in memory yet: it is being loaded.

        Takes microseconds. A change of the store is followed within about *check_s* seconds, by
        one exchange: who has got the old version keeps it.
        """
        with self._lock:
            if self._is_closed:
                return None
            now_s = time.monotonic()
            if now_s - self._checked_s > self._check_s:
                self._checked_s = now_s
                self._loader.submit(self._follow)
            entry = self._entries.get(user)
            if entry is not None:
                self._entries.move_to_end(user)
                return entry.adapter
            if user not in self._loading and len(self._loading) < MAX_LOADING:
                self._loading.add(user)
                self._loader.submit(self._load, user)
            return None

    def wait(self) -> None:
        """Return once everything that was asked for so far is loaded."""
        self._loader.submit(lambda: None).result()

    def close(self) -> None:
        """Load no more and close the store; adapters in use stay valid."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._loader.shutdown(cancel_futures=True)
        self.store.close()

    def _load(self, user: str) -> None:
        try:
            entry = self._entry(user)
        finally:
            with self._lock:
                self._loading.discard(user)
        self._put(user, entry)

    def _entry(self, user: str) -> _Entry:
        for attempt in range(N_TRIES):
            name = ""
            try:
                found = self.store.find(user)
                if found is None:
                    return _Entry("", None)
                name = found.hash
                ready = self._make_ready(found)
                # A removed user's bytes become zeros, but not before the index says so.
                if self.store.hash_of(user) == name:
                    return _Entry(name, ready)
            except TailorbirdError as error:
                if isinstance(error, StoreError) and attempt < N_TRIES - 1:
                    continue  # it was moved after the index was read
                log.error("an adapter is not used, the shared assistant answers: %s", error)
                return _Entry(name, None)
            except Exception:  # the thread that loads must live on; the log has all of it
                log.exception("an adapter is not used, the shared assistant answers")
                return _Entry(name, None)
        return _Entry("", None)

    def _put(self, user: str, entry: _Entry) -> None:
        with self._lock:
            old = self._entries.pop(user, None)
            self._n_bytes += entry.n_bytes - (old.n_bytes if old else 0)
            self._entries[user] = entry
            while self._n_bytes > self._limit_bytes and self._entries:
                _, gone = self._entries.popitem(last=False)
                self._n_bytes -= gone.n_bytes

    def _follow(self) -> None:
        """Exchange what has changed in the store since the last time."""
        try:
            stamp = self.store.stamp
            if stamp == self._stamp:
                return
            with self._lock:
                known = {user: entry.hash for user, entry in self._entries.items()}
            for user, name in known.items():
                if self.store.hash_of(user) != name:
                    entry = self._entry(user)
                    with self._lock:
                        is_known = user in self._entries
                    if is_known:
                        self._put(user, entry)
            self._stamp = stamp
        except TailorbirdError as error:
            log.error("the adapters could not be looked at for changes: %s", error)


def _step_back() -> None:
    """Leave the processor to the thread that answers (Linux, where threads have priorities)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOADER_NICE)
