"""MLflow: the curves of a run in a database beside the runs, or on the server the user names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailorbird.connectors.run_folder import remember, remembered, results_of, settings_of
from tailorbird.connectors.wandb_run import points
from tailorbird.errors import missing_extra
from tailorbird.records import StepReport

MAX_PARAM_CHARS = 6_000
"""What MLflow keeps of one parameter."""
_NOTE = "mlflow.note.content"


class MlflowRun:
    """Writes to ``mlflow.db`` beside the runs' folders; needs the extra ``tracking``.

    ``MLFLOW_TRACKING_URI`` names another store or a server, ``MLFLOW_EXPERIMENT_NAME`` the
    experiment. A resumed run goes on in its own run of MLflow; steps that are done again are drawn
    again.
    """

    def __init__(self, folder: Path, run: str) -> None:
        # MLflow asks its servers' address book for news of usage unless it is told not to.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing_extra("mlflow", extra="tracking") from error
        self._client_of: Callable[..., Any] = MlflowClient
        self.folder = folder
        self.run = run
        own = f"sqlite:///{folder.resolve().parent / 'mlflow.db'}"
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or own
        self.place = f"curves: mlflow ui --backend-store-uri {self.uri}"
        self._client: Any = None
        self._id = ""
        self._decisions: list[str] = []

    def stage(self, name: str) -> None:
        """Stages without curves are left out."""

    def say(self, sentence: str) -> None:
        """Kept for the description."""
        self._decisions.append(sentence)

    def step(self, report: StepReport) -> None:
        """Draw one report."""
        with _their_warnings():
            if self._client is None:
                self._begin()
            for name, value in points(report).items():
                self._client.log_metric(self._id, name, value, step=report.step)

    def _begin(self) -> None:
        self._client = self._client_of(tracking_uri=self.uri)
        self._id = remembered(self.folder, "mlflow")
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tailorbird")
        experiment = self._client.get_experiment_by_name(name)
        where = experiment.experiment_id if experiment else self._client.create_experiment(name)
        self._id = self._client.create_run(where, run_name=self.run).info.run_id
        remember(self.folder, "mlflow", self._id)

    def close(self) -> None:
        """Add settings, decisions and results; the run is finished when this returns."""
        if self._client is None:
            return
        with _their_warnings():
            # A parameter may be written once only: what a resumed run was started with stays.
            kept = self._client.get_run(self._id).data.params
            for key, value in settings_of(self.folder).items():
                if key not in kept:
                    self._client.log_param(self._id, key, str(value)[:MAX_PARAM_CHARS])
            note = "\n".join(f"- {decision}" for decision in self._decisions)
            self._client.set_tag(self._id, _NOTE, note)
            for key, value in results_of(self.folder).items():
                self._client.log_metric(self._id, key, value)
            self._client.set_terminated(self._id)
        self._client = None


def _their_warnings() -> Any:
    """Silence: what MLflow's own code uses that is about to go is not the user's business."""
    return warnings.catch_warnings(action="ignore")
