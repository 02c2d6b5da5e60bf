"""The page of doubtful labels: one file that shows texts as they are, and runs none of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tailorbird.evaluation.doubt_page import N_SHOWN, write_doubt_page


def row(number: int, text: str = "where is it", **more: Any) -> dict[str, Any]:
    return {
        "id": f"shop.csv:{number}",
        "split": "train",
        "text": text,
        "label": "refund",
        "score": 0.0123,
        "suggested": "parcel",
        "suggested_prob": 0.87,
        **more,
    }


def test_texts_and_labels_are_shown_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "doubts.html"
    rows = [row(1, "<script>alert(1)</script>"), row(2, "我的包裹", second="几点到")]
    write_doubt_page(path, rows, ["labels: 2 of 90 are doubtful", "a < b"])
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<li>a &lt; b</li>" in page
    assert "我的包裹 ⇄ 几点到" in page
    assert "refund</span> <small>1.2%</small>" in page
    assert "parcel <small>87%</small>" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=", page)


def test_no_more_rows_are_shown_than_anybody_reads(tmp_path: Path) -> None:
    path = tmp_path / "doubts.html"
    write_doubt_page(path, [row(n) for n in range(N_SHOWN + 7)], [])
    page = path.read_text(encoding="utf-8")
    assert page.count("<tr><td>") == N_SHOWN
    assert "7 more in the JSONL file" in page
