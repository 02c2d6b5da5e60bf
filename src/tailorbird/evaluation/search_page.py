"""The page of a search: which settings won, how it went, and what each setting did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tailorbird.evaluation import sections
from tailorbird.evaluation.frame import render_page, write_whole
from tailorbird.evaluation.search_plots import (
    KINDS,
    history_plot,
    number,
    parallel_plot,
    slice_plot,
)
from tailorbird.evaluation.search_words import SEARCH_WORDS
from tailorbird.evaluation.words import duration

_CHAPTERS = ("winner", "importance", "slices_of", "together", "trials", "decisions")


def write_search_page(
    path: Path,
    found: Mapping[str, Any],
    *,
    dimensions: Sequence[Mapping[str, Any]],
    said: Sequence[str] = (),
) -> None:
    """Write the page of a search to *path*, in one step.

    Args:
        path: the HTML file.
        found: as ``search.json`` has it: ``run``, ``metric``, ``best``, ``trials``, …
        dimensions: of each setting ``key``, ``is_log`` and ``choices``.
        said: what was decided for the user, with reasons.
    """
    trials, best, metric = found["trials"], found["best"], found["metric"]
    by_loss = metric == "loss"
    shown = [one for one in trials if one["value"] is not None]
    contents = {
        "winner": best,
        "importance": found["importances"],
        "slices_of": shown,
        "together": shown,
        "trials": trials,
        "decisions": [sections.decided(sentence) for sentence in said],
    }
    html = render_page(
        "search.html",
        chapters=[name for name in _CHAPTERS if contents[name]],
        words=SEARCH_WORDS,
        run=found["run"],
        metric=metric,
        n_trials=len(trials),
        best=best,
        config=found.get("config", ""),
        figure=f"{best['value']:.4f}" if best else "–",
        history=history_plot(trials, by_loss=by_loss, label="plot-history", x_name="trial"),
        tiles=_tiles(found),
        importances=found["importances"],
        slices=_slices(shown, dimensions, by_loss),
        together=parallel_plot(
            shown, dimensions, metric=metric, by_loss=by_loss, label="plot-together"
        ),
        keys=[one["key"] for one in dimensions],
        trials=[_row(one, dimensions) for one in trials],
        decisions=contents["decisions"],
    )
    write_whole(path, html)


def _tiles(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    total_s = sum(one.get("train_s") or 0.0 for one in found["trials"])
    counts: list[tuple[str, Any]] = [
        (word, found[word]) for word in ("n_done", "n_pruned", "n_failed")
    ]
    plan = found["plan"]
    return [
        *counts,
        ("time_all", duration(total_s)),
        ("sampler", plan["sampler"]),
        ("pruner", plan["pruner"]),
    ]


def _slices(
    shown: Sequence[Mapping[str, Any]], dimensions: Sequence[Mapping[str, Any]], by_loss: bool
) -> list[dict[str, Any]]:
    if not shown:
        return []
    return [
        {
            "id": f"slice-{k}",
            "key": axis["key"],
            "plot": slice_plot(shown, axis, by_loss=by_loss, label=f"slice-{k}"),
        }
        for k, axis in enumerate(dimensions)
    ]


def _row(one: Mapping[str, Any], dimensions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A line of the table; ``order`` is what a click on its heading sorts by."""
    cells = []
    for axis in dimensions:
        value = one["settings"][axis["key"]]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        order = value if is_number else axis["choices"].index(str(value))
        cells.append({"text": number(value) if isinstance(value, float) else value, "order": order})
    train_s = one.get("train_s")
    return {
        "trial": one["trial"],
        "state": one["state"],
        "rank": ["done", "pruned", "failed"].index(one["state"]),
        "kind": KINDS.get(one["state"], ""),
        "value": "–" if one["value"] is None else f"{one['value']:.4f}",
        "order": -1e300 if one["value"] is None else one["value"],
        "same_as": one.get("same_as"),
        "error": one.get("error", ""),
        "cells": cells,
        "time_s": train_s or 0.0,
        "time": "–" if train_s is None else duration(train_s),
    }
