"""A bundle whose model computes in a process of its own; all else of it is here.

The weights are there alone: the `Bundle` of this process never loads its model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from tailorbird.apart import Lane, Placed, Process
from tailorbird.bundle.loading import Bundle, Classifier, load_bundle
from tailorbird.bundle.passes import MixedPasses
from tailorbird.records import Prediction

if TYPE_CHECKING:
    from tailorbird.bundle.adapter_files import StoredAdapter
    from tailorbird.modeling.adapters.mixed import ReadyAdapter

P = ParamSpec("P")
T = TypeVar("T")

FIRST = ("warm up", "预热")
"""Answered as soon as a model is loaded, so that nobody else has the first answer."""


@dataclass(frozen=True, eq=False)
class ApartAdapter:
    """A user's adapter, ready to be used in the other process for as long as this is kept."""

    hash: str
    n_bytes: int
    placed: Placed = field(repr=False)


class ApartBundle:
    """*bundle*, asked in *process*: a predictor, and `Passes` for a `PersonalBundle`."""

    def __init__(self, bundle: Bundle, process: Process) -> None:
        self.bundle = bundle
        self._process = process
        self._placed = process.place(partial(_opened, bundle.path, bundle.load_model))

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
        n_threads = self._process.threads_for(len(texts))
        return self._placed.ask(Lane.ANSWER, _shared, n_threads, MixedPasses.predict, texts)

    def predict_with(
        self, texts: Sequence[str], adapters: Sequence[ApartAdapter | None]
    ) -> list[Prediction]:
        """One prediction a text by the adapter beside it, None being the shared assistant."""
        named: list[Any] = [one and one.placed for one in adapters]
        n_threads, mixed = self._process.threads_for(len(texts)), MixedPasses.predict_with
        return self._placed.ask(Lane.ANSWER, _shared, n_threads, mixed, texts, named)

    def make_ready(self, stored: StoredAdapter) -> ApartAdapter:
        """*stored* in the other process, which reads it itself; errors as of `MixedPasses`."""
        there: Any = self._placed  # which is the passes themselves where it arrives
        placed = self._process.place(partial(_ready, there, stored))
        return ApartAdapter(stored.hash, placed.ask(Lane.ASIDE, _size), placed)

    def aside(
        self, function: Callable[Concatenate[Any, P], T], *given: P.args, **named: P.kwargs
    ) -> T:
        """What *function* gives with the bundle over there, when nothing more urgent is to do."""
        return self._placed.ask(Lane.ASIDE, function, *given, **named)

    def place(self, make: Callable[[], Any]) -> Placed:
        """Another object beside it, for functions that are asked aside."""
        return self._process.place(make)


def _opened(path: Path, load_model: Callable[[Path], Classifier]) -> MixedPasses:
    """The bundle in *path*, which the other side has checked, loaded and asked once."""
    passes = MixedPasses(load_bundle(path, verify=False, load_model=load_model))
    passes.predict(FIRST)
    return passes


def _shared(
    passes: MixedPasses,
    n_threads: int,
    predict: Callable[..., list[Prediction]],
    texts: Sequence[str],
    *adapters: Sequence[Any],
) -> list[Prediction]:
    """What *predict* gives, its products shared by *n_threads*."""
    import torch

    if torch.get_num_threads() != n_threads:  # of this thread; those of other lanes keep theirs
        torch.set_num_threads(n_threads)
    return predict(passes, texts, *adapters)


def _ready(passes: MixedPasses, stored: StoredAdapter) -> ReadyAdapter:
    return passes.make_ready(stored)


def _size(adapter: ReadyAdapter) -> int:
    return adapter.n_bytes
