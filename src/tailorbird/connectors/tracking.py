"""Where a run can be watched besides its own ``metrics.jsonl``: listeners of a build, by name.

A tracker is a `tailorbird.api.Listener` that can be closed: it is told of stages, decisions and
steps, and hands them to a system that draws curves.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tailorbird.connectors.mlflow_run import MlflowRun
from tailorbird.connectors.tensorboard import TensorBoard
from tailorbird.connectors.wandb_run import WandbRun
from tailorbird.errors import ConfigError
from tailorbird.records import StepReport


class Tracker(Protocol):
    """A listener of a build that keeps what it heard somewhere."""

    place: str
    """Where a person finds it: the command or the address, as a sentence."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def say(self, sentence: str) -> None:
        """A decision was taken, with its reason."""

    def step(self, report: StepReport) -> None:
        """The tuning run moved on."""

    def close(self) -> None:
        """Everything is written when this returns."""


TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandbRun,
    "mlflow": MlflowRun,
}
"""Name → what opens it for a run's folder and a run's name."""


def open_tracker(kind: str, folder: Path, run: str) -> Tracker:
    """The tracker *kind* for the run named *run*, whose files go below *folder*.

    Raises ConfigError for a name that is none of `TRACKERS`, MissingExtraError where its package
    is not installed.
    """
    if kind not in TRACKERS:
        near = difflib.get_close_matches(kind, TRACKERS, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(TRACKERS)}"
        raise ConfigError(f"{kind!r} is not a tracker", cure=cure)
    return TRACKERS[kind](folder, run)
