"""One adapter job, from its rows to its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tailorbird.jobs.files import JobFiles
from tailorbird.jobs.job import Job, JobResult, Status
from tailorbird.jobs.shared_base import SharedBase, kept_random
from tailorbird.jobs.together import Member, tune_together
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.records import StepReport
from tailorbird.tuning import tune

OnReport = Callable[[str, StepReport], bool]
AT_ONCE = 64
"""Jobs that share steps: the others wait, as each needs memory for its own states."""
KEEP_EVERY_S = 30.0
"""So much work is lost at most where a process is killed; keeping a state has its price, too."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Who hears of jobs while they run."""

    on_report: OnReport | None = None
    stop: Callable[[], bool] = lambda: False
    keep_every_s: float = KEEP_EVERY_S

    def ends(self, job: Job, report: StepReport) -> bool:
        """Whether somebody has seen enough of *job*."""
        return self.on_report is not None and self.on_report(job.name, report)


class JobRun:
    """A job that was begun, here or by an earlier call.

    Raises what `SharedBase.begin` raises.
    """

    def __init__(
        self, shared: SharedBase, job: Job, files: JobFiles, *, n_together: int = 1
    ) -> None:
        self.core_s = time.process_time()
        self.n_together = n_together  # jobs that share the processor's time
        self.shared = shared
        self.job = job
        self.files = files
        self.start = shared.begin(job)
        self.run = self.start.run
        self.scores: dict[str, float] = {}
        self.loss = 0.0
        self.core_before_s = 0.0
        saved = files.state(job)
        if saved is not None:
            self.run.restore(*saved)
            self.scores, self.loss = saved[1]["scores"], saved[1]["loss"]
            self.core_before_s = saved[1]["core_s"]

    def reports(self) -> Iterator[StepReport]:
        """Tune; see `tune`."""
        return tune(self.run, self.start.train, self.start.validation)

    def take(self, report: StepReport) -> None:
        """Remember what *report* says of the weights that are kept."""
        if report.event == "validation" and self.run.best_step == report.step:
            self.scores, self.loss = dict(report.metrics), report.loss
        elif report.event == "step" and self.start.validation is None:
            self.loss = report.loss

    def keep_state(self) -> None:
        """Write what is needed to go on later, between two reports."""
        facts = {"scores": self.scores, "loss": self.loss, "core_s": self._spent_s()}
        self.files.keep_state(self.job, self.run.tensors(), self.run.facts() | facts)

    def finish(self, status: Status = "done") -> JobResult:
        """Write weights, outputs and result."""
        run, job, model = self.run, self.job, self.run.model
        if status == "stopped":
            run.restore_best()
        self.shared.finish(self.start, job)
        weights = self.files.keep_weights(job, self._weights(status))
        outputs = None
        if job.predict:
            outputs = self.files.keep_outputs(job, self.shared.outputs(model, job.predict))
        result = JobResult(
            job.name,
            status,
            scores=self.scores,
            loss=self.loss,
            best_step=run.best_step if self.start.validation is not None else run.step,
            n_steps=run.step,
            n_tokens=run.n_tokens,
            train_s=run.elapsed_s,
            core_s=self._spent_s(),
            labels=model.labels,
            weights=weights,
            outputs=outputs,
        )
        return self.files.keep(job, result)

    def _spent_s(self) -> float:
        return self.core_before_s + (time.process_time() - self.core_s) / self.n_together

    def _weights(self, status: Status) -> AdapterWeights:
        run, attachment = self.run, self.run.attachment
        own = {
            name.removeprefix("backbone."): tensor
            for name, tensor in run.tuned().items()
            if name.startswith("backbone.")
        }
        facts: dict[str, Any] = {
            "job": self.job.name,
            "status": status,
            "n_rows": len(self.job.train),
            "seed": run.plan.settings.seed,
            "task": run.task.name,
            "pooling": run.model.pooling,
            "scores": self.scores,
            "loss": self.loss,
        }
        return AdapterWeights(
            settings=run.plan.method,
            n_frozen=getattr(run.model.backbone, "n_frozen", 0),
            tensors=own | attachment.tensors(),
            head=run.model.head.state_dict(),
            labels=run.model.labels,
            trunk=self.shared.trunk,
            facts=facts,
        )


def do_job(shared: SharedBase, job: Job, files: JobFiles, listening: Listening) -> JobResult | None:
    """Tune *job* to its end; None where it was asked to stop: its state is kept then.

    A job that cannot be tuned, for whatever reason, is a result that says why.
    """
    try:
        state = JobRun(shared, job, files)
        kept_s = time.monotonic()
        for report in state.reports():
            state.take(report)
            if report.event == "validation" and listening.ends(job, report):
                return state.finish("stopped")
            if listening.stop():
                state.keep_state()
                return None
            if time.monotonic() - kept_s > listening.keep_every_s:
                state.keep_state()
                kept_s = time.monotonic()
        return state.finish()
    except Exception as error:
        return failed(job, files, error)


def do_jobs_together(
    shared: SharedBase, jobs: Sequence[Job], files: JobFiles, listening: Listening
) -> Iterator[JobResult]:
    """Tune *jobs*, many in one step; yields results as they end, fewer where asked to stop."""
    for first in range(0, len(jobs), AT_ONCE):
        some = jobs[first : first + AT_ONCE]
        states: list[JobRun] = []
        members: list[Member] = []
        with kept_random():
            for job in some:
                try:
                    state = JobRun(shared, job, files, n_together=len(some))
                    members.append(Member(state.run, state.start.train, state.start.validation))
                    states.append(state)
                except Exception as error:
                    yield failed(job, files, error)
            for number, event in tune_together(members):
                state = states[number]
                if not isinstance(event, StepReport):
                    yield _ended(state, event)
                    continue
                state.take(event)
                if event.event == "validation" and listening.ends(state.job, event):
                    members[number].leave()
                    yield _ended(state, None, "stopped")
                if listening.stop():
                    _keep_all(states, members)
                    return


def _ended(state: JobRun, error: Exception | None, status: Status = "done") -> JobResult:
    try:
        return state.finish(status) if error is None else failed(state.job, state.files, error)
    except Exception as other:  # a full disk, say
        return failed(state.job, state.files, other)


def _keep_all(states: Sequence[JobRun], members: Sequence[Member]) -> None:
    for state, member in zip(states, members, strict=True):
        if member.course is not None:
            with member.drawing():
                state.keep_state()


def failed(job: Job, files: JobFiles, error: BaseException) -> JobResult:
    """The result of a job that *error* ended; written down where the disk lets us."""
    said = str(error).strip() or type(error).__name__
    return files.keep_failure(job, JobResult(job.name, "failed", error=said))
