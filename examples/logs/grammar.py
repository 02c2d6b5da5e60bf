"""A small grammar: templates with choices and slots become sentences.

``[a|b]`` picks one side, ``{name}`` picks one line of the slot *name*; both nest. Slots named as
remembered keep their first value for a whole conversation, so that an order number or a product
does not change between two sentences.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

KINDS = ("wearable", "appliance", "fragile", "plain")
"""Slots that name a thing for sale; whichever comes first is *the* product of a conversation."""


@dataclass
class Phrases:
    """Everything that people of one language say, and the slots it needs."""

    table: dict[str, Any]
    slots: dict[str, list[str]] = field(init=False)
    remembered: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.table["slots"]
        self.remembered = frozenset(self.table["remembered"]["names"])

    @classmethod
    def load(cls, folder: Path) -> Phrases:
        """Read the files of one language from `phrases/`."""
        names = ("manners", "intents", "replies")
        tables = [tomllib.loads((folder / f"{n}.toml").read_text(encoding="utf-8")) for n in names]
        return cls({key: value for table in tables for key, value in table.items()})

    def expand(self, template: str, rng: Random, memory: dict[str, str]) -> str:
        """One sentence of *template*; *memory* holds, and takes, remembered slots."""
        parts: list[str] = []
        i = 0
        while i < len(template):
            closing = {"[": "]", "{": "}"}.get(template[i])
            if closing is None:
                parts.append(template[i])
                i += 1
                continue
            end = _matching(template, i, closing)
            inner = template[i + 1 : end]
            if closing == "]":
                parts.append(self.expand(rng.choice(_sides(inner)), rng, memory))
            else:
                parts.append(self._slot(inner, rng, memory))
            i = end + 1
        return "".join(parts)

    def settle(self, templates: list[str], rng: Random, memory: dict[str, str]) -> None:
        """Choose the product of the conversation so that it suits all *templates*."""
        for kind in KINDS:
            if "product" not in memory and any(f"{{{kind}}}" in text for text in templates):
                memory["product"] = rng.choice(self.slots[kind])

    def _slot(self, name: str, rng: Random, memory: dict[str, str]) -> str:
        if name in KINDS and memory.get("product") in self.slots[name]:
            return memory["product"]
        if name in memory:
            return memory[name]
        value = self.expand(rng.choice(self.slots[name]), rng, memory)
        if name in self.remembered:
            memory[name] = value
        elif name in KINDS:
            memory.setdefault("product", value)
        return value


def _matching(template: str, start: int, closing: str) -> int:
    depth = 0
    for i in range(start, len(template)):
        if template[i] == template[start]:
            depth += 1
        elif template[i] == closing:
            depth -= 1
            if depth == 0:
                return i
    raise ValueError(f"{template!r}: {template[start]!r} at {start} is never closed")


def _sides(inner: str) -> list[str]:
    """Split at the bars of the outermost level."""
    sides, depth, last = [], 0, 0
    for i, char in enumerate(inner):
        depth += (char in "[{") - (char in "]}")
        if char == "|" and depth == 0:
            sides.append(inner[last:i])
            last = i + 1
    return [*sides, inner[last:]]
