"""Interest match: item vectors from content, and a user's vector from what they did lately.

As NRMS (Wu et al. 2019, "Neural News Recommendation with Multi-Head Self-Attention"), a user is
self-attention over the vectors of their items and then additive attention; here each event sees
only those before it, so that one pass gives the user's vector after every event. An item is a
projection of what a frozen text model says of it, of its tags and numbers, and an own part that
items without events do not have. That part is left out at random while tuning, so that content
alone has to do (DropoutNet, Volkovs et al. 2017). Taste is learned on top of how popular an item
was when the event happened: what is popular changes, and a bias that is learned from all years
would say what was popular on average.

Shape letters: B users, T events of a window, M items, F content features, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

MAX_EVENTS = 100
"""The latest events that make a user's vector."""
N_BUCKETS = 5
"""Degrees of liking that an event is told by."""


class InterestModel(nn.Module):
    """Vectors of items and of users whose inner product is large where the item comes next."""

    def __init__(
        self, n_features: int, n_items: int, *, width: int, n_heads: int = 2, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.width, self.n_heads = width, n_heads
        self.content = nn.Linear(n_features, width, bias=False)
        self.content_bias = nn.Linear(n_features, 1, bias=False)
        self.own = nn.Parameter(torch.zeros(n_items, width))
        self.own_bias = nn.Parameter(torch.zeros(n_items))
        self.degree = nn.Embedding(N_BUCKETS, width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.nearness = nn.Parameter(torch.zeros(n_heads, MAX_EVENTS))
        self.attended = nn.Linear(width, width)
        self.asked = nn.Linear(width, 1, bias=False)
        self.lateness = nn.Parameter(torch.zeros(MAX_EVENTS))
        self.out = nn.Linear(width, width)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.mixed.weight)
        nn.init.normal_(self.degree.weight, std=0.02)
        nn.init.normal_(self.content.weight, std=0.005)
        nn.init.zeros_(self.content_bias.weight)
        with torch.no_grad():  # what was done lately says most, from the first step on
            self.lateness.copy_(-torch.arange(MAX_EVENTS) / 30.0)
            # and a user lies where their items lie.
            self.out.weight.copy_(0.3 * torch.eye(width))

    @torch.no_grad()
    def start_from(self, factors: Tensor, counts: Tensor) -> None:
        """Begin where collaborative filtering ended.

        Args:
            factors: (M, K) of items, zeros where nothing is known; K of the D numbers are used.
            counts: (M,) events of each; factors of items with few are made small.
        """
        n = min(factors.shape[1], self.width)
        lengths = factors.norm(dim=1, keepdim=True).clamp(min=1e-9)
        self.own[:, :n] = 0.7 * (factors / lengths)[:, :n] * (counts / (counts + 3))[:, None]

    def items(self, features: Tensor, own: Tensor | None, bias: Tensor | None) -> Tensor:
        """(M, D + 1) vectors of items, the last number a bias.

        Args:
            features: (M, F) content.
            own: (M, D) the own part of each; None: items without events.
            bias: (M,) the own part of the bias.
        """
        vectors, biases = self.content(features), self.content_bias(features)
        if own is not None and bias is not None:
            vectors, biases = vectors + own, biases + bias[:, None]
        return torch.cat([vectors, biases], dim=1)

    def users(self, vectors: Tensor, degrees: Tensor, is_there: Tensor) -> Tensor:
        """(B, T, D) the vector of each user after each event.

        Args:
            vectors: (B, T, D) of the items of the events, oldest first.
            degrees: (B, T) how much each was liked, 0 to `N_BUCKETS` - 1.
            is_there: (B, T) false where a window is padded, at its end.
        """
        n = vectors.shape[1]
        states = self.dropout(self.norm_in(vectors + self.degree(degrees)))  # (B, T, D)
        ages = torch.arange(n)[:, None] - torch.arange(n)  # (T, T)
        is_seen = (ages >= 0)[None] & is_there[:, None, :]  # (B, T, T)
        is_seen = is_seen | torch.eye(n, dtype=torch.bool)  # padding sees itself, not nothing
        ages = ages.clamp(0, MAX_EVENTS - 1)
        states = states + self._mix(states, ages, is_seen)
        asked = self.asked(torch.tanh(self.attended(states)))[..., 0]  # (B, T)
        logits = asked[:, None, :] + self.lateness[ages]  # (B, T, T)
        shares = logits.masked_fill(~is_seen, -1e9).softmax(-1)
        found: Tensor = self.out(self.norm_out(shares @ states))
        return found

    def _mix(self, states: Tensor, ages: Tensor, is_seen: Tensor) -> Tensor:
        """(B, T, D) causal self-attention of H heads with a bias by nearness."""
        n_users, n, _ = states.shape
        parts = self.query_key_value(states).view(n_users, n, 3, self.n_heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # (B, H, T, D / H) each
        logits = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        logits = logits + self.nearness[:, ages]
        shares = logits.masked_fill(~is_seen[:, None], -1e9).softmax(-1)
        mixed = (shares @ values).transpose(1, 2).reshape(n_users, n, -1)
        found: Tensor = self.dropout(self.mixed(mixed))
        return found


class InterestEnsemble(nn.Module):
    """The mean of K interest models that differ by their seeds (Lakshminarayanan et al. 2017).

    Their vectors stand side by side, those of users divided by K: inner products are the mean of
    the members', and what one of them took from chance the others do not repeat.
    """

    def __init__(self, members: Iterable[InterestModel]) -> None:
        super().__init__()
        self.members: Collection[InterestModel] = nn.ModuleList(members)  # type: ignore[assignment]

    def items(self, features: Tensor, *, own: bool) -> Tensor:
        """(M, K D + 1) vectors of items, the last number a bias.

        Args:
            features: (M, F) content.
            own: whether these are the items that the members were tuned with, in that order, or
                ones without events.
        """
        parts = [
            one.items(features, *((one.own, one.own_bias) if own else (None, None)))
            for one in self.members
        ]
        bias = torch.stack([part[:, -1] for part in parts]).mean(dim=0)
        return torch.cat([*(part[:, :-1] for part in parts), bias[:, None]], dim=1)

    def users(self, vectors: Tensor, degrees: Tensor, is_there: Tensor) -> Tensor:
        """(B, T, K D) from (B, T, K D); see `InterestModel.users`."""
        parts = vectors.chunk(len(self.members), dim=-1)
        both = zip(self.members, parts, strict=True)
        users = [one.users(part, degrees, is_there) for one, part in both]
        return torch.cat(users, dim=-1) / len(users)


def degrees_of(relative: Tensor) -> Tensor:
    """The degree of liking of events, from how far ratings are from the user's mean.

    >>> degrees_of(torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])).tolist()
    [0, 1, 2, 3, 4]
    """
    return torch.bucketize(relative, torch.tensor([-1.0, -0.2, 0.2, 1.0]))
