"""One pretrained backbone, loaded once, and the models of many jobs over it.

A job's model is a copy of the backbone's modules that shares the pretrained tensors and has what is
tuned for itself: its own places for adapters and, where pretrained weights are tuned, its own copy
of those. So nothing is to be put back after a job, and several models can live side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tailorbird import hardware
from tailorbird.config import ModelSettings
from tailorbird.errors import ConfigError, TuningError
from tailorbird.jobs.job import Base, Job
from tailorbird.jobs.texts import KnownTexts, PoolTokens
from tailorbird.modeling import TextModel, adapters, build_model, load_model
from tailorbird.modeling.adapters.sharing import sharing_copy
from tailorbird.modeling.adapters.weights import trunk_hash
from tailorbird.modeling.heads import HEADS, LANGUAGE
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example
from tailorbird.tuning import TuningPlan, TuningRun, plan_tuning
from tailorbird.tuning.tasks import EncodedExamples, Task, encode_examples, find_task
from tailorbird.tuning.tasks.classes import tokens_of


@dataclass(frozen=True)
class JobStart:
    """A job before its first step."""

    run: TuningRun
    train: EncodedExamples
    validation: EncodedExamples | None
    """None where there is nothing to validate on."""


class SharedBase:
    """The backbone of all jobs, with the pool's tokens and the states of its frozen layers.

    Args:
        base: what is loaded.
        pool: the rows that jobs name by number.
        dtype: what products run in where a job's settings say ``auto``.
        cache: where states of frozen layers are found and kept.
    """

    def __init__(
        self, base: Base, pool: Sequence[Example], *, dtype: str, cache: TrunkCache
    ) -> None:
        self.base = base
        self.pool = pool
        self.dtype = dtype
        self.cache = cache
        self._loaded: dict[bool, TextModel] = {}
        self._cast: dict[tuple[int, torch.dtype], tuple[Tensor, nn.Parameter]] = {}
        self._tokens: dict[int, PoolTokens] = {}
        self._known: dict[tuple[int, int, str], KnownTexts] = {}

    @cached_property
    def trunk(self) -> str:
        """The hash of the pretrained weights."""
        return trunk_hash(next(iter(self._loaded.values())).backbone)

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Compute the states of frozen layers that any of *jobs* needs, with all threads."""
        seen: set[tuple[object, ...]] = set()
        for job in jobs:
            settings, model = job.settings, job.settings.model
            method, dtype = settings.method.name, settings.tuning.dtype
            key = (settings.task, method, dtype, model.freeze_layers, model.max_tokens)
            if key not in seen:
                seen.add(key)
                with kept_random(), suppress(Exception):  # it will say why when it is its turn
                    self.begin(job)

    def begin(self, job: Job) -> JobStart:
        """Model, plan and rows of *job*, seeded by its settings alone.

        Raises ConfigError or TuningError where its settings or rows cannot be used.
        """
        settings, task = job.settings, find_task(job.settings.task.name)
        train, validation = self._examples(job.train), self._examples(job.validation)
        if not train:
            raise TuningError("there is no row to train on", cure="give the job rows")
        if not validation and not settings.tuning.n_epochs:
            raise ConfigError(
                "there is no row to validate on, so nothing tells when to stop",
                cure="give the job validation rows, or set tuning.n_epochs",
            )
        self._load(task)  # first: it draws numbers, the first time
        torch.manual_seed(settings.tuning.seed)
        model = self._untuned(job, task, [*train, *validation])
        if not job.from_base:
            task.prepare(model, train)
        plan, _ = plan_tuning(model, len(train), settings, dtype_before=self.dtype)
        self._make_own(model, plan)
        run = TuningRun(model, plan)
        model.tokenizer = self._tokenizer(model)
        encoded = self._encoded(run, train)
        if settings.model.init_head == "features" and not job.from_base:
            run.start_head(encoded)
        if not validation:
            return JobStart(run, encoded, None)
        return JobStart(run, encoded, self._encoded(run, validation))

    def _encoded(self, run: TuningRun, examples: Sequence[Example]) -> EncodedExamples:
        """Tokens and truth; of texts that the pool does not know, states are looked for here."""
        encoded = encode_examples(run.model, examples)
        is_known = isinstance(run.model.tokenizer, KnownTexts) and encoded.texts is None
        if is_known and encoded.tokens.picked is None:
            return encoded  # with states, or there is nowhere to keep them
        return run.with_trunk(encoded, self.cache)

    def outputs(self, model: TextModel, rows: Sequence[int]) -> Tensor:
        """(rows, C) logits of *rows*, whatever is true of them.

        Raises TuningError where the task has not one text, or pair of texts, a row.
        """
        task = find_task(model.spec.task)
        if task.pooling or model.spec.name == LANGUAGE:
            raise TuningError(
                f"outputs of rows are not known to the task {task.name}", cure="leave predict empty"
            )
        return model.logits(tokens_of(model, self._examples(rows)))

    def finish(self, start: JobStart, job: Job) -> None:
        """Let the task choose on validation what it keeps in the head."""
        if job.validation:
            start.run.task.finish(start.run.model, self._examples(job.validation))

    def _examples(self, rows: Sequence[int]) -> list[Example]:
        return [self.pool[row] for row in rows]

    def _load(self, task: Task) -> TextModel:
        """What is loaded for jobs of this kind of task."""
        is_language = task.head == LANGUAGE
        if is_language not in self._loaded:
            if isinstance(self.base, Path):
                model = load_model(self.base)
                if model.attachment is not None:
                    raise ConfigError(
                        "has an adapter that cannot be merged, so nothing can be tuned over it",
                        where=str(self.base),
                        cure="take a model tuned with method.name=full or lora, or a backbone",
                    )
                if (model.spec.name == LANGUAGE) != is_language:
                    raise ConfigError(
                        f"is a model of the task {model.spec.task}, and the job's is {task.name}",
                        where=str(self.base),
                        cure="set task.name to what the model was made for",
                    )
            else:
                model = build_model(self.base, ["-"], settings=ModelSettings(), spec=task.spec)
            if torch.cuda.is_available():
                model.to("cuda")
            self._loaded[is_language] = model.requires_grad_(False)
        return self._loaded[is_language]

    def _untuned(self, job: Job, task: Task, examples: Sequence[Example]) -> TextModel:
        """The model of *job* before its plan, still with everybody's backbone."""
        loaded, wanted = self._load(task), job.settings.model
        if job.from_base and not isinstance(self.base, Path):
            raise ConfigError(
                f"a backbone has no head of the task {task.name} to start from",
                cure="set from_base=False, or give the folder of a saved model",
            )
        labels = job.labels or tuple(task.labels(examples))
        if job.from_base:
            labels = (*loaded.labels, *(one for one in labels if one not in loaded.labels))
        head = loaded.head
        if task.head != LANGUAGE:
            head = HEADS[task.head](
                loaded.backbone.width, task.n_outputs or len(labels), wanted.dropout
            )
            head.to(loaded.device)
        if job.from_base and task.head != LANGUAGE:
            _copy_head(loaded, head, task)
        usual = "mean" if loaded.pooling == "picked" else loaded.pooling
        chosen = usual if wanted.pooling == "auto" else wanted.pooling
        tokenizer = self._limited(loaded, wanted.max_tokens).tokenizer
        return TextModel(
            tokenizer,
            loaded.backbone,
            head,
            labels=labels,
            pooling=task.pooling or chosen,
            spec=task.spec,
        )

    def _make_own(self, model: TextModel, plan: TuningPlan) -> None:
        """Give *model* a backbone of its own that shares all tensors which it does not tune."""
        shared, way = model.backbone, adapters.METHODS[plan.method.name]
        shared.freeze(plan.n_frozen, words=plan.freeze_words)
        tuned = {id(p) for p in shared.parameters() if p.requires_grad}
        shared.requires_grad_(False)
        model.backbone, model.head = sharing_copy(
            (shared, model.head),
            shared,
            is_shared=lambda p: way.keeps_backbone or id(p) not in tuned,
            n_frozen=plan.n_frozen,
        )
        if plan.method.name == "lora" and not plan.method.dora:  # which reads no weight itself
            self._cast_once(model.backbone, plan.dtype)

    def _cast_once(self, backbone: Any, dtype: torch.dtype) -> None:
        """Let layers that are not tuned have their matrices in the type that they compute in.

        Otherwise each step casts them anew; for a small job that takes as long as the products.
        """
        if dtype == torch.float32 or not hasattr(backbone, "layers"):
            return
        for layer in backbone.layers[backbone.n_frozen :]:
            for module in layer.children():
                if isinstance(module, nn.Linear):
                    key = (id(module.weight), dtype)
                    if key not in self._cast:
                        self._cast[key] = (module.weight, _frozen(module.weight.to(dtype)))
                    module.weight = self._cast[key][1]

    def _limited(self, model: TextModel, max_tokens: int) -> PoolTokens:
        """The pool's texts cut at *max_tokens*; 0: where the base cuts them."""
        longest = model.tokenizer.max_tokens
        if max_tokens:
            longest = min(max_tokens, model.backbone.max_positions)
        if longest not in self._tokens:
            self._tokens[longest] = PoolTokens(model.tokenizer.cut_at(longest), self.pool)
        return self._tokens[longest]

    def _tokenizer(self, model: TextModel) -> Any:
        """A tokenizer that knows the pool's texts, and what the frozen layers make of them."""
        if model.spec.name == LANGUAGE:
            return model.tokenizer
        longest, backbone = model.tokenizer.max_tokens, model.backbone
        n_frozen = backbone.n_frozen if backbone.can_freeze else 0
        key = (longest, n_frozen, str(model.backbone.compute_dtype))
        if key not in self._known:
            self._known[key] = KnownTexts(
                self._tokens[longest], lambda tokens: model.with_trunk(tokens, self.cache)
            )
        return self._known[key]


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _copy_head(loaded: TextModel, head: nn.Module, task: Task) -> None:
    """Start *head* as the loaded one; its outputs for labels that are new there stay new."""
    if loaded.spec.name != task.head or loaded.spec.task != task.name:
        raise ConfigError(
            f"the base has no head of the task {task.name} to start from",
            cure="set from_base=False, or take a saved model of that task",
        )
    mine = head.state_dict()
    for name, tensor in loaded.head.state_dict().items():
        mine[name][: len(tensor)].copy_(tensor) if tensor.ndim else mine[name].copy_(tensor)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes with one thread; random numbers go on as before it.

    Sums of several threads are rounded in another order, and would make weights depend on how
    many processes share the cores.
    """
    with hardware.one_thread(), kept_random():
        yield


@contextmanager
def kept_random() -> Iterator[None]:
    """Random numbers go on after the block as if it had drawn none."""
    random = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(random)
