"""What is tried for each user beside the shared assistant: own rows, an adapter, and both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tailorbird.modeling.adapters.own_rows import OwnRows, Retrieval
from tailorbird.personalise.heads import HeadPrior, Heads
from tailorbird.personalise.retrieval import blend, own_rows
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.view import View

NONE = "none"
CANDIDATES = ("retrieval", "adapter", "both")
"""In the order in which the simpler of equal ones is preferred."""


class Adapters(Protocol):
    """An adapter for each user, of whatever kind."""

    def answers(
        self, user: UserRows, known: Sequence[int], asked: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """(n, C) answers to *asked* by the adapter tuned on *known*, and (N, C) those to *known*.

        The latter are, where that can be had, of an adapter that has not seen the row.
        """


@dataclass(frozen=True)
class HeadAdapters:
    """Heads in closed form: tuned anew whenever they are asked."""

    heads: Heads
    prior: HeadPrior

    def answers(
        self, user: UserRows, known: Sequence[int], asked: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """As `Adapters` says; numbers without the row itself."""
        fit = self.heads.fit(known, self.prior, with_loo=True)
        return self.heads.answer(fit, asked), fit.loo


@dataclass(frozen=True)
class Candidates:
    """How each candidate answers; the numbers in it were chosen on validation rows of all users."""

    view: View
    adapters: Adapters
    retrieval: Retrieval = field(default_factory=Retrieval)
    """Of own rows around the shared assistant."""
    both: Retrieval = field(default_factory=Retrieval)
    """Of own rows around the adapter."""

    def answers(
        self, user: UserRows, known: Sequence[int], asked: Sequence[int]
    ) -> dict[str, Tensor]:
        """(n, C) answers to *asked* by everything that *known* can give, by name."""
        base = self.view.base_of(asked)
        of_known, of_asked = self.adapters.answers(user, known, asked)[::-1]
        near = own_rows(self.view, known, self.view.base_of(known), self.retrieval)
        over = own_rows(self.view, known, of_known, self.both)
        return {
            NONE: base,
            "retrieval": blend(self.view, near, asked, base),
            "adapter": of_asked,
            "both": blend(self.view, over, asked, of_asked),
        }

    def rows_beside(self, name: str, user: UserRows, known: Sequence[int]) -> OwnRows | None:
        """The own rows that candidate *name* needs for serving."""
        if name == "retrieval":
            return own_rows(self.view, known, self.view.base_of(known), self.retrieval)
        if name == "both":
            of_known = self.adapters.answers(user, known, known)[1]
            return own_rows(self.view, known, of_known, self.both)
        return None
