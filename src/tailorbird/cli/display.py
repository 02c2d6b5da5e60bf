"""What a person sees while a build runs: stages, decisions with their reason, a progress bar."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tailorbird.records import StepReport

SCREEN = Console(stderr=True, highlight=False, soft_wrap=True)
"""Everything for people goes to stderr, so that stdout stays for results."""


class Display:
    """A listener that shows stages as headings and tuning as a bar."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.is_tuning = False
        self._progress: Progress | None = None
        self._task: Any = None
        self._metrics = ""
        self._loss = 0.0

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self.close()
        self.is_tuning = name == "tune"
        if not self.quiet:
            SCREEN.print(f"[bold green]●[/] [bold]{name}[/]")

    def say(self, sentence: str) -> None:
        """Print a decision."""
        if not self.quiet:
            SCREEN.print(f"  {sentence}", markup=False)

    def step(self, report: StepReport) -> None:
        """Move the bar; validations are kept above it as lines."""
        if self.quiet:
            return
        if self._progress is None:
            self._begin()
        assert self._progress is not None
        if report.event == "step":
            previous = self._loss or report.loss
            self._loss = 0.9 * previous + 0.1 * report.loss
        if report.event == "validation":
            shown = [f"{name.replace('_', ' ')} {v:.3f}" for name, v in report.metrics.items()]
            self._metrics = f"  {shown[0]}"
            self.say(
                f"epoch {report.epoch:.1f}: validation loss {report.loss:.3f}, {', '.join(shown)}"
                + (f" ({report.note})" if report.note else "")
            )
        elif report.note:
            self.say(report.note)
        self._progress.update(
            self._task,
            total=report.n_steps,
            completed=report.step,
            facts=f"loss {self._loss:.3f}{self._metrics}  {report.tokens_per_s:,.0f} tokens/s",
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _begin(self) -> None:
        self._progress = Progress(
            TextColumn("  step {task.completed}/{task.total}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=SCREEN,
        )
        self._progress.start()
        self._task = self._progress.add_task("tune", total=None, facts="")


class Audience:
    """Several listeners as one; what keeps something is closed, and said where it is."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.trackers: list[Any] = []

    def track(self, kinds: list[str] | None, run: Any) -> None:
        """Let each tracker of *kinds* (see ``tailorbird.connectors``) hear of the *run*."""
        from tailorbird.connectors import open_tracker

        self.trackers += [open_tracker(kind, run.path, run.name) for kind in kinds or ()]
        for tracker in self.trackers:
            self.display.say(tracker.place)

    def stage(self, name: str) -> None:
        """A stage begins."""
        for listener in (self.display, *self.trackers):
            listener.stage(name)

    def say(self, sentence: str) -> None:
        """A decision was taken."""
        for listener in (self.display, *self.trackers):
            listener.say(sentence)

    def step(self, report: StepReport) -> None:
        """The tuning run moved on."""
        for listener in (self.display, *self.trackers):
            listener.step(report)

    def close(self) -> None:
        """Everybody has heard everything."""
        for listener in (self.display, *self.trackers):
            listener.close()


@contextmanager
def stop_on_interrupt(display: Display) -> Iterator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) while tuning: finish the step, keep the state; twice: stop at once.

    Outside of tuning it interrupts as usual: stages write whole files or none.
    """
    asked = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not display.is_tuning:
            raise KeyboardInterrupt
        asked = True
        display.say("stopping after this step; press Ctrl-C again to stop at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        display.close()


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, ensure_ascii=False, default=str))
