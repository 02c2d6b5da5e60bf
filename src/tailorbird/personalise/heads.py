"""A head for each user: the shared one and what this user's rows ask of it, in closed form.

    f(x) = b(x) + a Δw·(z(x) - c) + l Δb,      Δw, Δb ~ N(0, 1)

with b the shared assistant's answer, z its feature on the unit sphere, c the mean feature of all
rows, a and l how far users are believed to differ in taste and in level. Numbers have noise of
variance 1 / w for a row of weight w; then f is ridge regression toward the shared head, in its dual
form, exactly (Rasmussen and Williams 2006, section 2.3). Numbers may also be fitted to absolute
rather than squared errors, by weighting again (Holland and Welsch 1977). Classes are logistic
regression toward the shared head; its one optimum is found by Nesterov's method for strongly convex
functions (Nesterov 2004, section 2.2.1).

Shape letters: N own rows, B asked, D width, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tailorbird.personalise.view import View

N_REWEIGHTINGS = 6
N_STEPS = 400
TOLERANCE = 1e-7


@dataclass(frozen=True, slots=True)
class HeadPrior:
    """How far users are believed to differ from the shared assistant, and for how long."""

    taste: float = 0.3
    """a: of the direction, in noise of a row."""
    level: float = 0.3
    """l: of all answers alike."""
    half_life: float = 0.0
    """Own rows since which a row has lost half its weight; 0: old rows count as new ones."""
    is_robust: bool = False
    """Numbers: fitted to absolute errors, as a median is."""


@dataclass(frozen=True)
class HeadFit:
    """The change that one user's rows make to the shared head."""

    prior: HeadPrior
    centred: Tensor  # (N, D) features of the rows, centred
    alpha: Tensor  # (N, C) the dual weights
    loo: Tensor  # (N, C) what is answered to each row by a fit without it; classes: with it

    def change(self, centred: Tensor) -> Tensor:
        """(B, D) centred features → (B, C), to be added to the shared answers."""
        return _kernel(centred, self.centred, self.prior) @ self.alpha


@dataclass(frozen=True)
class Heads:
    """Fits heads to rows of a view."""

    view: View
    centre: Tensor  # (D,)
    scale: float
    """Features are so long that a row's mean squared distance from the centre is 1."""

    @classmethod
    def over(cls, view: View, rows: Sequence[int]) -> Heads:
        """With centre and scale of *rows*, those of all users' training."""
        features = view.features_of(rows)
        centre = features.mean(0)
        length = (features - centre).square().sum(1).mean().sqrt().item()
        return cls(view, centre, 1.0 / max(length, 1e-6))

    def centred(self, rows: Sequence[int]) -> Tensor:
        """(n, D) features as priors are about."""
        return (self.view.features_of(rows) - self.centre) * self.scale

    def fit(self, rows: Sequence[int], prior: HeadPrior, *, with_loo: bool = False) -> HeadFit:
        """The change for the user whose rows these are, oldest first."""
        centred, n_rows = self.centred(rows), len(rows)
        weight = torch.ones(n_rows, dtype=torch.float64)
        if prior.half_life:
            weight = 0.5 ** (torch.arange(n_rows - 1, -1, -1) / prior.half_life).double()
        kernel = _kernel(centred, centred, prior)  # (N, N)
        base = self.view.base_of(rows)
        truth = self.view.truth[list(rows)]
        if not self.view.is_numbers:
            alpha = _logistic(kernel, base, truth, weight)
            return HeadFit(prior, centred, alpha, base + kernel @ alpha)
        residual = truth[:, None] - base  # (N, 1)
        alpha, noisy = _ridge(kernel, residual, weight)
        if prior.is_robust:
            for _ in range(N_REWEIGHTINGS):
                wrong = (residual - kernel @ alpha).abs()[:, 0]
                alpha, noisy = _ridge(kernel, residual, weight / wrong.clamp(min=0.05))
        loo = base + kernel @ alpha
        if with_loo:  # Rasmussen and Williams 2006, equation 5.12
            left = alpha[:, 0] / torch.linalg.inv(noisy).diagonal()
            loo = truth[:, None] - left[:, None]
        return HeadFit(prior, centred, alpha, loo)

    def answer(self, fit: HeadFit, rows: Sequence[int]) -> Tensor:
        """(n, C) what the fitted head says of *rows*: numbers, or log-probabilities."""
        outputs = self.view.base_of(rows) + fit.change(self.centred(rows))
        return outputs if self.view.is_numbers else outputs.log_softmax(-1)

    def deltas(self, fit: HeadFit) -> tuple[Tensor, Tensor]:
        """(C, D) and (C,): what is added to weight and bias of a head on the unit sphere."""
        weight = fit.prior.taste**2 * self.scale * (fit.alpha.T @ fit.centred)
        return weight, fit.prior.level**2 * fit.alpha.sum(0) - weight @ self.centre


def _kernel(left: Tensor, right: Tensor, prior: HeadPrior) -> Tensor:
    """(n, m) how alike the changes are that two rows ask for."""
    return prior.taste**2 * (left @ right.T) + prior.level**2


def _ridge(kernel: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 1) dual weights of ridge regression with noise 1 / weight, and the noisy kernel."""
    noisy = kernel + torch.diag(1.0 / weight.clamp(min=1e-9))
    factor = torch.linalg.cholesky(noisy)
    return torch.cholesky_solve(residual, factor), noisy


def _logistic(kernel: Tensor, base: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """(N, C) dual weights of logistic regression; at the optimum ``α = w ([y = c] - p)``.

    The step is along ``α - w ([y = c] - p)``, the gradient in the norm of the kernel. There the
    curvature is between 1 and ``1 + λ / 2``, λ the largest eigenvalue of ``√w K √w`` (Böhning
    1992, "Multinomial logistic regression algorithm").
    """
    wanted = torch.zeros_like(base).scatter(1, truth[:, None], 1.0)
    root = weight.sqrt()
    largest = torch.linalg.eigvalsh(root[:, None] * kernel * root[None, :])[-1].clamp(min=0)
    steepest = 1.0 + largest.item() / 2
    momentum = (steepest**0.5 - 1) / (steepest**0.5 + 1)
    alpha = ahead = torch.zeros_like(base)
    for _ in range(N_STEPS):
        probs = (base + kernel @ ahead).softmax(-1)
        new = ahead - (ahead - weight[:, None] * (wanted - probs)) / steepest
        moved = (new - alpha).abs().max().item()
        ahead = new + momentum * (new - alpha)
        alpha = new
        if moved < TOLERANCE:
            break
    return alpha
