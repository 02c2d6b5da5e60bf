"""A model that puts on the weights of one job after another: members, soups, what is kept.

Shape letters: V rows, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tailorbird.errors import WeightsError
from tailorbird.metrics import log_softmax
from tailorbird.modeling import TextModel, adapters
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.modeling.trunk_cache import TrunkCache


class Wearer:
    """A pretrained model, with what was tuned over it put on and taken off.

    Args:
        model: untuned, with a head for the labels of all weights that it is to wear.
        tokens: the V texts that `log_probs` is of.
        cache: where states of frozen layers are found.
    """

    def __init__(
        self, model: TextModel, tokens: TokenizedTexts, *, cache: TrunkCache | None = None
    ) -> None:
        self.model = model.eval()
        self.tokens = tokens
        self.cache = cache
        self._n_frozen = -1

    @torch.no_grad()
    def put_on(self, weights: AdapterWeights) -> None:
        """Make the model what *weights* are of; what it wore before is gone.

        Raises WeightsError where they are of other labels or do not fit.
        """
        model = self.model
        if weights.labels != tuple(model.labels):
            raise WeightsError(
                f"weights of {len(weights.labels)} labels do not fit a model of "
                f"{len(model.labels)}",
                cure="tune again on these rows",
            )
        if model.attachment is not None and model.attachment.places:
            model.attachment.detach()
        if weights.n_frozen != self._n_frozen:
            model.backbone.freeze(weights.n_frozen, words=False)
            self.tokens = model.with_trunk(replace(self.tokens, states=None), self.cache)
            self._n_frozen = weights.n_frozen
        attachment = adapters.attach(model.backbone, weights.settings)
        added = attachment.tensors().keys()
        attachment.load({name: weights.tensors[name] for name in weights.tensors if name in added})
        for name in weights.tensors.keys() - added:
            model.backbone.get_parameter(name).copy_(weights.tensors[name])
        model.head.load_state_dict(dict(weights.head))
        model.attachment = attachment

    def log_probs(self, weights: AdapterWeights) -> NDArray[np.float64]:
        """(V, C) what a model with these *weights* says of the texts."""
        self.put_on(weights)
        logits = self.model.logits(self.tokens).numpy()
        return log_softmax(logits)
