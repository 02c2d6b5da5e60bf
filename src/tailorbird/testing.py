"""Public fakes for tests of your own, and contracts that every member of a kind keeps."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.errors import TuningError
from tailorbird.records import Example, Prediction
from tailorbird.text import language_of

if TYPE_CHECKING:
    from tailorbird.tuning import TuningRun
    from tailorbird.tuning.tasks import Task

SHOP: Mapping[str, tuple[str, ...]] = {
    "refund": ("refund", "money back", "退款", "退钱"),
    "shipping": ("parcel", "package", "delivery", "包裹", "快递"),
    "greeting": ("hello", "good morning", "你好"),
}
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "refund": {"en": "The money is back within 5 days.", "zh": "退款将在 5 天内到账。"},
    "shipping": {"en": "Your parcel is on its way.", "zh": "您的包裹正在路上。"},
    "greeting": {"en": "Hello! How can I help?", "zh": "您好，请问有什么可以帮您？"},
}


@dataclass(eq=False)
class KeywordPredictor:
    """A predictor that looks for keywords: what the service needs of a bundle, without weights.

    An intent's confidence is its share of the keywords found, half of one keyword being spread
    over all intents so that no probability is 0. A text without any keyword is out of scope.

    >>> prediction, = KeywordPredictor().predict(["I want my money back"])
    >>> prediction.intent, prediction.in_scope, prediction.answer
    ('refund', True, 'The money is back within 5 days.')
    """

    id: str = "keywords"
    keywords: Mapping[str, Sequence[str]] = field(default_factory=lambda: SHOP)
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: ANSWERS)
    poison: str = ""
    """A text that contains this makes the whole call fail, as a bad input to a model may."""
    gate: threading.Event | None = None
    """Where given, `predict` waits for it: a slow model that a test can hold and let go."""
    batches: list[tuple[str, ...]] = field(default_factory=list)
    """The texts of every call so far, warm-up included."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in their order; ValueError where one holds the *poison*."""
        self.batches.append(tuple(texts))
        if self.gate is not None:
            self.gate.wait()
        if self.poison and any(self.poison in text for text in texts):
            raise ValueError(f"cannot digest {self.poison!r}")
        return [self._predict_one(text) for text in texts]

    def _predict_one(self, text: str) -> Prediction:
        n_found = {
            intent: sum(word in text.lower() for word in words)
            for intent, words in self.keywords.items()
        }
        n_all = sum(n_found.values()) + 0.5
        share = 0.5 / len(n_found)
        ranked = sorted(
            ((intent, (n + share) / n_all) for intent, n in n_found.items()),
            key=lambda pair: -pair[1],
        )
        intent, confidence = ranked[0]
        language = language_of(text)
        return Prediction(
            intent=intent,
            confidence=confidence,
            in_scope=n_found[intent] > 0,
            answer=self.answers.get(intent, {}).get(language),
            language=language,
            alternatives=tuple(ranked[1:4]),
        )


def write_tiny_backbone(folder: Path, *, n_layers: int = 2, seed: int = 0) -> Path:
    """A random two-layer BERT of 32 dimensions in hub form, with a tokenizer of single characters.

    Loads in milliseconds by `tailorbird.modeling` and by `AutoModel.from_pretrained`, and learns
    small tasks; returns *folder*, a value for ``model.backbone``.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=_write_tiny_tokenizer(folder),
        hidden_size=32,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_tiny_decoder(
    folder: Path, kind: str = "llama", *, n_layers: int = 2, seed: int = 0, **options: Any
) -> Path:
    """A random causal language model of 32 dimensions in hub form, with the same tokenizer.

    Args:
        folder: returned; made if missing.
        kind: its ``model_type``: llama, mistral, qwen2, qwen3, gemma3_text.
        n_layers: how many layers.
        seed: of its weights; norms and biases are random, too, so that a test sees them.
        options: further keys of its config, as ``tie_word_embeddings=True``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
        "initializer_range": 0.15,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    vocabulary = {"vocab_size": _write_tiny_tokenizer(folder)}
    config = AutoConfig.for_model(kind, **sizes | vocabulary | options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(folder)
    return folder


def _write_tiny_tokenizer(folder: Path) -> int:
    """A tokenizer of single characters in *folder*; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)] + list("我的包裹退款还没到钱要想查订单")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: index for index, token in enumerate([*specials, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    ).save_pretrained(folder)
    return len(vocabulary)


def check_method(name: str, folder: Path, *, backbone: Path | None = None, **options: Any) -> None:
    """Assert what every way of tuning promises, on a tiny backbone.

    - At step 0 the states are the pretrained ones, where it says so.
    - Its own parameters and the head get gradients, nothing else does, and what is frozen is
      bitwise the same after updates.
    - Saved and loaded, it gives the same logits; merged, the same to 1e-5.
    - Taken off, it leaves the pretrained states.
    - Above frozen layers it leaves those alone, and their states can be cached.

    Args:
        name: a key of `tailorbird.modeling.adapters.METHODS`; yours, once you have added it.
        folder: an empty folder to work in.
        backbone: a tiny backbone of two layers; None writes that of `write_tiny_backbone`.
        options: fields of `MethodSettings`.
    """
    import torch

    from tailorbird.config import MethodSettings, ModelSettings
    from tailorbird.modeling import TextModel, adapters, build_model, load_model, save_model
    from tailorbird.weights import resolve_backbone

    chosen: dict[str, Any] = {"name": name, **options}
    settings, method = MethodSettings(**chosen), adapters.METHODS[name]
    tiny = backbone or write_tiny_backbone(folder / "tiny")
    texts = [word for words in SHOP.values() for word in words]
    targets = torch.tensor([i for i, words in enumerate(SHOP.values()) for _ in words])

    def untuned() -> TextModel:
        torch.manual_seed(0)
        source = resolve_backbone(str(tiny), cache=folder)
        return build_model(source, list(SHOP), settings=ModelSettings(dropout=0.0))

    def build(n_frozen: int = 0) -> tuple[TextModel, adapters.Attachment]:
        model = untuned()
        model.backbone.freeze(n_frozen)
        before = model.features(texts)
        model.attachment = adapters.attach(model.backbone, settings)
        is_silent = torch.allclose(model.features(texts), before, atol=1e-6)
        assert is_silent == method.starts_silent, "the states at step 0"
        return model, model.attachment

    def step(model: TextModel, n_steps: int = 3) -> set[str]:
        """Update as a loop would; the names of the parameters that were tuned."""
        tuned = {name for name, p in model.named_parameters() if p.requires_grad}
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        attachment = model.attachment
        assert attachment is not None
        tokens = model.tokenizer(texts)
        for k in range(n_steps):
            logits = model.train()(tokens.take(range(len(texts))))
            loss = torch.nn.functional.cross_entropy(logits, targets)
            loss = loss if attachment.penalty is None else loss + attachment.penalty()
            torch.autograd.backward(loss)
            graded = {name for name, p in model.named_parameters() if p.grad is not None}
            assert graded == tuned, f"gradients of {graded ^ tuned}"
            optimizer.step()
            if attachment.after_step is not None:
                attachment.after_step(k + 1, n_steps)
            optimizer.zero_grad()
        moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved, "nothing moved"
        assert moved <= tuned, f"frozen, but moved: {moved - tuned}"
        return tuned

    model, attachment = build()
    tuned = step(model)
    assert {"head.linear.weight", "head.linear.bias"} <= tuned, "the head is always tuned"
    if attachment.originals is not None:
        own = {*attachment.tensors(), *attachment.originals}
        assert {name.removeprefix("backbone.") for name in tuned if "backbone." in name} <= own
    logits = model.logits(texts)
    save_model(model, folder / "saved", backbone=tiny)
    assert torch.equal(model.logits(texts), logits), "saving changed the model"
    again = load_model(folder / "saved").logits(texts)
    assert torch.allclose(again, logits, atol=1e-5), "saved and loaded"
    if attachment.can_merge:
        attachment.merge()
        assert not attachment.tensors(), "merged, but still attached"
        assert torch.allclose(model.logits(texts), logits, atol=1e-5), "merged"

    model, attachment = build()
    step(model)
    if attachment.originals is None:
        try:
            attachment.detach()
        except TuningError:
            pass
        else:
            raise AssertionError("detached, though the pretrained weights were not kept")
    else:
        attachment.detach()
        left, pretrained = (dict(m.backbone.named_parameters()) for m in (model, untuned()))
        assert left.keys() == pretrained.keys(), "still attached"
        assert all(torch.equal(left[n], pretrained[n]) for n in left), "detached"

    model, attachment = build(n_frozen=1)
    below = {n for n in step(model) if n.startswith(("backbone.layers.0.", "backbone.words."))}
    assert not below, "below the frozen layers"
    cached = model.with_trunk(model.tokenizer(texts))
    assert cached.states is not None, "nothing was cached"
    assert torch.allclose(model.logits(cached), model.logits(texts), atol=1e-5), "cached"


def check_task(task: Task, examples: Sequence[Example], folder: Path) -> None:
    """Assert what every task promises, on a tiny backbone.

    - The head gives an output for each unit of truth, and every loss is a finite number.
    - The gradients of a batch in parts add up to the whole batch's.
    - A few updates make the default loss smaller.
    - Scores are finite numbers by name; what the model says of examples is JSON, one thing each.
    - Saved and loaded, it says the same.
    - An example without truth is refused by a TuningError, or has a meaning for the task.

    Args:
        task: yours; it need not be in `TASKS`.
        examples: eight or so, with their truth, of unequal lengths.
        folder: an empty folder to work in.
    """
    from tailorbird.modeling import load_model, save_model
    from tailorbird.tuning.tasks import TASKS

    write = write_tiny_decoder if task.head == "language" else write_tiny_backbone
    tiny = write(folder / "tiny")
    is_new = task.name not in TASKS
    TASKS.setdefault(task.name, task)
    try:
        for loss in task.losses:
            _check_gradients(_run_of(task, examples, tiny, loss), examples)
        run = _run_of(task, examples, tiny)
        _check_learning(run, examples)
        model = run.model.eval()
        _ = task.finish(model, examples)
        rows = task.encode(model, examples)
        loss_value, scores = task.measure(model, rows, task)
        assert scores, "no scores"
        for name, value in {"loss": loss_value, **scores}.items():
            assert isinstance(value, float), f"{name} is {value!r}"
            assert math.isfinite(value), f"{name} is {value}"
        said = task.predict(model, examples)
        assert len(said) == len(examples), "one answer an example"
        save_model(model, folder / "saved", backbone=tiny)
        again = load_model(folder / "saved")
        assert again.spec == task.spec, "the task of the saved model"
        for one, other in zip(said, task.predict(again, examples), strict=True):
            assert _is_near(one, json.loads(json.dumps(other))), f"{one} became {other}"
        with contextlib.suppress(TuningError):
            task.encode(model, [Example(examples[0].text)])
    finally:
        if is_new:
            del TASKS[task.name]


def _run_of(task: Task, examples: Sequence[Example], tiny: Path, loss: str = "auto") -> TuningRun:
    """A model of *task* that is about to be tuned, always the same."""
    import torch

    from tailorbird.config import LossSettings, ModelSettings, Settings, TuningSettings
    from tailorbird.modeling import build_model
    from tailorbird.tuning import TuningRun, plan_tuning
    from tailorbird.weights import resolve_backbone

    torch.manual_seed(0)
    settings = ModelSettings(dropout=0.0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, task.labels(examples), settings=settings, spec=task.spec)
    task.prepare(model, examples)
    plan, _ = plan_tuning(
        model,
        len(examples),
        Settings(
            tuning=TuningSettings(
                n_epochs=12,
                batch_size=len(examples),
                learning_rate=3e-3,
                patience=0,
                dtype="float32",
            ),
            model=settings,
            loss=LossSettings(name=loss),
        ),
    )
    return TuningRun(model, plan)


def _check_gradients(run: TuningRun, examples: Sequence[Example]) -> None:
    import torch

    from tailorbird.errors import ConfigError
    from tailorbird.tuning.gradients import add_gradients

    rows = run.task.encode(run.model, examples)
    assert len(rows) == len(examples), "a row an example"
    everything = list(range(len(rows)))
    truth = rows.truth(everything)
    assert len(run.model.logits(rows.tokens)) == len(truth.targets), "an output a unit of truth"

    def gradients(budget: int) -> tuple[float, dict[str, torch.Tensor]]:
        run.micro_batch_tokens = budget
        loss, _ = add_gradients(run, rows, everything)
        found = {
            name: p.grad.to_dense().clone()
            for name, p in run.model.named_parameters()
            if p.grad is not None
        }
        run.drop_gradients()
        return loss, found

    name = run.plan.loss.name
    try:
        loss, whole = gradients(0)
    except ConfigError:
        return  # a loss for other rows than these, which says so
    assert math.isfinite(loss), f"the loss {name} is {loss}"
    assert any(tensor.any() for tensor in whole.values()), f"the loss {name} has no gradient"
    one_by_one, parts = gradients(1)
    assert abs(one_by_one - loss) < 1e-5, f"the loss {name} in parts is {one_by_one}, not {loss}"
    for key, tensor in whole.items():
        assert torch.allclose(parts[key], tensor, atol=1e-5), f"{name}: gradient of {key} in parts"


def _check_learning(run: TuningRun, examples: Sequence[Example]) -> None:
    from tailorbird.tuning import tune

    rows = run.task.encode(run.model, examples)
    found = [report.loss for report in tune(run, rows, rows) if report.event == "step"]
    assert min(found[1:]) < found[0], f"the loss went from {found[0]:.4f} to {found[-1]:.4f}"


def _is_near(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_near(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_near, one, other))
    return abs(one - other) < 1e-4 if isinstance(one, float) else bool(one == other)
