"""Who has hardly said anything yet: the shared assistant, or a mixture of similar users' heads.

    p(user u | rows) ∝ p(rows | head of u),       head = Σ_u p(u | rows) head_u

over the users with heads and the shared head, which counts as many of them as there are. A mixture
of linear heads is a linear head, so a newcomer's adapter is one like any other. This is Bayesian
model averaging (Hoeting et al. 1999, section 1) with the known users as models.

Shape letters: U heads, N rows, D width, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tailorbird.personalise.heads import HeadPrior, Heads
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.view import View


@dataclass(frozen=True)
class KnownHeads:
    """Changes to the shared head that known users have."""

    weights: Tensor  # (U, C, D) on the unit sphere
    biases: Tensor  # (U, C)

    @classmethod
    def of(cls, heads: Heads, users: Sequence[UserRows], prior: HeadPrior) -> KnownHeads:
        """Those of *users*, fitted to what came before their test rows."""
        found = [heads.deltas(heads.fit(user.known, prior)) for user in users]
        return cls(torch.stack([w for w, _ in found]), torch.stack([b for _, b in found]))

    def mixture(
        self, view: View, rows: Sequence[int], *, n_similar: int = 10, noise: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """(C, D) and (C,), the change for somebody of whom only *rows* are known, maybe none.

        Of the *n_similar* users who explain the rows best and of the shared head, which counts as
        much as all of them together. Without rows, or with *n_similar* 0, there is no change:
        nobody is known to be like somebody who has said nothing. *noise* is the spread of a number
        around its truth.
        """
        n_heads, n_outputs, width = self.weights.shape
        if not n_similar or not n_heads or not rows:
            return self.weights.new_zeros(n_outputs, width), self.biases.new_zeros(n_outputs)
        features, base = view.features_of(rows), view.base_of(rows)
        change = torch.einsum("nd,ucd->unc", features, self.weights) + self.biases[:, None]
        evidence = self._log_likelihood(view, base + change, rows, noise)  # (U,)
        shared = self._log_likelihood(view, base[None], rows, noise)
        best = evidence.topk(min(n_similar, n_heads)).indices
        lead = torch.log(torch.tensor(float(len(best))))
        probs = torch.cat([evidence[best], shared + lead]).softmax(0)[:-1]  # the shared head adds 0
        return torch.einsum("u,ucd->cd", probs, self.weights[best]), probs @ self.biases[best]

    def _log_likelihood(
        self, view: View, outputs: Tensor, rows: Sequence[int], noise: float
    ) -> Tensor:
        """(U, N, C) outputs → (U,) how probable *rows* are by each."""
        truth = view.truth[list(rows)]
        if view.is_numbers:
            return -((outputs[..., 0] - truth) / noise).square().sum(1) / 2
        at = truth.expand(len(outputs), -1)[..., None]
        return outputs.log_softmax(-1).gather(2, at)[..., 0].sum(1)
