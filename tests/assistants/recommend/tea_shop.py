"""A small shop whose customers each love one of three kinds of things."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from tailorbird.assistants.recommend.catalogue.records import Event, Item

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("tea", "lamp", "bike")
N_OF_KIND = 12


class WordEncoder:
    """Vectors of the words alone: texts that share words are alike."""

    name = "words"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(texts), 16), np.float32)
        for row, text in zip(found, texts, strict=True):
            for word in text.replace(",", " ").replace(".", " ").split():
                row += (
                    np.frombuffer(hashlib.sha256(word.encode()).digest()[:16], np.uint8) / 128 - 1
                )
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def items() -> list[Item]:
    return [
        Item(
            f"{kind}{k}",
            f"{kind} number{k}",
            tags=(kind,),
            features={"price": 10.0 * (1 + KINDS.index(kind)) + k, "brand": f"b{k % 3}"},
        )
        for kind in KINDS
        for k in range(N_OF_KIND)
    ]


def events(*, n_users: int = 45, n_each: int = 12, seed: int = 0) -> list[Event]:
    """Ten of twelve events of each user are of the kind they love, and rated 5 where others get 2.

    Users come one after another, a day each, so that a cut in time has users on both sides.
    """
    rng = np.random.default_rng(seed)
    found = []
    for user in range(n_users):
        love = KINDS[user % 3]
        ids = [f"{love}{k}" for k in rng.permutation(N_OF_KIND)[: n_each - 2]]
        others = [kind for kind in KINDS if kind != love]
        ids[4:4] = [f"{kind}{rng.integers(N_OF_KIND)}" for kind in others]
        for k, item in enumerate(ids):
            time = START + timedelta(days=user, minutes=7 * k)
            value = 5.0 if item.startswith(love) else 2.0
            found.append(Event(f"u{user:02}", item, "rating", value, time))
    return found


def past_of_kind(kind: str, n: int = 5, *, user: str = "new") -> list[Event]:
    return [
        Event(user, f"{kind}{k}", "click", None, START + timedelta(days=100, minutes=k))
        for k in range(n)
    ]
