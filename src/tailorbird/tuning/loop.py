"""The training loop: a generator of StepReport that prints, saves and plots nothing.

run = TuningRun(model, plan)
for report in tune(run, train, validation):
    ...                                   # show it, log it, save run.tensors() and run.facts()
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from tailorbird.errors import DivergedError, TuningError
from tailorbird.records import Event, StepReport
from tailorbird.tuning.gradients import add_gradients, add_penalty
from tailorbird.tuning.optimizers import clip_gradients, set_rates
from tailorbird.tuning.run import TuningRun
from tailorbird.tuning.schedules import rate_factor
from tailorbird.tuning.tasks import EncodedExamples

N_PARTING = 2
"""After so many validations in a row that part from the training loss, the report says so."""


class Gradients(NamedTuple):
    """What a backward pass through some rows gave, beside the gradients themselves."""

    loss: float
    """Of the rows, before the update."""
    note: str
    """What a person should know; mostly empty."""
    elapsed_s: float


Rows = list[int]
Course = Generator[StepReport | Rows, Gradients | None, None]
"""Reports, and rows whose gradients are wanted: they are there when `Gradients` are sent back."""


def tune(
    run: TuningRun, train: EncodedExamples, validation: EncodedExamples | None
) -> Iterator[StepReport]:
    """Tune ``run.model`` until the plan is done or validation stops gaining.

    Yields a report after every optimizer update and after every validation. Between two reports
    the run is whole: `TuningRun.tensors` and `TuningRun.facts` taken there resume it bitwise on
    the CPU. When the generator ends, the model holds the weights of the best validation (averaged
    ones, where the plan averages). Where *validation* is None, all epochs of the plan are gone
    through, and it holds the last weights.

    Raises DivergedError where the loss stops being a number; the best weights are put back first.
    Raises TuningError where there is nothing to train or validate on.
    """
    steps = course(run, train, validation)
    event = next(steps, None)
    while event is not None:
        if isinstance(event, StepReport):
            yield event
            event = next(steps, None)
        else:
            event = steps.send(gradients_of(run, train, event))


def course(run: TuningRun, train: EncodedExamples, validation: EncodedExamples | None) -> Course:
    """The same, but for the gradients: whoever iterates computes them, perhaps of many runs."""
    for name, examples in (("train", train), ("validate", validation)):
        if examples is not None and not len(examples):
            raise TuningError(f"there is no row to {name} on", cure="see how the rows were split")
    plan, lengths = run.plan, train.lengths
    n_epoch_steps = len(plan.batches(lengths, epoch=0))
    n_steps = run.n_steps = plan.n_epochs * n_epoch_steps
    validate_every = max(1, n_epoch_steps // plan.settings.validations_per_epoch)
    report = partial(_report, run, n_epoch_steps)

    def set_rates_of(step: int) -> None:
        warmup = plan.settings.warmup_fraction
        factor = rate_factor(plan.settings.schedule, step, n_steps, warmup)
        set_rates(run.optimizers, factor)
        run.rate = plan.learning_rate * factor

    def validations() -> Iterator[StepReport]:
        """One where it is due, else none."""
        is_mark = run.step % validate_every == 0 or run.step == n_steps
        if validation is not None and is_mark and run.validated_step < run.step:
            loss, metrics = _validate(run, validation)
            yield report("validation", loss, metrics=metrics, note=_validation_note(run))

    run.check_rows(train)
    run.weigh_classes(train)
    if run.step == 0:
        torch.manual_seed(plan.settings.seed)
    else:
        set_rates_of(run.step - 1)
    yield from validations()  # the run may have been left between a step and its validation
    while run.step < n_steps:
        epoch, done = divmod(run.step, n_epoch_steps)
        batches = plan.batches(lengths, epoch)
        for rows in batches[done:]:
            if plan.settings.patience and run.n_without_gain >= plan.settings.patience:
                run.restore_best()
                yield report("stop", -run.best_score[1], note=_stop_note(run))
                return
            set_rates_of(run.step)
            gradients = yield rows
            assert gradients is not None
            loss = apply(run, train, rows, gradients)
            run.update_average()
            yield report("step", loss, note=gradients.note)
            yield from validations()
    if validation is None:
        run.take_average()
    run.restore_best()


def update(run: TuningRun, train: EncodedExamples, rows: Rows) -> tuple[float, str]:
    """One optimizer step on *rows*; returns the loss before it, and what a person should know."""
    gradients = gradients_of(run, train, rows)
    return apply(run, train, rows, gradients), gradients.note


def gradients_of(run: TuningRun, train: EncodedExamples, rows: Rows) -> Gradients:
    """Backward through *rows*, and through what the way of tuning adds to the loss."""
    start = time.perf_counter()
    if not run.model.training:  # going through all modules takes as long as a small layer
        run.model.train()
    loss, note = add_gradients(run, train, rows)
    return Gradients(loss + add_penalty(run), note, time.perf_counter() - start)


def apply(run: TuningRun, train: EncodedExamples, rows: Rows, gradients: Gradients) -> float:
    """The optimizer step that the gradients of *rows* ask for; returns the loss before it.

    Raises DivergedError where that is no number.
    """
    start, loss = time.perf_counter(), gradients.loss
    if not np.isfinite(loss):
        run.restore_best()
        raise DivergedError(
            f"the loss became {loss} at step {run.step + 1} (rows {_named(train, rows)})",
            where="tuning",
            cure=f"use a lower rate than {run.plan.learning_rate:g}: --set tuning.learning_rate=…",
        )
    clip_gradients(run.parameters(), run.plan.optimizer.max_grad_norm)
    for optimizer in run.optimizers:
        optimizer.step()
    run.step += 1
    if run.attachment.after_step is not None:
        run.attachment.after_step(run.step, run.n_steps)
    run.drop_gradients()
    run.n_tokens += sum(train.lengths_of(rows))
    run.losses.append(loss)
    run.elapsed_s += gradients.elapsed_s + time.perf_counter() - start
    return loss


def _named(train: EncodedExamples, rows: Sequence[int], n_shown: int = 8) -> str:
    """The first of *rows* as a person knows them."""
    shown = [train.names[row] if train.names else str(row) for row in rows[:n_shown]]
    n_more = len(rows) - n_shown
    return ", ".join(shown) + (f" and {n_more} more" if n_more > 0 else "")


def _validate(run: TuningRun, validation: EncodedExamples) -> tuple[float, dict[str, float]]:
    """The task's plain loss, whatever that of training is, and scores; keeps the best weights."""
    with run.averaged():
        loss, scores = run.task.measure(run.model, validation, run.task)
        run.keep_if_best((_judged(scores, by=run.plan.loss.name), -loss))
    run.validated_step = run.step
    if run.losses:
        run.history.append((sum(run.losses) / len(run.losses), loss))
        run.losses.clear()
    return loss, scores


def _judged(scores: Mapping[str, float], *, by: str) -> float:
    """What chooses the best weights, higher being better.

    It is the task's first score, or the error that is tuned to where that is one of the scores.

    >>> _judged({"r2": 0.4, "mae": 0.7}, by="mae")
    -0.7
    """
    return -scores[by] if by in scores else next(iter(scores.values()))


def n_parting(history: Sequence[tuple[float, float]]) -> int:
    """At how many of the last validations in a row the loss rose while that of training fell.

    >>> n_parting([(0.9, 0.8), (0.7, 0.6), (0.5, 0.7), (0.3, 0.9)])
    2
    """
    n_rows = 0
    for (train_before, before), (train_now, now) in pairwise(history):
        n_rows = n_rows + 1 if now > before and train_now < train_before else 0
    return n_rows


def _validation_note(run: TuningRun) -> str:
    notes = ["best so far"] if run.best_step == run.step else []
    n = n_parting(run.history)
    if n >= N_PARTING:
        notes.append(
            f"over-fitting: validation loss rose {n} times in a row while training loss fell"
        )
    return "; ".join(notes)


def _stop_note(run: TuningRun) -> str:
    return (
        f"stopped early: validation has not improved since step {run.best_step} "
        f"({run.n_without_gain} validations)"
    )


def _report(
    run: TuningRun,
    n_epoch_steps: int,
    event: Event,
    loss: float,
    *,
    metrics: dict[str, float] | None = None,
    note: str = "",
) -> StepReport:
    return StepReport(
        event=event,
        step=run.step,
        n_steps=run.n_steps,
        epoch=run.step / n_epoch_steps,
        loss=loss,
        learning_rate=run.rate,
        n_tokens=run.n_tokens,
        elapsed_s=run.elapsed_s,
        metrics=metrics or {},
        note=note,
    )
