"""The page of a rate sweep: one file, its advice in words and as a line in the plot."""

from __future__ import annotations

from pathlib import Path

from tailorbird.evaluation.rate_page import write_rate_page


def test_the_page_shows_the_sweep_and_the_advice_and_needs_no_other_file(tmp_path: Path) -> None:
    losses = [1.0, 1.0, 0.8, 0.4, 0.5, 90.0]
    points = [
        {"rate": 10.0 ** (k - 5), "loss": loss, "smoothed": loss} for k, loss in enumerate(losses)
    ]
    path = tmp_path / "rates.html"
    write_rate_page(path, points, {"rate": 1e-3, "reason": "where the loss falls <fastest>"})
    page = path.read_text(encoding="utf-8")
    assert "Advised rate: 1.0e-03 (where the loss falls &lt;fastest&gt;)." in page
    assert page.count("<svg") == 1
    assert page.count('class="line') == 2
    assert 'class="rule"' in page
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page
