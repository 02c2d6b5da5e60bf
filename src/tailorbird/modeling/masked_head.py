"""The head of masked language models: which word stood where the mask stands.

Shape letters: D width, E columns of the word table, U masked tokens, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.errors import WeightsError
from tailorbird.modeling.families import FAMILIES
from tailorbird.modeling.word_loss import word_nll
from tailorbird.weights import Checkpoint

NAMES: tuple[Mapping[str, str], ...] = (
    {
        "dense.weight": "cls.predictions.transform.dense.weight",
        "dense.bias": "cls.predictions.transform.dense.bias",
        "norm.weight": "cls.predictions.transform.LayerNorm.weight",
        "norm.bias": "cls.predictions.transform.LayerNorm.bias",
        "bias": "cls.predictions.bias",
    },
    {
        "dense.weight": "lm_head.dense.weight",
        "dense.bias": "lm_head.dense.bias",
        "norm.weight": "lm_head.layer_norm.weight",
        "norm.bias": "lm_head.layer_norm.bias",
        "bias": "lm_head.bias",
    },
    {
        "dense.weight": "vocab_transform.weight",
        "dense.bias": "vocab_transform.bias",
        "norm.weight": "vocab_layer_norm.weight",
        "norm.bias": "vocab_layer_norm.bias",
        "bias": "vocab_projector.bias",
    },
)
"""What BERT, RoBERTa and DistilBERT call the tensors of this head."""


SCALES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4)
"""Of a guess; tried when a new head starts."""
N_TRIED = 256
"""States that they are tried on."""


class MaskedHead(nn.Module):
    """``logits = norm(gelu(A z + a)) Wᵀ + b`` of the word that is masked, for its state z.

    W is the word table of the backbone, read as it stands: it learns by what words are read as,
    not by what they are taken for, whose gradient would touch every word of V at every step. So
    the head has a place in the state for A, a and the norm alone; b is as pretrained, or says how
    frequent words are where the backbone came without such a head (`know_frequencies`).

    It is of no use before `bind`.

    Sources: Devlin et al. 2019, section 3.1 (task 1); Press & Wolf 2017 (tied tables), section 3.
    """

    bias: Tensor

    def __init__(self, width: int, n_outputs: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, 1e-12)
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)
        self.register_buffer("bias", torch.zeros(0))
        self.is_fresh = True
        """Whether the backbone came without a head of this kind."""
        self._backbone: tuple[Any, ...] = ()  # in a tuple, so that it is no part of this module

    def bind(self, backbone: Any, folder: Path) -> None:
        """Take the words of *backbone*, and the head that its *folder* holds, where it holds one.

        Raises WeightsError where the backbone is a decoder, which masks nothing.
        """
        if hasattr(backbone, "out_words"):
            raise WeightsError(
                "is a decoder, which has no masked words to tell",
                where=str(folder),
                cure="use an encoder such as e5 or minilm, or the task dialogue",
            )
        self._backbone = (backbone,)
        n_words, embedding_width = self.words.shape
        width = self.dense.in_features
        if embedding_width != width:  # a small ELECTRA's tables are narrower
            self.dense = nn.Linear(width, embedding_width)
            self.norm = nn.LayerNorm(embedding_width, 1e-12)
        self.bias = torch.zeros(n_words)
        found = _pretrained(folder, self.state_dict(), backbone.config)
        if found:
            self.load_state_dict(found)
            self.is_fresh = False

    @property
    def words(self) -> Tensor:
        """(V, E) the backbone's word table."""
        (backbone,) = self._backbone
        if hasattr(backbone, "words"):
            return backbone.words.weight  # type: ignore[no-any-return]
        return backbone.model.get_input_embeddings().weight  # type: ignore[no-any-return]

    def know_frequencies(self, token_ids: Tensor) -> None:
        """Let b be the log share of each word among *token_ids* (T,), one of each added."""
        counts = torch.bincount(token_ids.to(torch.int64), minlength=len(self.bias)) + 1.0
        self.bias.copy_((counts / counts.sum()).log())

    @torch.no_grad()
    def start_from_features(self, states: Tensor, targets: Tensor, *, ridge: float = 0.1) -> None:
        """A new head guesses, at first, the word whose vector is nearest to a linear map of z.

        Least squares from (U, D) states to the vectors of the words (U,) that were masked, less
        the mean of both, with *ridge* times the mean variance of the states added (Hoerl and
        Kennard 1970). How sure a guess is to be is found on states that were left out. A head that
        was pretrained stays as it is.
        """
        n_tried = min(N_TRIED, len(states) // 4)
        if not self.is_fresh or not n_tried:
            return
        z = states[n_tried:].double().cpu()
        wanted = self.words.detach()[targets[n_tried:]].double().cpu()
        centre = z.mean(0)
        z, wanted = z - centre, wanted - wanted.mean(0)
        covariance = z.T @ z / len(z)
        added = ridge * covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(z.shape[1])
        weight = torch.linalg.solve(covariance + added, z.T @ wanted / len(z)).T  # (E, D)
        self.dense.weight.copy_(weight)
        self.dense.bias.copy_(-weight @ centre)
        place = self.norm.weight.device
        held = states[:n_tried].to(place), targets[:n_tried].to(place)
        tried: dict[float, float] = {}
        for scale in SCALES:
            self.norm.weight.fill_(scale)
            tried[self.nll(*held).item()] = scale
        self.norm.weight.fill_(tried[min(tried)])

    def forward(self, states: Tensor) -> Tensor:
        """(U, D) → (U, V) fp32 logits; the product runs in the backbone's compute type."""
        weight, bias = self._in_compute_type()
        return F.linear(self._guess(states).to(weight.dtype), weight, bias).float()

    def nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """Mean ``-log softmax(logits)[target]`` of (U, D) states and (U,) words, in nats.

        The logits are never held as a whole.
        """
        return word_nll(self._guess(states), *self._in_compute_type(), targets)

    def _guess(self, states: Tensor) -> Tensor:
        """(U, D) → (U, E)."""
        return self.norm(F.gelu(self.dense(states)))  # type: ignore[no-any-return]

    def _in_compute_type(self) -> tuple[Tensor, Tensor]:
        dtype = self._backbone[0].compute_dtype
        return self.words.detach().to(dtype), self.bias.to(dtype)


def _pretrained(
    folder: Path, wanted: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The tensors of this head that *folder* holds by our names; none where one is missing."""
    own = folder / "model.json"
    if own.is_file():
        facts = json.loads(own.read_text(encoding="utf-8"))
        is_masked = facts.get("head", {}).get("name") == "masked"
        return load_file(folder / "head.safetensors") if is_masked else {}
    family = FAMILIES.get(config.get("model_type", ""))
    checkpoint = Checkpoint(folder, prefix=family.prefix if family else "")
    for names in NAMES:
        if set(names.values()) <= checkpoint.names:
            read = checkpoint.read({names[name]: tensor.shape for name, tensor in wanted.items()})
            return {name: read[names[name]] for name in wanted}
    return {}
