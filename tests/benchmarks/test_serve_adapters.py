"""The benchmark of served adapters runs through, and its figures are what they are called."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import serve_adapters
from tailorbird.testing import write_tiny_backbone


def test_a_small_round_gives_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "banking77"
    data.mkdir()
    for name in ("train", "test"):
        rows = "\n".join(f"{name} text {i},{'ab'[i % 2]}" for i in range(20))
        (data / f"{name}.csv").write_text(f"text,category\n{rows}\n", encoding="utf-8")
    (tmp_path / "store").mkdir()
    backbone = write_tiny_backbone(tmp_path / "tiny")
    given = {
        "data": data,
        "backbone": backbone,
        "folder": tmp_path / "store",
        "users": 14,
        "resident": 6,
        "mixed": 8,
        "batches": 2,
        "requests": 6,
        "block": 3,
    }
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["serve_adapters", *words])
    serve_adapters.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["n_users"] == 14
    mixed, plain = result["mixed_texts_per_s"], result["plain_texts_per_s"]
    assert result["fraction_of_plain"] == pytest.approx(mixed / plain)
    assert result["p99_miss_over_hit"] > 0
    assert min(result[key] for key in ("add_10000th_ms", "get_ms", "switch_ms")) > 0
    assert list((tmp_path / "store").iterdir()) == []
