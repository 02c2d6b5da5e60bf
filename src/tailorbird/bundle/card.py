"""The model card: what a run's report says, for a person who finds the bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LANGUAGE_NAMES = {"zh": ("Chinese", "中文"), "en": ("English", "英文")}
N_WEAK = 5


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card is written from."""

    report: Mapping[str, Any]
    settings: Mapping[str, Any]
    labels: Sequence[str]
    temperature: float
    threshold: float
    checksums: Mapping[str, str]
    """sha256 of the model's files, by path inside the bundle."""

    def at(self, *path: str) -> Any:
        """The value at *path* in the report, or None where a part of it is missing."""
        value: Any = self.report
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def model_card(facts: CardFacts) -> str:
    """The card as Markdown: English, with a Chinese summary at the end.

    Every figure stands in the report too; what the report does not have is left out.
    """
    sections = [
        _front_matter(facts),
        _what_it_is(facts),
        _data(facts),
        _tuning(facts),
        _results(facts),
        _weak_spots(facts),
        _limits(facts),
        _how_to_load(facts),
        _in_chinese(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(facts: CardFacts) -> str:
    """The few lines that model hubs read."""
    languages = "".join(f"\n- {language}" for language in _languages(facts))
    return f"""---
library_name: tailorbird
pipeline_tag: text-classification
language:{languages or " []"}
---"""


def _what_it_is(facts: CardFacts) -> str:
    backbone = facts.at("tuning", "backbone") or "a pretrained backbone"
    rows = [
        ("Backbone", facts.at("tuning", "backbone")),
        ("Licence of the backbone", facts.at("tuning", "licence") or "not known"),
        ("Parameters", _count(facts.at("tuning", "n_parameters"))),
        ("Tuned of these", _count(facts.at("tuning", "n_trainable"))),
        ("Intents", len(facts.labels)),
        ("Run", facts.at("run", "name")),
        ("Created", facts.at("run", "created")),
        ("Logs", facts.at("run", "source")),
        ("Tailorbird", facts.at("run", "version")),
    ]
    return f"""# Intent classifier on {_cell(backbone)}

It reads one text and says which of {len(facts.labels)} intents it has, how sure it is, and \
whether it is in scope at all. Made by fine-tuning {_cell(backbone)} on interaction logs.

{_facts_table(rows)}

Intents: {", ".join(f"`{_cell(label)}`" for label in facts.labels)}"""


def _data(facts: CardFacts) -> str:
    read = facts.at("data", "read") or {}
    splits = facts.at("data", "split", "n_rows") or {}
    languages = facts.at("slices", "language") or {}
    first, last = read.get("first_time"), read.get("last_time")
    rows = [
        ("Rows in the logs", _count(read.get("n_rows"))),
        ("Rejected rows", _count(read.get("n_rejected"))),
        ("Interactions before cleaning", _count(facts.at("data", "clean", "n_in"))),
        ("Interactions after cleaning", _count(facts.at("data", "clean", "n_out"))),
        *((f"Rows for {name}", _count(n)) for name, n in splits.items()),
        ("Divided by", facts.at("data", "split", "by")),
        ("Labels left out", _names(facts.at("data", "split", "dropped_labels") or ())),
        ("Dates", f"{first} to {last}" if first and last else None),
        (
            "Languages of the test rows",
            ", ".join(f"{_language(name)} {part['n']:,}" for name, part in languages.items()),
        ),
    ]
    return _section("Data", _facts_table(rows))


def _tuning(facts: CardFacts) -> str:
    settings = facts.at("tuning", "settings") or {}
    plain = [
        (name, value)
        for name, value in settings.items()
        if value is not None and not isinstance(value, Mapping | list | tuple)
    ]
    rows = [
        *plain,
        ("best step", _count(facts.at("tuning", "best_step"))),
        ("training time", _with_unit(facts.at("tuning", "train_s"), "s")),
        ("speed", _with_unit(facts.at("tuning", "tokens_per_s"), "tokens/s")),
        ("processor", facts.at("processor", "name")),
    ]
    return _section("Settings", _facts_table(rows))


def _results(facts: CardFacts) -> str:
    coverage = (facts.settings.get("evaluation") or {}).get("confidence")
    head = ("split", "rows", "accuracy", "macro-F1", "loss (nats)", "calibration error")
    rows: list[tuple[Any, ...]] = []
    for name in ("test", "validation"):
        split = facts.at(name)
        if split:
            rows.append(
                (
                    name,
                    f"{split['n_rows']:,}",
                    _interval(split["accuracy"]),
                    _interval(split["macro_f1"]),
                    f"{split['loss']:.4f}",
                    f"{split['ece']:.4f}",
                )
            )
    for name, scores in (facts.at("test", "baselines") or {}).items():
        values = (_number(scores.get("accuracy")), _number(scores.get("macro_f1")))
        rows.append((f"test, baseline {name}", "", *values, "", ""))
    percent = f"{coverage:.0%} " if isinstance(coverage, float) else ""
    text = f"In brackets: {percent}bootstrap intervals. {_openings(facts)}".strip()
    return _section("Results", f"{_table(head, rows)}\n\n{text}" if rows else "")


def _weak_spots(facts: CardFacts) -> str:
    classes = sorted(
        (row for row in facts.at("test", "per_class") or () if row["support"]),
        key=lambda row: (row["f1"], row["label"]),
    )
    parts: list[str] = []
    if classes:
        table = [
            (
                f"`{_cell(row['label'])}`",
                *(f"{row[name]:.4f}" for name in ("precision", "recall", "f1")),
                f"{row['support']:,}",
            )
            for row in classes[:N_WEAK]
        ]
        parts.append(f"The intents it knows least, of {len(classes)} in the test rows:")
        parts.append(_table(("intent", "precision", "recall", "F1", "test rows"), table))
    if confused := _confusions(facts):
        lines = "\n".join(
            f"- `{_cell(true)}` taken for `{_cell(guess)}`: {n:,}" for n, true, guess in confused
        )
        parts.append(f"What it mixes up most often:\n\n{lines}")
    if languages := facts.at("slices", "language"):
        table = [
            (_language(name), f"{part['n']:,}", f"{part['accuracy']:.4f}")
            for name, part in languages.items()
        ]
        parts.append(_table(("language", "test rows", "accuracy"), table))
    return _section("Weak spots", "\n\n".join(parts))


def _limits(facts: CardFacts) -> str:
    known = [_language(name) for name in _languages(facts)]
    scope = facts.at("scope")
    rate = facts.at("scope" if scope else "calibration", "false_alarm_rate")
    turned_away = f", which turns away {rate:.2%} of the validation rows" if rate else ""
    what, line = _scope_line(facts)
    seen = f"- It was tested in {' and '.join(known)} only.\n" if known else ""
    return _section(
        "Limits",
        f"- A text whose {what} is below {line:.4f} counts as out of scope"
        f"{turned_away}. Others may still be none of these intents.\n"
        f"{seen}"
        f"- Confidences are calibrated with temperature {facts.temperature:.4f} on rows like "
        "those of the logs; on other texts they say less.\n"
        "- It learned what people asked in these logs at their time. When the questions change, "
        "build it again.\n"
        "- Answers are templates from the logs: read them before customers do.",
    )


def _scope_line(facts: CardFacts) -> tuple[str, float]:
    """What decides whether a text is in scope, and from where on it is."""
    threshold = facts.at("scope", "threshold")
    if threshold is None:
        return "confidence", facts.threshold
    return "scope score", threshold


def _how_to_load(facts: CardFacts) -> str:
    rows = [(f"`{name}`", f"`{digest}`") for name, digest in sorted(facts.checksums.items())]
    return _section(
        "How to load",
        f"""```python
from tailorbird.bundle import load_bundle

bundle = load_bundle("path/to/this/folder")  # checks every file against manifest.json
bundle.predict(["where is my parcel?"])
```

The encoder alone, with Transformers: `AutoModel.from_pretrained("path/to/this/folder/model")`. \
There is no pickle in this folder.

{_table(("file", "sha256"), rows)}""",
    )


def _in_chinese(facts: CardFacts) -> str:
    lines = [f"由交互日志微调而成的意图分类模型，共 {len(facts.labels)} 个意图。"]
    if backbone := facts.at("tuning", "backbone"):
        licence = facts.at("tuning", "licence")
        lines.append(
            f"预训练模型：{_cell(backbone)}" + (f"（许可证：{licence}）。" if licence else "。")
        )
    if test := facts.at("test"):
        lines.append(
            f"测试集 {test['n_rows']:,} 条：准确率 {_interval(test['accuracy'])}，"
            f"宏平均 F1 {_interval(test['macro_f1'])}（括号内为自助法置信区间）。"
        )
    weakest = min(
        (row for row in facts.at("test", "per_class") or () if row["support"]),
        key=lambda row: (row["f1"], row["label"]),
        default=None,
    )
    if weakest:
        lines.append(f"最弱的意图：`{_cell(weakest['label'])}`（F1 {weakest['f1']:.4f}）。")
    what = "置信度" if facts.at("scope") is None else "范围分"
    lines.append(
        f"{what}低于 {_scope_line(facts)[1]:.4f} 的文本视为超出范围。"
        "加载时会按 manifest.json 校验每个文件，文件夹中没有 pickle。"
    )
    return _section("中文摘要", "\n".join(f"- {line}" for line in lines))


def _confusions(facts: CardFacts) -> list[tuple[int, str, str]]:
    labels = facts.at("test", "labels") or ()
    pairs = [
        (n, labels[true], labels[guess])
        for true, row in enumerate(facts.at("test", "confusion") or ())
        for guess, n in enumerate(row)
        if true != guess and n
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:3]


def _languages(facts: CardFacts) -> list[str]:
    return [name for name, part in (facts.at("slices", "language") or {}).items() if part["n"]]


def _language(name: str) -> str:
    return LANGUAGE_NAMES.get(name, (name, name))[0]


def _openings(facts: CardFacts) -> str:
    n = len(facts.at("test_openings") or ())
    if not n:
        return ""
    return f"The test rows were looked at {'once' if n == 1 else f'{n} times'}."


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _facts_table(rows: Iterable[tuple[str, Any]]) -> str:
    kept = [(name, _cell(value)) for name, value in rows if value not in (None, "")]
    return _table(("", ""), kept) if kept else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value that cannot break the table or the page around it."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _names(values: Iterable[str]) -> str:
    return ", ".join(values)


def _interval(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.4f} ({interval['low']:.4f} to {interval['high']:.4f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:,.1f} {unit}"
