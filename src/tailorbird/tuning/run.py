"""A model being tuned, as one thing that can be kept and gone on with: what the loop works on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tailorbird.errors import CheckpointError, ConfigError
from tailorbird.modeling import TextModel, adapters
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.tuning.averaging import WeightAverage
from tailorbird.tuning.objective import Objective, balanced_weights
from tailorbird.tuning.optimizers import build_optimizers
from tailorbird.tuning.plan import TuningPlan, answers_in
from tailorbird.tuning.tasks import TASKS, EncodedExamples


class TuningRun:
    """A model being tuned: its optimizers, its counters, and its best weights so far."""

    def __init__(self, model: TextModel, plan: TuningPlan) -> None:
        self.model = model
        self.plan = plan
        model.backbone.freeze(plan.n_frozen, words=plan.freeze_words)
        self.attachment = model.attachment = adapters.attach(model.backbone, plan.method)
        model.backbone.dropout = plan.encoder_dropout
        model.backbone.compute_dtype = plan.dtype
        model.asked_in, _ = answers_in(model, plan.dtype)
        model.backbone.recompute_layers(plan.settings.recompute)
        self.optimizers = build_optimizers(
            model,
            learning_rate=plan.learning_rate,
            head_rate=plan.head_rate,
            settings=plan.optimizer,
        )
        self.task = TASKS[model.spec.task]
        self.objective = Objective(plan.loss, self.task)
        self.average = WeightAverage(plan.optimizer)
        self.micro_batch_tokens = plan.settings.micro_batch_tokens
        self.rate = 0.0
        self.step = 0
        self.n_steps = 0  # there will be; known when tuning begins
        self.validated_step = 0
        self.n_tokens = 0
        self.elapsed_s = 0.0
        self.best_step = 0
        self.best_score = (-math.inf, 0.0)  # (first score of the task, -loss) on validation
        self.n_without_gain = 0
        self.best: dict[str, Tensor] = {}
        self.losses: list[float] = []  # of training, since the last validation
        self.history: list[tuple[float, float]] = []  # (training, validation) at each validation

    def with_trunk(
        self, examples: EncodedExamples, cache: TrunkCache | None = None
    ) -> EncodedExamples:
        """*examples* with the states of the frozen layers, computed once for all epochs."""
        return replace(examples, tokens=self.model.with_trunk(examples.tokens, cache))

    def start_head(self, train: EncodedExamples, *, n_rows: int = 4000) -> str:
        """Give the head its first weights from pretrained features of up to *n_rows* rows."""
        if not self.task.starts_from_features:
            return ""
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:n_rows]
        rows = sorted(order.tolist())
        some = train.subset(rows)
        self.model.head.start_from_features(self.model.features(some.tokens), some.targets)
        return f"head starts from pretrained features ({len(rows):,} rows)"

    def check_rows(self, train: EncodedExamples) -> None:
        """Raise ConfigError where the settings let nothing be learned of these rows."""
        if self.task.wants_dropout(train) and not self.plan.encoder_dropout:
            raise ConfigError(
                "texts that are their own passages differ by dropout alone, and there is none",
                where=f"the task {self.task.name}",
                cure="--set model.encoder_dropout=0.1, or give every row a second text",
            )

    def weigh_classes(self, train: EncodedExamples) -> None:
        """Let the loss know how frequent each class is, where it is to be balanced."""
        if self.plan.loss.class_weights == "balanced":
            weights = balanced_weights(train.targets, len(self.model.labels))
            self.objective = Objective(self.plan.loss, self.task, weights.to(self.model.device))

    def parameters(self) -> Iterator[Tensor]:
        """What the optimizers move."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                yield from group["params"]

    def drop_gradients(self) -> None:
        """Forget the gradients, as before a first backward pass."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def trainable(self) -> str:
        """How many parameters are tuned, of how many, as a sentence."""
        n_all = sum(parameter.numel() for parameter in self.model.parameters())
        n_tuned = sum(tensor.numel() for tensor in self.tuned().values())
        return f"trainable: {n_tuned:,} of {n_all:,} parameters ({n_tuned / n_all:.2%})"

    def tuned(self) -> dict[str, Tensor]:
        """The parameters that change, by name; their memory is shared with the model."""
        return {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}

    def update_average(self) -> None:
        """Take the weights after an update into their average, where there is to be one."""
        if self.average.settings.average != "none":
            self.average.update(self.tuned(), self.step / self.n_steps)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the model holds the averaged weights, where there are any."""
        with self.average.in_place_of(self.tuned()):
            yield

    def take_average(self) -> None:
        """Give the model the averaged weights for good, where there are any."""
        self.average.into(self.tuned())

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
        out |= {f"average.{name}": tensor for name, tensor in self.average.weights.items()}
        for k, optimizer in enumerate(self.optimizers):
            for index, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    if value is not None:  # sgd without momentum keeps nothing
                        out[f"optimizer.{k}.{index}.{name}"] = torch.as_tensor(value)
        out |= {f"method.{name}": tensor for name, tensor in self.attachment.memory().items()}
        out["rng"] = torch.get_rng_state()
        if self.model.device.type == "cuda":
            out["rng_cuda"] = torch.cuda.get_rng_state(self.model.device)
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
            "n_averaged": self.average.n_averaged,
            "micro_batch_tokens": self.micro_batch_tokens,
            "losses": list(self.losses),
            "history": [list(pair) for pair in self.history],
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
        for name, tensor in self.attachment.memory().items():
            tensor.copy_(tensors[f"method.{name}"])
        self.best = {
            name.removeprefix("best."): tensor
            for name, tensor in tensors.items()
            if name.startswith("best.")
        }
        averages = {
            name.removeprefix("average."): tensor.to(self.model.device, copy=True)
            for name, tensor in tensors.items()
            if name.startswith("average.")
        }
        self.average.restore(averages, facts["n_averaged"])
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
        if "rng_cuda" in tensors and self.model.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng_cuda"], self.model.device)
        self.step, self.validated_step = facts["step"], facts["validated_step"]
        self.n_tokens, self.elapsed_s = facts["n_tokens"], facts["elapsed_s"]
        self.best_step, self.best_score = facts["best_step"], tuple(facts["best_score"])
        self.n_without_gain = facts["n_without_gain"]
        self.micro_batch_tokens, self.losses = facts["micro_batch_tokens"], list(facts["losses"])
        self.history = [(train, validation) for train, validation in facts["history"]]
