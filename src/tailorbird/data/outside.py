"""Which labels say that no intent fits a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tailorbird.records import Example, SplitName

Parts = dict[SplitName, tuple[Example, ...]]


def labels_named(names: str) -> frozenset[str]:
    """The labels that a setting names, separated by commas, as `is_named` compares them."""
    return frozenset(_plain(name) for name in names.split(",") if name.strip())


def is_named(label: str, names: frozenset[str]) -> bool:
    """Whether *label* is one of *names*, however its words are joined.

    >>> is_named("Out-of-scope", labels_named("oos, out_of_scope")), is_named("other", frozenset())
    (True, False)
    """
    return bool(names) and _plain(label) in names


def put_aside(
    parts: Mapping[SplitName, Sequence[Example]], names: frozenset[str]
) -> tuple[Parts, Parts, list[str]]:
    """The splits without rows whose label is one of *names*, those rows, and a sentence on them."""
    inside, outside = Parts(), Parts()
    for name, rows in parts.items():
        outside[name] = tuple(row for row in rows if is_named(row.label, names))
        inside[name] = tuple(row for row in rows if not is_named(row.label, names))
    if not any(outside.values()):
        return inside, outside, []
    found = ", ".join(f"{name} {len(rows):,}" for name, rows in outside.items())
    return (
        inside,
        outside,
        [
            f"out of scope: rows that are labelled so ({found}); no class is learned of them, they "
            "teach what to turn away"
        ],
    )


def _plain(label: str) -> str:
    return label.strip().casefold().replace(" ", "_").replace("-", "_")
