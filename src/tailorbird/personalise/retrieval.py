"""Answers blended with a user's own nearest rows; the formulas are those of `OwnRows`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tailorbird.modeling.adapters.own_rows import OwnRows, Retrieval
from tailorbird.personalise.view import View


def own_rows(view: View, rows: Sequence[int], base: Tensor, how: Retrieval) -> OwnRows:
    """*rows* of one user, oldest first, and *base* (n, C), what is answered to them otherwise.

    Features are as coarse as `OwnRows.beside` stores them: what is measured is what is served.
    """
    first = base[:, 0] if view.is_numbers else torch.zeros(len(rows), dtype=torch.float64)
    features = view.features_of(rows).to(torch.float16).double()
    return OwnRows(features, view.truth[list(rows)], first, how)


def blend(view: View, own: OwnRows, rows: Sequence[int], base: Tensor) -> Tensor:
    """(n, C) answers *base* to *rows*, blended with the user's own rows."""
    features = view.features_of(rows)
    if view.is_numbers:
        return own.numbers(features, base[:, 0])[:, None]
    return own.probs(features, base.exp()).clamp(min=1e-12).log()
