"""The benchmark of every way of tuning: what is still to do, which rate is chosen, what it says."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.methods import cells, chosen_factor, wanted
from benchmarks.methods_cells import METHODS, RUNNERS, Cell
from benchmarks.methods_summary import read_results, show_summary, summarise
from benchmarks.methods_tokens import as_rows
from benchmarks.sets import SETS

from tailorbird.modeling.adapters import METHODS as WAYS
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.tuning.tasks import EncodedExamples


def options(**changes: Any) -> argparse.Namespace:
    plain = {"sets": ["banking77"], "methods": ["lora"], "seeds": 3, "rows": 0, "epochs": 3}
    return argparse.Namespace(**({"grid": [0.3, 1.0, 3.0]} | plain | changes))


def line(cell: Cell, validation: float = 0.9, test: float | None = None) -> dict[str, Any]:
    figures = {"validation": validation, "test": test, "trainable": 10, "train_s": 5.0}
    return {"cell": cell.to_json(), **figures, "peak_gib": 1.0}


LORA = Cell("banking77", "lora", "ours")


def test_every_way_of_tuning_is_measured() -> None:
    assert METHODS.keys() == WAYS.keys()


def test_the_grid_comes_first_and_its_best_rate_is_measured_with_other_seeds() -> None:
    todo = list(cells(options(), []))
    assert [(c.side, c.factor, c.seed) for c in todo[:3]] == [
        ("ours", 0.3, 0),
        ("ours", 1.0, 0),
        ("ours", 3.0, 0),
    ]
    assert all(cell.seed == 0 for cell in todo)  # nothing is measured at a rate nobody chose
    done = [line(LORA.at(0.3), 0.91), line(LORA.at(1.0), 0.90), line(LORA.at(3.0), 0.2)]
    left = [cell for cell in wanted(options(), done) if cell.side == "ours"]
    assert left == [LORA.at(0.3, seed) for seed in (1, 2, 3)]


def test_of_equal_rates_the_planned_one_is_chosen_and_none_while_one_is_missing() -> None:
    grid = [LORA.at(factor) for factor in (0.3, 1.0, 3.0)]
    done = [line(cell, 0.9) for cell in grid]
    assert chosen_factor(grid, done) == 1.0
    assert chosen_factor(grid, done[:2]) is None


def test_what_is_done_with_other_rows_or_epochs_is_done_again() -> None:
    done = [line(LORA.at(0.3))]
    assert LORA.at(0.3) not in list(wanted(options(), done))
    assert Cell("banking77", "lora", "ours", 100, 3, 0.3) in list(wanted(options(rows=100), done))


def test_gap_is_stated_once_both_sides_have_all_seeds() -> None:
    peer = Cell("banking77", "lora", "peer")
    done = [line(LORA.at(1.0, seed), test=0.92) for seed in (1, 2, 3)]
    done += [line(peer.at(3.0, seed), test=0.93) for seed in (1, 2)]
    early = summarise(options(), done)
    assert early["worst_gap_points"] is None
    assert early["missing"] == ["banking77/lora/peer: 2 of 3 seeds"]
    done.append(line(peer.at(3.0, 3), test=0.93))
    done.append(line(peer.at(3.0), test=None))  # the choice of the rate is no measurement
    whole = summarise(options(), done)
    assert whole["worst_gap_points"] == pytest.approx(1.0)
    assert whole["missing"] == []


def test_a_method_without_a_peer_has_no_gap() -> None:
    done = [line(Cell("banking77", "head", "ours").at(1.0, s), test=0.8) for s in (1, 2, 3)]
    summary = summarise(options(methods=["head"]), done)
    assert summary["worst_gap_points"] is None
    assert summary["methods"][0]["ours"]["test"] == pytest.approx(0.8)


def test_every_set_has_a_runner_and_one_without_is_missing_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {one.task for one in SETS.values()} <= RUNNERS.keys()
    monkeypatch.setattr("benchmarks.methods.RUNNERS", {})
    assert list(cells(options(sets=["cluener"]), [])) == []
    assert len(summarise(options(sets=["cluener"]), [])["missing"]) == 2


def test_the_peer_learns_the_tag_of_each_words_first_token_and_nothing_else() -> None:
    picked = [[False, True, False, True, False], [False, True, False]]
    tokens = TokenizedTexts.from_lists([[2, 7, 8, 9, 3], [2, 5, 3]], picked=picked)
    encoded = EncodedExamples(tokens, torch.tensor([[4, 1, 0], [0, 0, 0], [6, 1, 0]]))
    rows = as_rows(encoded)
    assert [row["input_ids"] for row in rows] == [[2, 7, 8, 9, 3], [2, 5, 3]]
    assert [row["labels"] for row in rows] == [[-100, 4, -100, 0, -100], [-100, 6, -100]]


def test_results_survive_a_line_that_was_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    whole = json.dumps(line(LORA.at(1.0, 1), test=0.5))
    path.write_text(f"{whole}\n{whole[:40]}", encoding="utf-8")
    rows = read_results(path)
    assert len(rows) == 1
    show_summary(summarise(options(seeds=1), rows))
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["methods"][0]["ours"]["seeds"] == 1
    assert last["missing"] == ["banking77/lora/peer: 0 of 1 seeds"]
