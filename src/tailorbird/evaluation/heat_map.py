"""The confusion matrix as a picture, readable for 5 classes as for 150, and its worst pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tailorbird.evaluation.plots import drawing, element
from tailorbird.text import shorten

N_NAMED = 24
"""Up to so many classes the cells carry names and counts; beyond, tooltips do."""


def confused_pairs(
    confusion: NDArray[np.int64], labels: Sequence[str], *, n_most: int = 12
) -> list[dict[str, Any]]:
    """The pairs of classes with the most mistakes, worst first.

    >>> confused_pairs(np.array([[8, 2], [0, 5]]), ["pay", "send"])
    [{'true': 'pay', 'predicted': 'send', 'n': 2, 'support': 10, 'share': 0.2}]
    """
    wrong = confusion - np.diag(np.diag(confusion))
    support = confusion.sum(axis=1)
    cells = [(int(wrong[i, j]), i, j) for i, j in np.argwhere(wrong).tolist()]
    cells.sort(key=lambda cell: (-cell[0], -cell[0] / support[cell[1]], cell[1:]))
    return [
        {
            "true": labels[i],
            "predicted": labels[j],
            "n": n,
            "support": int(support[i]),
            "share": n / int(support[i]),
        }
        for n, i, j in cells[:n_most]
    ]


def neighbours_first(confusion: NDArray[np.int64]) -> list[int]:
    """An order of the classes in which those that are taken for each other are neighbours.

    Average-linkage clustering with optimal leaf order (Bar-Joseph et al. 2001). Without a mistake
    the order stays as it is.

    >>> neighbours_first(np.array([[5, 0, 3], [0, 5, 0], [3, 0, 5]]))
    [1, 2, 0]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    wrong = (confusion - np.diag(np.diag(confusion))).astype(np.float64)
    if len(confusion) < 3 or not wrong.any():
        return list(range(len(confusion)))
    wrong /= np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    distance = 1.0 - (wrong + wrong.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


def heat_map(confusion: NDArray[np.int64], labels: Sequence[str], *, label: str) -> Markup:
    """Cells coloured by their share of the row; empty cells are not drawn.

    The colour grows with the square root of the share, so that single mistakes stay visible.
    """
    order = neighbours_first(confusion)
    counts = confusion[np.ix_(order, order)]
    names = [labels[k] for k in order]
    n_classes = len(names)
    is_named = n_classes <= N_NAMED
    cell = max(24.0, min(40.0, 420 / n_classes)) if is_named else max(3.5, 560 / n_classes)
    short = [shorten(name, 26) for name in names]
    gutter = 12 + max(map(_width, short)) if is_named else 1.0
    # Column names lean by 45 degrees, so they need 0.71 of their length upward.
    top = 14 + max(map(_width, short)) * 0.71 if is_named else 1.0
    side = cell * n_classes
    parts = [element("rect", x=gutter, y=top, width=side, height=side, class_="field")]
    support = np.maximum(counts.sum(axis=1), 1)
    gap = 1.0 if is_named else min(0.5, cell / 12)
    faintest = 0.2 if is_named else 0.45  # a cell of four units needs more colour to be seen
    for i, j in np.argwhere(counts).tolist():
        share = counts[i, j] / support[i]
        strength = math.sqrt(share)
        opacity = 0.12 + 0.5 * share if i == j else faintest + (1 - faintest) * strength
        at = {"x": gutter + j * cell, "y": top + i * cell}
        parts.append(
            element(
                "rect",
                x=at["x"] + gap / 2,
                y=at["y"] + gap / 2,
                width=cell - gap,
                height=cell - gap,
                rx=2 if is_named else None,
                class_="cell right" if i == j else "cell wrong",
                fill_opacity=round(opacity, 3),
                data_tip=f"{names[i]} → {names[j]}: {counts[i, j]:,} / {support[i]:,}",
            )
        )
        if is_named:
            is_strong = i != j and strength > 0.6
            parts.append(
                element(
                    "text",
                    f"{counts[i, j]}",
                    x=at["x"] + cell / 2,
                    y=at["y"] + cell / 2 + 4,
                    class_="count strong" if is_strong else "count",
                )
            )
    if is_named:
        for k, name in enumerate(short):
            middle = (k + 0.5) * cell
            parts.append(element("text", name, x=gutter - 8, y=top + middle + 4, class_="name end"))
            lean = f"translate({gutter + middle + 2:.1f} {top - 8:.1f}) rotate(-45)"
            parts.append(element("text", name, transform=lean, class_="name"))
    right = gutter + side + (max(_width(short[-1]) * 0.71 - cell / 2, 0) + 8 if is_named else 1)
    return drawing(right, top + side + 1, parts, label=label)


def _width(text: str) -> float:
    """About how wide *text* is at 12 units: a Chinese character is as wide as high."""
    return sum(12.5 if ord(sign) > 0x2E80 else 6.9 for sign in text)
