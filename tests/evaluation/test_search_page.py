"""The page of a search: all trials in it, hostile texts harmless, one file, two languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tailorbird.evaluation.frame import TEMPLATES
from tailorbird.evaluation.search_page import write_search_page
from tailorbird.evaluation.search_plots import value_range
from tailorbird.evaluation.search_words import SEARCH_WORDS
from tailorbird.evaluation.words import WORDS

DIMENSIONS = [
    {"key": "tuning.learning_rate", "is_log": True, "is_whole": False, "choices": []},
    {"key": "model.freeze_layers", "is_log": False, "is_whole": True, "choices": []},
    {"key": "method.targets", "is_log": False, "is_whole": False, "choices": ["<b>", "query"]},
]


def trial(number: int, value: float | None, state: str = "done", **more: Any) -> dict[str, Any]:
    settings = {
        "tuning.learning_rate": 10 ** (-4 + number / 4),
        "model.freeze_layers": number % 4,
        "method.targets": ["<b>", "query"][number % 2],
    }
    return {"trial": number, "state": state, "value": value, "settings": settings, **more}


def found(trials: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    done = [one for one in trials if one["state"] == "done"]
    best = max(done, key=lambda one: one["value"], default=None)
    if best:
        best = {**best, "scores": {"accuracy": best["value"]}, "loss": 0.25}
    counts = {f"n_{s}": sum(t["state"] == s for t in trials) for s in ("done", "pruned", "failed")}
    plan = {"sampler": "tpe", "pruner": "median"}
    return {
        "run": "shop <i>",
        "metric": "accuracy",
        "best": best,
        "trials": trials,
        "importances": {"tuning.learning_rate": 0.75, "method.targets": 0.25},
        "plan": plan,
        "config": "/runs/best.toml",
        **counts,
        **more,
    }


TRIALS = [
    trial(0, 0.5, train_s=3.0),
    trial(1, 0.9123, train_s=75.0),
    trial(2, 0.4, "pruned", train_s=1.0),
    trial(3, None, "failed", error="<script>alert(1)</script>"),
    trial(4, 0.9, train_s=0.0, same_as=1),
]


@pytest.fixture
def page(tmp_path: Path) -> str:
    said = ["search: method.rank=4,8 (a reason)"]
    write_search_page(tmp_path / "p.html", found(TRIALS), dimensions=DIMENSIONS, said=said)
    return (tmp_path / "p.html").read_text("utf-8")


def test_the_best_stands_first_and_every_trial_has_its_line(page: str) -> None:
    assert '<span class="figure">0.9123</span>' in page
    body = page[page.index("<tbody>", page.index('class="sortable"')) :]
    assert re.findall(r'<th scope="row" data-value="\d+">(\d+)</th>', body) == list("01234")
    assert "1 min 15 s" in page
    assert "as 1" in page
    assert "/runs/best.toml" in page


def test_a_dot_of_each_trial_with_a_value_is_on_each_plot(page: str) -> None:
    history, *slices = re.findall(r"<svg[^>]*aria-labelledby=.*?</svg>", page, re.DOTALL)[:4]
    for plot in (history, *slices):
        assert plot.count("<circle") == 4
        assert plot.count('class="dot wrong"') == 1
    assert page.count('stroke-width="3.5"') == 1  # the winner among the lines


def test_nothing_in_a_text_becomes_markup(page: str) -> None:
    assert "<script>alert" not in page
    assert "<b>" not in page.replace("<b>{", "")
    assert "<i>" not in page


def test_nothing_is_fetched_and_one_script_runs(page: str) -> None:
    assert page.count("<script>") == 1
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "default-src 'none'" in page


def test_a_search_without_an_end_has_a_page(tmp_path: Path) -> None:
    for trials in ([], [trial(0, None, "failed", error="no")]):
        write_search_page(tmp_path / "p.html", found(trials, importances={}), dimensions=DIMENSIONS)
        assert "No trial has come to its end yet" in (tmp_path / "p.html").read_text("utf-8")


def test_by_loss_the_line_of_the_best_falls(tmp_path: Path) -> None:
    rows = [trial(0, 0.5), trial(1, 0.2), trial(2, 0.3)]
    more = {"metric": "loss", "best": {**rows[1], "scores": {}, "loss": 0.2}}
    write_search_page(tmp_path / "p.html", found(rows, **more), dimensions=DIMENSIONS)
    page = (tmp_path / "p.html").read_text("utf-8")
    (line,) = re.findall(
        r'<path d="M([^"]*)" class="line right"></path>', page.partition('<dl class="tiles">')[0]
    )
    heights = [float(corner.split()[1]) for corner in line.split("L")]
    assert heights == sorted(heights)  # downwards in a drawing
    assert heights[0] < heights[-1]


def test_one_bad_trial_does_not_flatten_the_plot() -> None:
    rows = [{"value": value} for value in (0.01, 0.9, 0.91, 0.92)]
    assert value_range(rows, by_loss=False)[0] > 0.8
    losses = [{"value": value} for value in (50.0, 0.3, 0.31, 0.32)]
    assert value_range(losses, by_loss=True)[1] < 1


def test_every_word_is_there_in_two_languages_and_used() -> None:
    own = {key: words for key, words in SEARCH_WORDS.items() if key not in WORDS}
    sources = (TEMPLATES / "search.html").read_text("utf-8")
    sources += (TEMPLATES.parent / "search_page.py").read_text("utf-8")
    by_data = {"state done", "state pruned", "state failed"}
    for key, (english, chinese) in own.items():
        assert english
        assert re.search(r"[一-鿿]", chinese), key
        assert f'"{key}"' in sources or key in by_data, key
