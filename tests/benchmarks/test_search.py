"""The pure parts of the search benchmark: its folds, its last line, its space."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import search
from tailorbird.config import Settings
from tailorbird.search.space import parse_space

OPTIONS = argparse.Namespace(epochs=3, backbone="minilm", folds=5, seeds=3)


def test_each_row_is_validated_once_a_seed() -> None:
    jobs = search.fold_jobs(13, OPTIONS)
    assert len({job.name for job in jobs}) == 15
    for seed in range(3):
        mine = [job for job in jobs if job.settings.tuning.seed == seed]
        assert sorted(row for job in mine for row in job.validation) == list(range(13))
        assert all(sorted([*job.train, *job.validation]) == list(range(13)) for job in mine)


def test_the_last_line_takes_the_slower_part_and_names_both_peers() -> None:
    seconds = {"search": 60.0, "folds": 80.0, "PEFT, best": 50.0, "PEFT as it comes": 100.0}
    rows = {name: {"seconds": s, "accuracy": 0.9} for name, s in seconds.items()}
    found = search.result_of(rows)
    assert found["time_over_two_peft_runs"] == pytest.approx(0.4)
    assert found["time_over_two_best_peft_runs"] == pytest.approx(0.8)
    assert found["folds_s"] == 80.0


def test_the_space_of_the_benchmark_can_be_searched() -> None:
    assert len(parse_space(search.OVER, Settings())) == 5
