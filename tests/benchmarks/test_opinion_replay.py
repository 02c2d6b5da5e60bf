"""Posts that come all at once are counted as they are kept; a year has the posts it says."""

from __future__ import annotations

import csv
import gzip
from argparse import Namespace
from pathlib import Path

from benchmarks import opinion_replay


def test_nothing_is_lost_where_more_come_than_there_is_room_for(tmp_path: Path) -> None:
    folder = tmp_path / opinion_replay.SET
    folder.mkdir()
    path = folder / "guardian_headlines.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time", "Headlines"])
        for k in range(20):
            writer.writerow(["2 January 2019", f"Headline {k} tells of firm number {k * k}"])
    options = Namespace(data=tmp_path, posts=60, body=5, senders=4, waiting=8, patience=0.001)
    found = opinion_replay.intake(options)
    assert (found["n_lost"], found["n_twice"]) == (0, 0)
    assert found["kept_per_s"] > 0


def test_a_year_has_the_posts_that_it_says(tmp_path: Path) -> None:
    path = tmp_path / "year.jsonl"
    opinion_replay._write_year(path, 1, 24.0)
    lines = path.read_text(encoding="utf-8").splitlines()
    n_usual = 24 * 365
    assert abs(len(lines) / n_usual - 1) < 0.05
    share = sum('"negative"' in line for line in lines) / len(lines)
    assert 0.17 < share < 0.23
