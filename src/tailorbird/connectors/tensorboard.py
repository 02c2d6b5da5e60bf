"""TensorBoard: the curves of a run as event files in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tailorbird.errors import missing_extra
from tailorbird.records import StepReport


class TensorBoard:
    """Writes ``tensorboard/`` in the run's folder; needs the extra ``tracking``.

    Training loss, rate and speed are drawn per step, validation loss and metrics beside them.
    What was decided becomes a text. Steps that a resumed run does again replace the old ones.
    """

    def __init__(self, folder: Path, run: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing_extra("tensorboard", extra="tracking") from error
        self.folder = folder / "tensorboard"
        self.place = f"curves: tensorboard --logdir {self.folder}"
        self.run = run
        self._open = SummaryWriter
        self._writer: Any = None
        self._decisions: list[str] = []

    def stage(self, name: str) -> None:
        """Stages without curves are left out."""

    def say(self, sentence: str) -> None:
        """Kept until the first step, then written as one text."""
        self._decisions.append(sentence)

    def step(self, report: StepReport) -> None:
        """Draw one report."""
        if self._writer is None:
            # What an interrupted process drew after its last checkpoint is taken back.
            self._writer = self._open(str(self.folder), purge_step=report.step)
            text = "\n".join(f"- {decision}" for decision in self._decisions)
            self._writer.add_text("decisions", text or "none", report.step)
        name = "validation" if report.event == "validation" else "train"
        if report.event != "stop":
            self._writer.add_scalar(f"loss/{name}", report.loss, report.step)
        if report.event == "step":
            self._writer.add_scalar("learning_rate", report.learning_rate, report.step)
            self._writer.add_scalar("tokens_per_s", report.tokens_per_s, report.step)
        for metric, value in report.metrics.items():
            self._writer.add_scalar(f"{metric}/validation", value, report.step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
