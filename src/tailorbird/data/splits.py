"""What splits hold, and what was done to get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tailorbird.records import Example, SplitName


@dataclass(frozen=True, slots=True)
class Leak:
    """Two texts that say nearly the same in two splits."""

    split: SplitName
    text: str
    other_split: SplitName
    other_text: str


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What the splits hold and what was done to get there."""

    by: str
    """random, user, time, or given."""
    n_rows: dict[str, int]
    """Rows of each split."""
    counts: dict[str, dict[str, int]]
    """Rows of each label in each split."""
    n_unlabelled: int
    dropped_labels: dict[str, int]
    """Labels that were left out, with their rows."""
    n_moved: int
    """Rows that follow a near duplicate into its split (or, by time, were left out for one)."""
    moved: tuple[tuple[str, str], ...]
    """Examples of such pairs."""
    n_leaks: int
    """Rows of given splits with a near duplicate in another one; reported, never touched."""
    leaks: tuple[Leak, ...]
    decisions: tuple[str, ...]
    seed: int
    n_outside: dict[str, int] = field(default_factory=dict)
    """Rows of each split that are labelled as out of scope; they are not in *n_rows*."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Splits:
    """Training items by split; *labels* are sorted and all of them occur in train."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    report: SplitReport
    outside: Mapping[SplitName, tuple[Example, ...]] = field(default_factory=dict)
    """Rows that are labelled as out of scope, by split: no class is learned of them."""

    def __getitem__(self, name: SplitName) -> tuple[Example, ...]:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]
