import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailorbird.bundle import Bundle, BundleContents, write_bundle

MakeContents = Callable[..., BundleContents]


def card_of(bundle: Bundle) -> str:
    return (bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")


def rows_of(card: str) -> dict[str, list[str]]:
    """The rows of all tables, by their first cell."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def interval(value: dict[str, float]) -> str:
    return f"{value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})"


def test_the_figures_of_the_card_are_those_of_the_report(bundle: Bundle) -> None:
    report = json.loads((bundle.path / "report.json").read_text(encoding="utf-8"))
    rows = rows_of(card_of(bundle))
    for split in ("test", "validation"):
        part = report[split]
        assert rows[split] == [
            f"{part['n_rows']:,}",
            interval(part["accuracy"]),
            interval(part["macro_f1"]),
            f"{part['loss']:.4f}",
            f"{part['ece']:.4f}",
        ]
    assert rows["test, baseline majority"][1:3] == ["0.3457", "0.1712"]
    assert rows["Rows in the logs"] == ["1,700"]
    assert rows["Rejected rows"] == ["20"]
    assert rows["Interactions after cleaning"] == ["1,602"]
    assert rows["Rows for train"] == ["1,121"]
    assert rows["Languages of the test rows"] == ["Chinese 48, English 32"]
    assert rows["Chinese"] == ["48", "0.8750"]
    assert rows["learning_rate"] == ["0.0003"]
    assert rows["Parameters"] == ["117,654,272"]
    for row in report["test"]["per_class"]:
        numbers = [f"{row[name]:.4f}" for name in ("precision", "recall", "f1")]
        assert rows[f"`{row['label']}`"] == [*numbers, f"{row['support']:,}"]


def test_no_number_with_decimals_stands_in_the_card_that_the_report_does_not_have(
    bundle: Bundle,
) -> None:
    known: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for part in value.values():
                collect(part)
        elif isinstance(value, list):
            for part in value:
                collect(part)
        elif isinstance(value, float):
            known.update((str(value), f"{value:.4f}", f"{value:,.1f}", f"{value * 100:.2f}"))

    collect(bundle.report)
    text = re.sub(r"```.*?```", "", card_of(bundle), flags=re.S)
    found = set(re.findall(r"(?<![\w.])\d[\d,]*\.\d+(?![\w.])", text))
    assert len(found) > 20
    assert found - known == set()


def test_the_card_says_what_it_is_made_of_and_how_to_load_it(bundle: Bundle) -> None:
    card = card_of(bundle)
    rows = rows_of(card)
    assert card.startswith("---\nlibrary_name: tailorbird\n")
    assert rows["Backbone"] == ["multilingual-e5-small"]
    assert rows["Licence of the backbone"] == ["MIT"]
    assert rows["Run"] == ["20261124-153012-shop"]
    assert "one of 3 intents" in card or "which of 3 intents" in card
    assert "below 0.4321 counts as out of scope" in card
    assert "temperature 1.2500" in card
    assert "95% bootstrap intervals. The test rows were looked at once." in card
    assert "load_bundle(" in card
    weights = (bundle.path / "model" / "model.safetensors").read_bytes()
    assert rows["`model/model.safetensors`"] == [f"`{hashlib.sha256(weights).hexdigest()}`"]


def test_the_weakest_intents_come_first_and_confusions_are_counted(
    tmp_path: Path, contents: MakeContents, report: dict[str, Any]
) -> None:
    classes = [
        {"label": f"intent {n}", "precision": n / 10, "recall": 0.5, "f1": n / 10, "support": 7}
        for n in (9, 1, 5, 3, 7, 2)
    ]
    unseen = {"label": "unseen", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    test = report["test"] | {
        "per_class": [*classes, unseen],
        "confusion": [[8, 4, 0], [1, 9, 6], [0, 0, 5]],
        "labels": ["a", "b", "c"],
    }
    card = card_of(write_bundle(tmp_path, contents(report=report | {"test": test})))
    order = re.findall(r"^\| `(intent \d|unseen)`", card, flags=re.M)
    assert order == ["intent 1", "intent 2", "intent 3", "intent 5", "intent 7"]
    assert "- `b` taken for `c`: 6\n- `a` taken for `b`: 4\n- `b` taken for `a`: 1\n" in card


def test_a_card_without_a_report_leaves_out_what_is_not_known(
    tmp_path: Path, contents: MakeContents
) -> None:
    card = card_of(write_bundle(tmp_path, contents(report={})))
    assert "None" not in card
    assert "## Results" not in card
    assert "Licence of the backbone | not known" in card
    assert "## How to load" in card


def test_the_chinese_summary_has_the_same_figures(bundle: Bundle) -> None:
    summary = card_of(bundle).split("## 中文摘要")[1]
    test = bundle.report["test"]
    assert f"准确率 {interval(test['accuracy'])}" in summary
    assert f"宏平均 F1 {interval(test['macro_f1'])}" in summary
    assert "低于 0.4321 的文本视为超出范围" in summary


def test_labels_cannot_break_the_tables_of_the_card(tmp_path: Path, contents: MakeContents) -> None:
    labels = ("a|b", "<script>", "new\nline`")
    card = card_of(write_bundle(tmp_path, contents(labels=labels, templates={}, report={})))
    assert "`a\\|b`, `&lt;script>`, `new line'`" in card
