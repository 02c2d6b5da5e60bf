"""The training loop: a generator of StepReport that prints, saves and plots nothing.

run = TuningRun(model, plan)
for report in tune(run, train, validation):
    ...                                   # show it, log it, save run.tensors() and run.facts()
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tailorbird.data.batching import epoch_batches
from tailorbird.errors import CheckpointError, DivergedError
from tailorbird.metrics import accuracy, macro_f1
from tailorbird.modeling import TextClassifier, TokenizedTexts
from tailorbird.records import Event, Example, StepReport
from tailorbird.tuning.losses import cross_entropy
from tailorbird.tuning.optimizers import build_optimizers, clip_gradients, set_rates
from tailorbird.tuning.plan import TuningPlan
from tailorbird.tuning.schedules import rate_factor


@dataclass(frozen=True, slots=True)
class EncodedExamples:
    """N examples as the loop takes them."""

    tokens: TokenizedTexts
    targets: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.tokens)


def encode_examples(model: TextClassifier, examples: Sequence[Example]) -> EncodedExamples:
    """Token ids and class indices of *examples*; every label must be one of the model's."""
    index_of = {label: index for index, label in enumerate(model.labels)}
    targets = torch.tensor([index_of[example.label] for example in examples], dtype=torch.int64)
    return EncodedExamples(model.tokenizer([example.text for example in examples]), targets)


class TuningRun:
    """A model being tuned: its optimizers, its counters, and its best weights so far."""

    def __init__(self, model: TextClassifier, plan: TuningPlan) -> None:
        self.model = model
        self.plan = plan
        model.encoder.freeze(plan.n_frozen, words=plan.freeze_words)
        model.encoder.dropout = plan.encoder_dropout
        model.encoder.compute_dtype = plan.dtype
        self.optimizers = build_optimizers(
            model,
            learning_rate=plan.learning_rate,
            head_rate=plan.head_rate,
            weight_decay=plan.settings.weight_decay,
        )
        self.step = 0
        self.validated_step = 0
        self.n_tokens = 0
        self.elapsed_s = 0.0
        self.best_step = 0
        self.best_score = (-1.0, 0.0)  # (accuracy, -loss) on validation
        self.n_without_gain = 0
        self.best: dict[str, Tensor] = {}

    def with_trunk(self, examples: EncodedExamples) -> EncodedExamples:
        """*examples* with the states of the frozen layers, computed once for all epochs."""
        return EncodedExamples(self.model.with_trunk(examples.tokens), examples.targets)

    def start_head(self, train: EncodedExamples, *, n_rows: int = 4000) -> str:
        """Give the head its first weights from pretrained features of up to *n_rows* rows."""
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:n_rows]
        rows = sorted(order.tolist())
        features = self.model.features(train.tokens.subset(rows))
        self.model.head.start_from_features(features, train.targets[rows])
        return f"head starts as a linear discriminant of pretrained features ({len(rows):,} rows)"

    def tuned(self) -> dict[str, Tensor]:
        """The parameters that change, by name; their memory is shared with the model."""
        return {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}

    def keep_if_best(self, score: tuple[float, float]) -> None:
        """Remember the weights where *score* is the best so far."""
        if score > self.best_score:
            self.best_score, self.best_step, self.n_without_gain = score, self.step, 0
            self.best = {name: tensor.clone() for name, tensor in self.tuned().items()}
        else:
            self.n_without_gain += 1

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights back into the model."""
        for name, tensor in self.tuned().items():
            if name in self.best:
                tensor.copy_(self.best[name])

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resumed run needs beside `facts`."""
        out = {f"model.{name}": tensor for name, tensor in self.tuned().items()}
        out |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for k, optimizer in enumerate(self.optimizers):
            for index, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    out[f"optimizer.{k}.{index}.{name}"] = torch.as_tensor(value)
        out["rng"] = torch.get_rng_state()
        return out

    def facts(self) -> dict[str, Any]:
        """Counters, JSON-ready, and the plan they belong to."""
        return {
            "plan": self.plan.to_json(),
            "labels": list(self.model.labels),
            "step": self.step,
            "validated_step": self.validated_step,
            "n_tokens": self.n_tokens,
            "elapsed_s": self.elapsed_s,
            "best_step": self.best_step,
            "best_score": list(self.best_score),
            "n_without_gain": self.n_without_gain,
        }

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Continue where `tensors` and `facts` were taken.

        Raises CheckpointError where they belong to another plan, model or set of labels.
        """
        if facts["labels"] != list(self.model.labels):
            raise CheckpointError(
                "the checkpoint has other labels than this run", cure="start anew"
            )
        mine, theirs = self.plan.to_json(), facts["plan"]
        for key in mine:
            if mine[key] != theirs.get(key):
                raise CheckpointError(
                    f"the checkpoint has {key} = {theirs.get(key)}, this run {mine[key]}",
                    cure="resume with the same settings, or start anew",
                )
        for name, tensor in self.tuned().items():
            saved = tensors.get(f"model.{name}")
            if saved is None or saved.shape != tensor.shape:
                raise CheckpointError(f"the checkpoint has no fitting {name}", cure="start anew")
            tensor.copy_(saved)
        self.best = {
            name.removeprefix("best."): tensor
            for name, tensor in tensors.items()
            if name.startswith("best.")
        }
        for k, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Any]] = {}
            for name, tensor in tensors.items():
                if name.startswith(f"optimizer.{k}."):
                    _, _, index, key = name.split(".", 3)
                    is_count = key == "step" and isinstance(optimizer, torch.optim.SparseAdam)
                    state.setdefault(int(index), {})[key] = int(tensor) if is_count else tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["rng"])
        self.step, self.validated_step = facts["step"], facts["validated_step"]
        self.n_tokens, self.elapsed_s = facts["n_tokens"], facts["elapsed_s"]
        self.best_step, self.best_score = facts["best_step"], tuple(facts["best_score"])
        self.n_without_gain = facts["n_without_gain"]


def tune(
    run: TuningRun, train: EncodedExamples, validation: EncodedExamples
) -> Iterator[StepReport]:
    """Tune ``run.model`` until the plan is done or validation stops gaining.

    Yields a report after every optimizer update and after every validation. Between two reports
    the run is whole: `TuningRun.tensors` and `TuningRun.facts` taken there resume it bitwise on
    the CPU. When the generator ends, the model holds the weights of the best validation.

    Raises DivergedError where the loss stops being a number; the best weights are put back first.
    """
    plan, lengths = run.plan, train.tokens.lengths
    n_epoch_steps = len(epoch_batches(lengths, plan.batch_size, seed=plan.settings.seed, epoch=0))
    n_steps = plan.n_epochs * n_epoch_steps
    validate_every = max(1, n_epoch_steps // plan.settings.validations_per_epoch)
    report = partial(_report, run, n_steps, n_epoch_steps)

    def is_validation_due() -> bool:
        is_mark = run.step % validate_every == 0 or run.step == n_steps
        return is_mark and run.validated_step < run.step

    def set_rates_of(step: int) -> None:
        warmup = plan.settings.warmup_fraction
        set_rates(run.optimizers, rate_factor(plan.settings.schedule, step, n_steps, warmup))

    def validated() -> StepReport:
        loss, metrics = _validate(run, validation)
        note = "best so far" if run.best_step == run.step else ""
        return report("validation", loss, metrics=metrics, note=note)

    if run.step == 0:
        torch.manual_seed(plan.settings.seed)
    else:
        set_rates_of(run.step - 1)
    if is_validation_due():  # the run was left between a step and its validation
        yield validated()
    while run.step < n_steps:
        epoch, done = divmod(run.step, n_epoch_steps)
        batches = epoch_batches(lengths, plan.batch_size, seed=plan.settings.seed, epoch=epoch)
        for rows in batches[done:]:
            if plan.settings.patience and run.n_without_gain >= plan.settings.patience:
                run.restore_best()
                yield report("stop", -run.best_score[1], note=_stop_note(run))
                return
            set_rates_of(run.step)
            yield report("step", update(run, train, rows))
            if is_validation_due():
                yield validated()
    run.restore_best()


def update(run: TuningRun, train: EncodedExamples, rows: list[int]) -> float:
    """One optimizer step on *rows*; returns the mean loss before it."""
    start = time.perf_counter()
    model = run.model.train()
    batch = train.tokens.take(rows).to(model.device)
    targets = train.targets[rows].to(model.device)
    loss = cross_entropy(model(batch), targets, label_smoothing=run.plan.settings.label_smoothing)
    loss.backward()
    value = loss.item()
    if not np.isfinite(value):
        run.restore_best()
        raise DivergedError(
            f"the loss became {value} at step {run.step + 1} (rows {rows[:8]} …)",
            where="tuning",
            cure=f"use a lower rate than {run.plan.learning_rate:g}: --set tuning.learning_rate=…",
        )
    clip_gradients(model, run.plan.settings.max_grad_norm)
    for optimizer in run.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    run.step += 1
    run.n_tokens += batch.n_tokens
    run.elapsed_s += time.perf_counter() - start
    return value


def _validate(run: TuningRun, validation: EncodedExamples) -> tuple[float, dict[str, float]]:
    logits = run.model.logits(validation.tokens)
    loss = cross_entropy(logits, validation.targets).item()
    truth, predicted = validation.targets.numpy(), logits.argmax(-1).numpy()
    metrics = {"accuracy": accuracy(truth, predicted), "macro_f1": macro_f1(truth, predicted)}
    run.keep_if_best((metrics["accuracy"], -loss))
    run.validated_step = run.step
    return loss, metrics


def _stop_note(run: TuningRun) -> str:
    return (
        f"stopped early: validation has not improved since step {run.best_step} "
        f"({run.n_without_gain} validations)"
    )


def _report(
    run: TuningRun,
    n_steps: int,
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
        n_steps=n_steps,
        epoch=run.step / n_epoch_steps,
        loss=loss,
        learning_rate=run.optimizers[0].param_groups[0]["lr"],
        n_tokens=run.n_tokens,
        elapsed_s=run.elapsed_s,
        metrics=metrics or {},
        note=note,
    )
