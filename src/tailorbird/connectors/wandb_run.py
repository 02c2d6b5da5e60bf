"""Weights & Biases: the curves of a run, written offline unless the user asks for more."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from tailorbird.connectors.run_folder import remember, remembered, results_of, settings_of
from tailorbird.errors import missing_extra
from tailorbird.records import StepReport


class WandbRun:
    """Writes ``wandb/`` in the run's folder; needs the extra ``tracking``.

    Offline, so that nothing is sent anywhere, unless ``WANDB_MODE`` says otherwise or
    ``WANDB_API_KEY`` is set; ``wandb sync`` sends it later. ``WANDB_PROJECT`` names the project. A
    resumed run goes on under its id; steps that are done again are drawn again.
    """

    def __init__(self, folder: Path, run: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing_extra("wandb", extra="tracking") from error
        self._wandb: Any = wandb
        self.folder = folder
        self.run = run
        asked = os.environ.get("WANDB_MODE", "")
        self.mode = asked or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self.place = f"curves: wandb sync {folder / 'wandb'}/offline-run-*"
        if self.mode != "offline":
            self.place = f"curves: Weights & Biases ({self.mode}), run {run!r}"
        self._open: Any = None
        self._decisions: list[str] = []

    def stage(self, name: str) -> None:
        """Stages without curves are left out."""

    def say(self, sentence: str) -> None:
        """Kept for the notes."""
        self._decisions.append(sentence)

    def step(self, report: StepReport) -> None:
        """Draw one report; the axis is our own step, for theirs counts reports."""
        if self._open is None:
            self._begin()
        self._open.log(points(report) | {"step": report.step})

    def _begin(self) -> None:
        own_id = remembered(self.folder, "wandb") or uuid.uuid4().hex[:8]
        remember(self.folder, "wandb", own_id)
        # Neither the machine nor the code is anybody's business: only what the run itself says.
        quiet = self._wandb.Settings(
            mode=self.mode,
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        self._open = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tailorbird"),
            dir=str(self.folder),
            id=own_id,
            name=self.run,
            resume="allow",
            config=settings_of(self.folder),
            notes="\n".join(f"- {decision}" for decision in self._decisions),
            settings=quiet,
        )
        self._open.define_metric("step", hidden=True)
        self._open.define_metric("*", step_metric="step")

    def close(self) -> None:
        """Add the results and write what is still in memory."""
        if self._open is None:
            return
        self._open.config.update(settings_of(self.folder), allow_val_change=True)
        self._open.notes = "\n".join(f"- {decision}" for decision in self._decisions)
        for key, value in results_of(self.folder).items():
            self._open.summary[key] = value
        self._open.finish()
        self._open = None
        if self._wandb.run is None:
            # Offline, finish() returns before its writer has; only the end of it is sure.
            self._wandb.teardown()


def points(report: StepReport) -> dict[str, float]:
    """What a report adds to which curve; the same curves as in TensorBoard."""
    name = "validation" if report.event == "validation" else "train"
    found = {f"{metric}/validation": value for metric, value in report.metrics.items()}
    if report.event in ("step", "validation"):
        found[f"loss/{name}"] = report.loss
    if report.event == "step":
        found |= {"learning_rate": report.learning_rate, "tokens_per_s": report.tokens_per_s}
    return found
