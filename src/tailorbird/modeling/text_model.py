"""A text model: tokenizer, backbone and head, saved to and loaded from one folder."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.hardware import quick_dtype
from tailorbird.modeling import adapters
from tailorbird.modeling.backbones import Backbone, PackedBackbone, load_backbone
from tailorbird.modeling.causal import load_language_head
from tailorbird.modeling.chat_tokens import ChatTokenizer, load_chat_tokenizer
from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.first_layer import first_layer
from tailorbird.modeling.heads import HEADS, LANGUAGE, POOLINGS, HeadSpec
from tailorbird.modeling.packing import PackedBatch, TokenizedTexts, inference_batches, offsets_of
from tailorbird.modeling.tokens import TextTokenizer, load_tokenizer
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.weights import BackboneFolder

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


POOLING_FILE = "1_Pooling/config.json"
"""How sentence-transformers keeps how vectors of texts are made, for who tunes further."""

MAX_TOKENS = defaultdict(lambda: 256, {LANGUAGE: 1024})
"""The longest input by kind of head, where nothing else is set: conversations are long."""


class TextModel(nn.Module):
    """Texts in, what the head makes of them out."""

    def __init__(
        self,
        tokenizer: TextTokenizer | ChatTokenizer,
        backbone: Backbone,
        head: nn.Module,
        *,
        labels: Sequence[str] = (),
        pooling: str = "mean",
        spec: HeadSpec | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer: Any = tokenizer
        self.backbone = backbone
        self.head: Any = head
        self.labels = tuple(labels)
        self.pooling = pooling
        self.spec = spec or HeadSpec()
        self.attachment: adapters.Attachment | None = None
        """The way of tuning that is attached to the backbone, if one is."""
        self.asked_in = "float32"
        """The type that it is to compute in once it is saved and loaded, where that is quick. auto,
        as a build may have it: the one that it is tuned in, and fp32 until then."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.backbone.parameters()).device

    def pool(self, batch: PackedBatch) -> Tensor:
        """T tokens → (U, D), the state of each unit: a text, or a picked token."""
        return POOLINGS[self.pooling](self.backbone(batch), batch)

    def forward(self, batch: PackedBatch) -> Tensor:
        """T tokens → (U, C)."""
        return self.head(self.pool(batch))  # type: ignore[no-any-return]

    def logits(self, texts: Sequence[str] | TokenizedTexts) -> Tensor:
        """(N units, C) fp32 outputs on the CPU, in evaluation mode and without gradients."""
        return self._infer(texts, self)

    def features(self, texts: Sequence[str] | TokenizedTexts) -> Tensor:
        """(N units, D) pooled states, the same way."""
        return self._infer(texts, self.pool)

    def outputs(self, texts: Sequence[str] | TokenizedTexts) -> tuple[Tensor, Tensor]:
        """(N units, C) `logits` and (N units, K, D) states, of one and the same pass.

        The states are the pooled ones and, where `first_layer` sees any, those of the first layer.
        """

        def both(batch: PackedBatch) -> Tensor:
            with first_layer(self.backbone, batch) as first:
                pooled = self.pool(batch)
            parts = [self.head(pooled), pooled, *first]
            return torch.cat([part.float() for part in parts], 1)  # (U, C + K D)

        found, n_outputs = self._infer(texts, both), self.spec.n_outputs or len(self.labels)
        width, states = self.backbone.width, found[:, n_outputs:]
        return found[:, :n_outputs], states.reshape(len(found), states.shape[1] // width, width)

    def make_ready(self) -> TextModel:
        """Lay the weights out for a service, which asks and never tunes; returns the model.

        Encoders answer short texts in two thirds of the time, in twice the memory for their layers;
        logits are the same within the rounding of the type that they compute in.
        """
        if isinstance(self.backbone, PackedEncoder):
            self.backbone.make_ready()
        return self

    @torch.inference_mode()
    def classify(self, states: Tensor) -> Tensor:
        """(U, D) pooled states → (U, C) fp32 logits on the CPU, as `logits` gives them."""
        was_training = self.training
        self.eval()
        try:
            return self.head(states.to(self.device)).float().cpu()  # type: ignore[no-any-return]
        finally:
            self.train(was_training)

    def with_trunk(self, tokens: TokenizedTexts, cache: TrunkCache | None = None) -> TokenizedTexts:
        """The same texts with the states of the frozen layers, which never change while tuning.

        Returned as they are where nothing is frozen or the *cache* (without one: 1 GiB of memory)
        has no place for the states.
        """
        encoder = self.backbone
        if not isinstance(encoder, PackedBackbone) or not encoder.n_frozen:
            return tokens
        return replace(tokens, states=(cache or TrunkCache()).states(encoder, tokens))

    @torch.inference_mode()
    def _infer(
        self, texts: Sequence[str] | TokenizedTexts, function: Callable[[PackedBatch], Tensor]
    ) -> Tensor:
        tokens = texts if isinstance(texts, TokenizedTexts) else self.tokenizer(texts)
        offsets: list[int] = offsets_of(tokens.n_units).tolist()  # (N + 1,)
        out = torch.empty(offsets[-1], 0)
        was_training = self.training
        if was_training:  # else all of it is as it is: a walk through the modules less
            self.eval()
        try:
            for indices in inference_batches(tokens.lengths):
                found = function(tokens.take(indices).to(self.device)).float().cpu()
                if out.shape[1] != found.shape[1]:
                    out = torch.empty(len(out), found.shape[1])
                out[torch.cat([torch.arange(offsets[i], offsets[i + 1]) for i in indices])] = found
        finally:
            if was_training:
                self.train()
        return out


def build_model(
    backbone: BackboneFolder,
    labels: Sequence[str],
    *,
    settings: ModelSettings,
    spec: HeadSpec | None = None,
    max_tokens: int = 0,
) -> TextModel:
    """A pretrained backbone with a new head as *spec* says, one output a label if nothing else.

    The head called `LANGUAGE` is no new one: it is that of the backbone's causal language model,
    and its texts are conversations.
    """
    body = load_backbone(backbone.path)
    spec = spec or HeadSpec()
    longest = min(settings.max_tokens or max_tokens or MAX_TOKENS[spec.name], body.max_positions)
    tokenizer: TextTokenizer | ChatTokenizer
    head: nn.Module
    if spec.name == LANGUAGE:
        tokenizer = load_chat_tokenizer(backbone.path, max_tokens=longest)
        head = load_language_head(backbone.path, body)
    else:
        tokenizer = load_tokenizer(
            backbone.path,
            max_tokens=longest,
            prefix=backbone.query_prefix,
            passage_prefix=backbone.passage_prefix,
        )
        head = _new_head(spec, body, len(labels), settings.dropout, folder=backbone.path)
    wanted = "" if settings.pooling == "auto" else settings.pooling
    pooling = spec.pooling or wanted or backbone.pooling or "mean"
    model = TextModel(tokenizer, body, head, labels=labels, pooling=pooling, spec=spec)
    model.asked_in = settings.dtype
    return model


def save_model(model: TextModel, folder: Path, *, backbone: Path) -> None:
    """Write the model so that `load_model` and ``AutoModel.from_pretrained`` read it.

    Args:
        model: what to save.
        folder: made if missing; holds the backbone in hub form (with its language head, where
            it has one), else ``head.safetensors``, and ``model.json``. What is attached is
            merged, and kept in ``adapter/`` where PEFT has a form for it; what cannot be merged
            is in ``adapter.safetensors``.
        backbone: the folder it was loaded from, whose tokenizer files are copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoder = model.backbone
    if isinstance(encoder, PackedBackbone):
        state = _save_attachment(model.attachment, encoder, folder, backbone.name)
        state = {encoder.hub_name(name): tensor for name, tensor in state.items()}
    else:
        state = encoder.model.state_dict()
    if model.spec.name == LANGUAGE:  # so that it is a causal language model for others, too
        state |= model.head.hub_tensors()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    if model.spec.name != LANGUAGE:
        own = model.head.state_dict()
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in own.items()}
        save_file(head, folder / "head.safetensors")
    _write_json(folder / "config.json", encoder.config)
    facts = {
        "head": asdict(model.spec),
        "labels": model.labels,
        "pooling": model.pooling,
        "dtype": "float32" if model.asked_in == "auto" else model.asked_in,
        **model.tokenizer.facts,
    }
    _write_json(folder / "model.json", facts)
    for name in (*TOKENIZER_FILES, POOLING_FILE):
        if (backbone / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(backbone / name, folder / name)
    if isinstance(model.tokenizer, ChatTokenizer):
        model.tokenizer.save(folder)


def load_model(folder: Path) -> TextModel:
    """Read a folder written by `save_model`.

    Raises WeightsError where its head is a plug-in's that is not there.
    """
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    spec = HeadSpec(**facts["head"])
    if spec.name not in (*HEADS, LANGUAGE):
        raise WeightsError(
            f"the head {spec.name!r} is none of {', '.join(HEADS)}",
            where=str(folder),
            cure=f"it is of the plug-in {spec.plugin or '(it does not say which)'}: install that "
            "package, or name its file with --plugin",
        )
    body = load_backbone(folder)
    tokenizer: TextTokenizer | ChatTokenizer
    head: nn.Module
    if spec.name == LANGUAGE:
        tokenizer = load_chat_tokenizer(folder, max_tokens=facts["max_tokens"])
        head = load_language_head(folder, body)
    else:
        tokenizer = load_tokenizer(
            folder,
            max_tokens=facts["max_tokens"],
            prefix=facts["prefix"],
            passage_prefix=facts.get("passage_prefix", ""),
        )
        head = _new_head(spec, body, len(facts["labels"]), 0.0, folder=folder)
        head.load_state_dict(load_file(folder / "head.safetensors"))
    model = TextModel(
        tokenizer, body, head, labels=facts["labels"], pooling=facts["pooling"], spec=spec
    )
    model.asked_in = facts.get("dtype", model.asked_in)
    body.compute_dtype = quick_dtype(model.asked_in)
    if (folder / adapters.FACTS).is_file():
        model.attachment = adapters.load_adapter(body, folder)
    return model.eval()


def _new_head(
    spec: HeadSpec, body: Backbone, n_labels: int, dropout: float, *, folder: Path
) -> nn.Module:
    """A head by its name; one that needs more of the backbone than its width is bound to it."""
    head = HEADS[spec.name](body.width, spec.n_outputs or n_labels, dropout)
    bind = getattr(head, "bind", None)
    if bind is not None:
        bind(body, folder)
    return head


def _save_attachment(
    attachment: adapters.Attachment | None,
    encoder: PackedBackbone,
    folder: Path,
    base_name: str,
) -> dict[str, Tensor]:
    """Write what is attached, without what was there before; returns the encoder's tensors."""
    for name in (adapters.FACTS, "adapter.safetensors"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "adapter", ignore_errors=True)
    state: dict[str, Tensor] = encoder.state_dict()
    if attachment is None:
        return state
    state = {name: state[name] for name in state.keys() - attachment.tensors().keys()}
    if not attachment.can_merge:
        adapters.save_adapter(attachment, folder)
        return state
    if attachment.settings.name in ("lora", "adalora"):
        adapters.save_peft(attachment, folder / "adapter", base_name=base_name)
    return state | attachment.merged()


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
