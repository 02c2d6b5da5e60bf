"""Dividing groups of rows among splits so that every label has its share in each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from tailorbird.records import SplitName


def quotas(n_rows: int, shares: Mapping[SplitName, float]) -> dict[SplitName, int]:
    """Whole rows for each split: by largest remainder, then at least one each where possible.

    >>> quotas(10, {"train": 7, "validation": 2, "test": 1})
    {'train': 7, 'validation': 2, 'test': 1}
    >>> quotas(3, {"train": 7, "validation": 2, "test": 1})
    {'train': 1, 'validation': 1, 'test': 1}
    """
    total = sum(shares.values())
    exact = {name: n_rows * share / total for name, share in shares.items()}
    found = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in by_remainder[: n_rows - sum(found.values())]:
        found[name] += 1
    if n_rows >= len(found):
        for name in found:
            if found[name] == 0:
                found[max(found, key=lambda other: found[other])] -= 1
                found[name] = 1
    elif n_rows and not found["train"]:
        found[max(found, key=lambda other: found[other])] -= 1
        found["train"] = 1
    return found


def allocate(
    groups: Sequence[Sequence[str]], shares: Mapping[SplitName, float], order: random.Random
) -> list[SplitName]:
    """The split of each group, where a group is the labels of rows that must stay together.

    Large groups are placed first; each goes where its labels are furthest below their quota, as
    in iterative stratification (Sechidis et al. 2011). Groups of one row meet every quota exactly.
    Every label gets a row in train.
    """
    counts = [Counter(labels) for labels in groups]
    total = Counter(label for labels in groups for label in labels)
    wanted = {label: quotas(n, shares) for label, n in sorted(total.items())}
    missing = {label: dict(quota) for label, quota in wanted.items()}
    names = list(shares)
    places: list[SplitName] = [names[0]] * len(groups)
    numbers = list(range(len(groups)))
    order.shuffle(numbers)
    numbers.sort(key=lambda number: -len(groups[number]))

    def need(name: SplitName, labels: Counter[str]) -> float:
        # Rows of each label count by how much of their quota is still open, in (-inf, 1].
        return sum(
            n * missing[label][name] / max(wanted[label][name], 1) for label, n in labels.items()
        )

    for number in numbers:
        labels = counts[number]
        best = max(names, key=lambda name: need(name, labels))
        places[number] = best
        for label, n in labels.items():
            missing[label][best] -= n
    _keep_labels_in_train(counts, places)
    return places


def _keep_labels_in_train(counts: Sequence[Counter[str]], places: list[SplitName]) -> None:
    """Move the smallest group of a label into train where train has none of it."""
    having: dict[str, list[int]] = {}
    for number, labels in enumerate(counts):
        for label in labels:
            having.setdefault(label, []).append(number)
    for numbers in having.values():
        if not any(places[number] == "train" for number in numbers):
            places[min(numbers, key=lambda number: counts[number].total())] = "train"
