"""The benchmark of what users get, run whole on a few users and a tiny backbone."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from benchmarks import personalise
from tailorbird.testing.tiny import write_tiny_backbone

SEEN = ("mae", "mae_population", "mae_user_mean", "mae_knn", "mae_adapter_for_all")


def test_figures_are_means_over_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "amazon_gift_cards"
    folder.mkdir()
    rows = [
        {"text": f"{word} {n}", "user": user, "rating": rating, "time": 1_600_000_000 + 60 * n}
        for user in "abcd"
        for n in range(10)
        for word, rating in [("good", 5.0) if (n + ord(user)) % 3 else ("bad", 1.0)]
    ]
    with gzip.open(folder / "reviews.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    tiny = write_tiny_backbone(tmp_path / "tiny")
    words = ["--data", str(folder), "--backbone", str(tiny), "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", ["personalise", *words, "--set", "tuning.n_epochs=1"])
    personalise.main()
    lines = [
        json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")
    ]
    *of_seeds, last = lines
    assert [one["seed"] for one in of_seeds] == [0, 1]
    assert (last["n_seeds"], last["n_users"]) == (2, 4)
    for key in SEEN:
        assert last[key] == pytest.approx(sum(one[key] for one in of_seeds) / 2)
    assert of_seeds[0]["mae_population"] != of_seeds[1]["mae_population"]
    assert last["mae_user_mean"] == pytest.approx(of_seeds[0]["mae_user_mean"])
